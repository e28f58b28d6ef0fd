import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.messages import CandidateLost
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.values import Outcome, SourceCode, Verdict, sha256_of

# What each index of a cycle turned out to be: a network's seed, a failure, or lost.
CYCLE = [3, "failed", 3, 5, "lost", 5, 8, 3, "failed", 9]


def heard(evaluated, seed_net, index: int, what: object, **fields):
    if what == "lost":
        return CandidateLost(run_id="run-1", index=index, step="generation", asked=3, **fields)
    if what == "failed":
        return evaluated(index, "x", Outcome.BUILD_ERROR, **fields)
    return evaluated(index, seed_net(what), **fields)


def cycle_of(evaluated, seed_net, cycle: int = 0):
    return [heard(evaluated, seed_net, index, what, cycle=cycle) for index, what in enumerate(CYCLE)]


async def told(handler, messages):
    """Everything that the handler says to these messages, in order."""
    return [verdict for message in messages for verdict in await handler.handle(message)]


async def test_of_copies_within_a_cycle_the_lowest_index_is_novel(evaluated, seed_net, handler_on):
    verdicts = await told(handler_on(), cycle_of(evaluated, seed_net))
    assert [(v.index, v.verdict) for v in verdicts] == [
        (0, Verdict.NOVEL),
        (2, Verdict.EXACT_DUPLICATE),
        (3, Verdict.NOVEL),
        (5, Verdict.EXACT_DUPLICATE),
        (6, Verdict.NOVEL),
        (7, Verdict.EXACT_DUPLICATE),
        (9, Verdict.NOVEL),
    ]
    assert verdicts[1].nearest == verdicts[0].candidate_id
    assert (verdicts[0].nearest, verdicts[0].similarity) == (None, 0.0)


@settings(max_examples=15, deadline=None)
@given(data=st.data())
async def test_any_order_of_arrival_with_redeliveries_gives_the_same_verdicts(data, evaluated, seed_net, handler_on):
    messages = cycle_of(evaluated, seed_net)
    expected = await told(handler_on(), messages)
    order = data.draw(st.permutations(messages))
    again = data.draw(st.lists(st.sampled_from(order), max_size=5))
    handler = handler_on()
    first = await told(handler, order)
    assert first == expected
    assert not set(map(str, await told(handler, again))) - set(map(str, expected))


async def test_a_verdict_waits_for_lower_indices_and_a_loss_releases_it(evaluated, seed_net, handler_on):
    handler = handler_on()
    assert await handler.handle(heard(evaluated, seed_net, 1, 3)) == []
    assert await handler.handle(heard(evaluated, seed_net, 2, 5)) == []
    released = await handler.handle(heard(evaluated, seed_net, 0, "lost"))
    assert [verdict.index for verdict in released] == [1, 2]


async def test_a_redelivered_message_releases_the_same_verdicts_again(evaluated, seed_net, handler_on):
    handler = handler_on()
    messages = cycle_of(evaluated, seed_net)
    late = messages[0]
    await told(handler, messages[1:])
    released = await handler.handle(late)
    assert len(released) == 7
    assert await handler.handle(late) == released
    assert await handler.handle(messages[2]) == []


async def test_a_lost_candidate_that_answers_after_all_changes_nothing(evaluated, seed_net, handler_on):
    handler = handler_on()
    await handler.handle(heard(evaluated, seed_net, 0, "lost"))
    assert await handler.handle(heard(evaluated, seed_net, 0, 3)) == []
    (verdict,) = await handler.handle(heard(evaluated, seed_net, 1, 3))
    assert verdict.verdict is Verdict.NOVEL


async def test_cycles_and_runs_have_marks_of_their_own(evaluated, seed_net, handler_on):
    handler = handler_on()
    await handler.handle(heard(evaluated, seed_net, 1, 3))
    (next_cycle,) = await handler.handle(heard(evaluated, seed_net, 0, 5, cycle=1))
    (other_run,) = await handler.handle(evaluated(0, seed_net(5), run_id="run-2"))
    assert next_cycle.verdict is Verdict.NOVEL
    assert other_run.verdict is Verdict.NOVEL


async def test_a_later_cycle_is_judged_against_the_earlier_ones(evaluated, seed_net, handler_on):
    handler = handler_on()
    (first,) = await handler.handle(heard(evaluated, seed_net, 0, 3))
    (copy,) = await handler.handle(heard(evaluated, seed_net, 0, 3, cycle=1))
    assert (copy.verdict, copy.nearest) == (Verdict.EXACT_DUPLICATE, first.candidate_id)


async def test_global_scope_sees_other_runs(evaluated, seed_net, handler_on):
    handler = handler_on()
    await handler.handle(evaluated(0, seed_net(3)))
    (verdict,) = await handler.handle(
        evaluated(0, seed_net(3), run_id="run-2", novelty=NoveltySpec(scope="global", threshold=0.9))
    )
    assert (verdict.verdict, verdict.threshold) == (Verdict.EXACT_DUPLICATE, 0.9)


async def test_a_submission_is_judged_at_once_against_everything_and_joins_no_run(evaluated, seed_net, handler_on):
    handler = handler_on()
    await handler.handle(evaluated(0, seed_net(3)))
    (submitted,) = await handler.handle(evaluated(0, seed_net(3), submission="theirs"))
    await handler.handle(evaluated(0, seed_net(5), submission="more"))
    (second,) = await handler.handle(evaluated(1, seed_net(5)))
    assert (submitted.verdict, submitted.submission) == (Verdict.EXACT_DUPLICATE, "theirs")
    assert second.verdict is Verdict.NOVEL


async def test_near_copies_are_measured_against_near_copies_too(evaluated, handler_on):
    chain = [chained(range(start, start + 60)) for start in range(0, 20, 2)]
    verdicts = await told(handler_on(), [evaluated(index, code) for index, code in enumerate(chain)])
    assert {v.verdict for v in verdicts[1:]} == {Verdict.NEAR_DUPLICATE}
    assert [v.nearest for v in verdicts[1:]] == [v.candidate_id for v in verdicts[:-1]]


def chained(functions) -> str:
    return "class Net:\n    def forward(self, x):\n" + "".join(f"        x = f{n}(x)\n" for n in functions)


async def test_code_in_a_blob_is_fetched_and_judged_like_inline_code(evaluated, seed_net, handler_on, tmp_path):
    blobs = DirectoryBlobs(tmp_path)
    code = seed_net(3)
    ref = await blobs.put("code/large.py", code.encode())
    handler = handler_on(blobs=blobs)
    await handler.handle(evaluated(0, code))
    (verdict,) = await handler.handle(evaluated(1, "", source=SourceCode(sha256=sha256_of(code), blob=ref)))
    assert verdict.verdict is Verdict.EXACT_DUPLICATE


DEEP = f"class Net:\n    def forward(self, x):\n        return {'(' * 90}x{')' * 90}\nx = {'-' * 20_000}1\n"


@pytest.mark.parametrize(
    "code", ["def (", "class Net(", "x = '\\0" + "\0'", DEEP, "x = 1\n" * 200_000, "\ufeff\ufeffx = 1", "§"]
)
async def test_a_valid_candidate_that_cannot_be_read_is_judged_as_it_is_written(evaluated, seed_net, handler_on, code):
    """Whatever the evaluator trained gets a verdict: its cycle waits for nobody."""
    handler = handler_on()
    await handler.handle(heard(evaluated, seed_net, 2, 3))
    first = await handler.handle(evaluated(0, code))
    second = await handler.handle(evaluated(1, code + "\n"))
    verdicts = [verdict.verdict for verdict in [*first, *second]]
    assert verdicts == [Verdict.NOVEL, Verdict.EXACT_DUPLICATE, Verdict.NOVEL]


async def test_a_fault_of_the_reader_is_told_and_does_not_park(evaluated, seed_net, handler_on, monkeypatch):
    monkeypatch.setattr("services.novelty.handlers.features", lambda *_, **__: {}["nobody thought of it"])
    with capture_logs() as logs:
        (verdict,) = await handler_on().handle(evaluated(0, seed_net(3)))
    assert (verdict.verdict, verdict.family) == (Verdict.NOVEL, "plain")
    assert logs[0]["log_level"] == "error"


async def test_what_was_submitted_with_a_byte_order_mark_is_the_same_network(evaluated, seed_net, handler_on, tmp_path):
    blobs = DirectoryBlobs(tmp_path)
    code = "\ufeff# coding: latin-1\n" + seed_net(3).replace("\n", "\r\n")
    source = SourceCode(sha256=sha256_of(code), blob=await blobs.put("code/marked.py", code.encode()))
    handler = handler_on(blobs=blobs)
    told = [await handler.handle(evaluated(0, seed_net(3))), await handler.handle(evaluated(1, "", source=source))]
    told.append(await handler.handle(evaluated(2, code)))
    assert [v.verdict for (v,) in told] == [Verdict.NOVEL, Verdict.EXACT_DUPLICATE, Verdict.EXACT_DUPLICATE]
