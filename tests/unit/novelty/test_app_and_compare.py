import asyncio

import pytest

from archloop.bus.memory import MemoryBus
from archloop.contracts.envelope import Envelope
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.topology import NOVELTY, Queue
from archloop.contracts.values import Outcome, Verdict
from archloop.errors import InvalidInput, Misconfigured
from services.novelty.app import running
from services.novelty.compare import compare
from services.novelty.settings import NoveltySettings

VERDICTS = Queue("verdicts", ("candidate.judged",), prefetch=50)


async def published(bus, messages) -> list[tuple[int, str]]:
    heard = []

    async def listen(delivery):
        heard.append(Envelope.parse(delivery.body).message())
        await delivery.ack()

    await bus.declare(VERDICTS)
    subscription = await bus.subscribe(VERDICTS, listen)
    for message in messages:
        await bus.publish(Envelope.of(message, source="evaluator"))
    while await bus.depth(NOVELTY) or await bus.depth(VERDICTS):
        await asyncio.sleep(0.01)
    await subscription.drain()
    return [(verdict.index, verdict.verdict) for verdict in heard]


async def test_the_service_judges_what_is_evaluated_and_goes_on_after_a_restart(evaluated, seed_net, blobs, tmp_path):
    settings = NoveltySettings(store=tmp_path / "novelty.sqlite")
    bus = MemoryBus()
    async with running(settings, bus=bus, blobs=blobs):
        first = await published(bus, [evaluated(1, seed_net(3)), evaluated(0, "", Outcome.TIMEOUT)])
    async with running(settings, bus=bus, blobs=blobs):
        second = await published(bus, [evaluated(3, seed_net(5)), evaluated(2, seed_net(3))])
    assert first == [(1, Verdict.NOVEL)]
    assert second == [(2, Verdict.EXACT_DUPLICATE), (3, Verdict.NOVEL)]


async def test_code_that_cannot_be_read_is_judged_as_it_is_written(evaluated, blobs, tmp_path):
    bus = MemoryBus()
    async with running(NoveltySettings(store=tmp_path / "novelty.sqlite"), bus=bus, blobs=blobs):
        said = await published(
            bus, [evaluated(index, code) for index, code in enumerate(["class Net(", "class  Net("])]
        )
    assert said == [(0, Verdict.NOVEL), (1, Verdict.EXACT_DUPLICATE)]
    assert await bus.parked("novelty") == []


async def test_a_store_made_with_other_settings_is_refused_by_name(blobs, tmp_path):
    path = tmp_path / "novelty.sqlite"
    async with running(NoveltySettings(store=path), bus=MemoryBus(), blobs=blobs):
        pass
    with pytest.raises(Misconfigured, match=r"ARCHLOOP_NOVELTY_STORE: .*k=7.*not with.*k=5"):
        async with running(NoveltySettings(store=path, k=5), bus=MemoryBus(), blobs=blobs):
            pass


def test_settings_outside_their_range_are_named():
    with pytest.raises(Misconfigured, match="ARCHLOOP_NOVELTY_PERMUTATIONS"):
        NoveltySettings.load(permutations=0)


def test_files_are_judged_against_those_before_them(seed_net):
    files = [("a.py", seed_net(1, "dense")), ("b.py", seed_net(2, "plain")), ("c.py", seed_net(1, "dense"))]
    first, second, third = compare(files, threshold=0.85)
    assert (first.family, first.verdict, first.nearest, first.similarity) == ("dense", Verdict.NOVEL, None, 0.0)
    assert (second.family, second.verdict, second.nearest) == ("plain", Verdict.NOVEL, "a.py")
    assert (third.verdict, third.nearest, third.similarity) == (Verdict.EXACT_DUPLICATE, "a.py", 1.0)


def test_at_a_lower_threshold_more_is_a_near_copy(seed_net):
    files = [(str(seed), seed_net(seed, "residual")) for seed in range(6)]
    strict = [comparison.verdict for comparison in compare(files, threshold=0.99)]
    lax = [comparison.verdict for comparison in compare(files, threshold=0.05)]
    assert strict.count(Verdict.NOVEL) > lax.count(Verdict.NOVEL) == 1


def test_a_file_that_is_no_python_is_a_line_with_its_problem_and_the_rest_is_judged(seed_net):
    first, text, last = compare(
        [("a", seed_net(1)), ("notes.txt", "hello, world!"), ("b", seed_net(1))], threshold=0.85
    )
    assert (text.file, text.verdict) == ("notes.txt", None)
    assert text.problem.startswith("source cannot be parsed")
    assert last.nearest == first.file


@pytest.mark.parametrize("threshold", [0.0, 5e-324, 1e-9, 0.5, 1 - 2**-53, 1.0])
def test_any_threshold_from_nothing_to_all_is_judged_by(seed_net, threshold):
    files = [("a", seed_net(1)), ("b", seed_net(2)), ("c", seed_net(1))]
    first, second, third = compare(files, threshold=threshold)
    assert (first.verdict, third.verdict) == (Verdict.NOVEL, Verdict.EXACT_DUPLICATE)
    assert (second.verdict is Verdict.NOVEL) == (second.similarity < threshold)


@pytest.mark.parametrize("threshold", [-1e-9, -1.0, 1 + 2**-52, 85.0, float("inf"), float("-inf"), float("nan")])
def test_a_threshold_that_is_no_similarity_is_refused_by_its_option(threshold):
    with pytest.raises(InvalidInput, match=r"^--threshold: .* is not valid; expected a similarity from 0 to 1$"):
        compare([("a", "x = 1"), ("b", "x = 2")], threshold=threshold)


@pytest.mark.parametrize("threshold", [0.0, 5e-324, 0.3, 1.0])
def test_a_run_may_have_any_threshold(threshold):
    assert NoveltySpec(threshold=threshold).threshold == threshold


@pytest.mark.parametrize("threshold", [-1e-9, 1.1, float("inf"), float("nan")])
def test_a_run_may_have_no_other(threshold):
    with pytest.raises(ValueError, match="threshold"):
        NoveltySpec(threshold=threshold)
