"""Which answers to one prompt are preferred to which, and what a run asks the trainer to learn from them."""

from datetime import UTC, datetime

import pytest

from archloop.contracts.messages import GenerationRequested, TrainingRequested
from archloop.contracts.spec import GenerationSpec
from archloop.contracts.values import Outcome
from archloop.training_pairs import TrainingPair, decoded
from services.registry.control import preferences
from services.registry.control.preferences import Answer, Preferred, preferred
from services.registry.records import Candidate, Loss
from tests.unit.registry.world import Sharing, World, evaluation, spec

IMAGES = 500
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EACH_ITS_OWN, TWO, FOUR_FIXED = GenerationSpec(), GenerationSpec(answers=2), GenerationSpec(prompts=4)


def answer(name: str, accuracy: float | None, cycle: int = 0, index: int = 0, parent: str | None = None) -> Answer:
    return Answer(name, cycle, index, parent, accuracy)


BEST, GOOD = answer("best", 0.9), answer("good", 0.6, index=1)
PREFERRED = [
    # what else there is, how prompts are shared, what failed, what is worse
    ([GOOD], TWO, (), ("good",)),
    ([GOOD], EACH_ITS_OWN, (), ()),
    ([answer("close", 0.88, index=1)], TWO, (), ()),
    ([answer("better", 0.99, index=1)], TWO, (), ()),
    ([answer("equal", 0.9, index=1)], TWO, (), ()),
    ([answer("failed", None, index=1)], TWO, ("failed",), ()),
    ([answer("of another prompt", None, index=2)], TWO, (), ()),
    ([answer("of another cycle", None, cycle=1)], TWO, (), ()),
    ([answer("of another cycle", None, cycle=1)], FOUR_FIXED, ("of another cycle",), ()),
    ([answer("of another prompt", None, cycle=1, index=5)], FOUR_FIXED, (), ()),
    ([answer("the same prompt", 0.1, cycle=1, index=8)], FOUR_FIXED, (), ("the same prompt",)),
    ([answer("an edit", None, index=1, parent="p")], TWO, (), ()),
    (
        [GOOD, answer("worst", 0.2, index=4), answer("bad", 0.4, cycle=2)],
        GenerationSpec(prompts=1),
        (),
        ("worst", "bad", "good"),
    ),
    ([answer(f"f{c}", None, cycle=c, index=4) for c in range(3)], FOUR_FIXED, ("f2", "f1", "f0"), ()),
]


@pytest.mark.parametrize(("others", "asked", "failed", "worse"), PREFERRED)
def test_an_answer_is_preferred_to_what_failed_and_to_what_is_worse_beyond_the_noise(others, asked, failed, worse):
    assert preferred(["best"], [BEST, *others], asked, IMAGES) == [Preferred("best", failed, worse)]
    assert preferred(["best"], [*reversed(others), BEST], asked, IMAGES) == [Preferred("best", failed, worse)]


def test_what_counts_as_noise_hangs_on_the_images():
    close = [BEST, answer("close", 0.88, index=1)]
    assert [preferred(["best"], close, TWO, images)[0].worse for images in (500, 10_000)] == [(), ("close",)]


def test_several_chosen_answers_to_one_prompt_are_set_against_different_ones():
    others = [answer(f"failed {n}", None, index=n) for n in range(2, 5)]
    found = preferred(["best", "good"], [BEST, GOOD, *others], GenerationSpec(prompts=1), IMAGES)
    assert [each.failed[0] for each in found] == ["failed 2", "failed 3"]
    assert {frozenset(each.failed) for each in found} == {frozenset(each.candidate_id for each in others)}


def test_edits_of_one_parent_are_compared():
    parented = [answer("a", 0.9, parent="p"), answer("b", None, index=1, parent="p"), answer("c", None, index=1)]
    assert preferred(["a"], parented, TWO, IMAGES) == [Preferred("a", ("b",), ())]


def _row(outcome: str, accuracy: float | None = None, **more: object) -> Candidate:
    measured = evaluation("code 1").model_copy(update={"outcome": Outcome(outcome), "accuracy": accuracy})
    return Candidate(candidate_id="a", run_id="r", cycle=1, index=2, evaluation=measured, **more)


@pytest.mark.parametrize("outcome", ["build_error", "timeout", "out_of_memory", "diverged", "forbidden", "suspect"])
def test_what_failed_may_be_rejected(outcome):
    assert preferences.answer(_row(outcome, 0.4)) == Answer("a", 1, 2, None, None)


def test_what_was_stopped_or_given_up_is_no_answer():
    lost = Loss(step="judgement", asked=3, reason="")
    assert preferences.answer(_row("ok", 0.4, parent="p")) == Answer("a", 1, 2, "p", 0.4)
    assert preferences.answer(_row("stopped")) is None
    assert preferences.answer(_row("ok", 0.4, lost=lost)) is None
    assert preferences.answer(Candidate(candidate_id="a", run_id="r", generated=NOW)) is None


async def _trained(tmp_path, generation: dict[str, object], method: str, **changes: object) -> list[list[TrainingPair]]:
    world = World(tmp_path)
    world.services["generator"] = Sharing()
    training = {"method": method}
    await world.request(spec(candidates=12, generation=generation, training=training, **changes))
    await world.run_to_end()
    asked = [message for message in world.published if isinstance(message, TrainingRequested)]
    return [decoded(await world.blobs.get(message.pairs), message.pairs.key) for message in asked]


def _accuracy(completion: str) -> float | None:
    return evaluation(completion.split("\n")[1]).accuracy


@pytest.mark.parametrize("generation", [{"prompts": 3}, {"answers": 4}, {"answers": 2, "prompts": 2}])
async def test_a_run_learns_from_preferences_and_from_nothing_else(tmp_path, generation):
    trainings = await _trained(tmp_path, generation, "dpo")
    assert trainings
    for pair in (pair for pairs in trainings for pair in pairs):
        assert pair.rejected is not None
        better, worse = _accuracy(pair.completion), _accuracy(pair.rejected)
        assert better is not None
        assert worse is None or better - worse > 0.02
    texts = [pair.rejected for pairs in trainings for pair in pairs]
    assert any(_accuracy(text) is None for text in texts)
    assert any(_accuracy(text) is not None for text in texts)


async def test_the_same_run_asks_for_the_same_bytes(tmp_path):
    one, two = [await _trained(tmp_path / name, {"answers": 4}, "dpo", cycles=2) for name in ("one", "two")]
    assert one == two


async def test_negatives_are_what_sft_learns_and_what_is_rejected(tmp_path):
    plain = await _trained(tmp_path / "sft", {"prompts": 3}, "sft", cycles=2)
    both = await _trained(tmp_path / "negatives", {"prompts": 3}, "negatives", cycles=2)
    assert plain
    for chosen, pairs in zip(plain, both, strict=True):
        assert {(pair.prompt, pair.completion) for pair in pairs} == {(pair.prompt, pair.completion) for pair in chosen}
        assert any(pair.rejected for pair in pairs)
        assert len(pairs) <= 2 * len(chosen)


async def test_a_run_without_preferences_goes_on_with_the_adapter_that_it_has(tmp_path):
    world = World(tmp_path)  # whose generator never says the same twice, whatever the spec promises
    await world.request(spec(cycles=2, candidates=6, generation={"answers": 2}, training={"method": "dpo"}))
    await world.run_to_end()
    assert not [message for message in world.published if isinstance(message, TrainingRequested)]
    cycles = await world.store.cycles("run-1")
    assert [(cycle.adapter, cycle.closed is not None) for cycle in cycles] == [(None, True)] * 2


async def test_a_run_begins_by_sft_whatever_follows(tmp_path):
    from services.registry.control.pairs import put_bootstrap

    world = World(tmp_path)
    world.services["generator"] = Sharing()
    ref = await put_bootstrap(world.blobs, ['{"prompt": "a", "completion": "b"}'])
    start = {"pairs": ref.model_dump(), "count": 1, "replay": True}
    await world.request(
        spec(cycles=2, candidates=12, generation={"answers": 4}, training={"method": "dpo"}, bootstrap=start)
    )
    await world.run_to_end()
    asked = [message for message in world.published if isinstance(message, TrainingRequested)]
    assert [message.training.method for message in asked] == ["sft", *["dpo"] * (len(asked) - 1)]
    assert len(asked) > 1
    for message in asked[1:]:
        assert "b" not in {pair.completion for pair in decoded(await world.blobs.get(message.pairs), "pairs")}


async def test_answers_to_one_prompt_share_its_seed_and_not_their_own(tmp_path):
    world = World(tmp_path)
    await world.request(spec(cycles=2, generation={"answers": 3}, training={"method": "dpo"}))
    await world.run_to_end()
    asked = {(m.cycle, m.index): m for m in world.published if isinstance(m, GenerationRequested)}
    shared = {(cycle, index // 3): message.prompt_seed for (cycle, index), message in asked.items()}
    assert len(set(shared.values())) == len(shared) == 4
    assert all(message.prompt_seed == shared[cycle, index // 3] for (cycle, index), message in asked.items())
    assert len({message.seed for message in asked.values()}) == 12
