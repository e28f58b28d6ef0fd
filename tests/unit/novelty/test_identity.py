"""What was judged under a name says nothing of what has the name now; the same content has the same verdict."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloop.contracts.base import derived_id
from archloop.contracts.messages import CandidateLost
from archloop.contracts.spec import NoveltySpec
from archloop.contracts.values import Outcome, Verdict
from services.novelty.sqlite import SqliteSignatures

OLD, NEW = derived_id("run", "run-1", 1), derived_id("run", "run-1", 2)
# What each index of a cycle is: a network's seed, a failure, or lost.
LIVES = {
    "other code": ([3, 5, 8], [13, 15, 18]),
    "the same code": ([3, 5, 8], [3, 5, 8]),
    "the same code elsewhere": ([3, 5, 8], [8, 3, 5]),
    "code after a failure": (["failed", 5, "failed"], [3, 5, 8]),
    "a failure after code": ([3, 5, 8], [3, "failed", 9]),
    "code after a loss": (["lost", "lost", 8], [3, 5, 9]),
    "a loss after code": ([3, 5, 8], ["lost", 5, 13]),
    "more candidates": ([3], [5, 8, 3, 13]),
    "fewer candidates": ([3, 5, 8, 13], [5, 3]),
    "an earlier run that waited for its first": ([None, 5, 8], [3, 5, 8]),
    "an earlier run that had nothing": ([], [3, 5, 8]),
}


def heard(evaluated, seed_net, uid, index, what):
    if what == "lost":
        return CandidateLost(run_id="run-1", run_uid=uid, index=index, step="generation", asked=3)
    code, outcome = ("x", Outcome.BUILD_ERROR) if what == "failed" else (seed_net(what), Outcome.OK)
    return evaluated(index, code, outcome, run_uid=uid)


def cycle(evaluated, seed_net, uid, whats):
    return [heard(evaluated, seed_net, uid, i, what) for i, what in enumerate(whats) if what is not None]


async def told(handler, messages):
    return [verdict for message in messages for verdict in await handler.handle(message)]


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("kept", ["in memory", "in a file opened anew"])
async def test_a_run_of_a_name_that_was_forgotten_is_judged_as_on_an_empty_store(
    evaluated, seed_net, handler_on, tmp_path, life, kept
):
    before, after = LIVES[life]
    expected = await told(handler_on(), cycle(evaluated, seed_net, NEW, after))
    path = ":memory:" if kept == "in memory" else tmp_path / "s.sqlite"
    store = SqliteSignatures(path)
    handler = handler_on(store)
    await told(handler, cycle(evaluated, seed_net, OLD, before))
    if kept != "in memory":
        store.close()
        handler = handler_on(SqliteSignatures(path))
    assert await told(handler, cycle(evaluated, seed_net, NEW, after)) == expected
    assert {verdict.run_uid for verdict in expected} == {NEW}


@settings(max_examples=15, deadline=None)
@given(data=st.data())
async def test_two_runs_of_one_name_in_any_order_are_judged_each_by_itself(data, evaluated, seed_net, handler_on):
    runs = [cycle(evaluated, seed_net, OLD, [3, 5, "failed", 5]), cycle(evaluated, seed_net, NEW, [5, 3, 3, 8])]
    expected = [await told(handler_on(), run) for run in runs]
    said = await told(handler_on(), data.draw(st.permutations(runs[0] + runs[1])))
    for uid, verdicts in zip((OLD, NEW), expected, strict=True):
        assert [v for v in said if v.run_uid == uid] == verdicts


async def test_an_emptied_store_judges_what_the_registry_says_again(evaluated, seed_net, handler_on):
    messages = cycle(evaluated, seed_net, OLD, [3, 5, "failed", "lost", 8])
    expected = await told(handler_on(), messages)
    await told(handler_on(), messages[:3])
    assert await told(handler_on(), messages) == expected


@pytest.mark.parametrize("first", ["before the others", "after all"])
async def test_a_candidate_that_was_answered_twice_has_a_verdict_for_each_answer(
    evaluated, seed_net, handler_on, first
):
    handler = handler_on()
    one, other = (heard(evaluated, seed_net, OLD, 1, what) for what in (3, 5))
    rest = [heard(evaluated, seed_net, OLD, index, what) for index, what in ((0, 8), (2, 13))]
    order = [one, other, *rest] if first == "before the others" else [*rest, one, other]
    said = await told(handler, order)
    assert sorted(v.index for v in said) == [0, 1, 1, 2]
    assert {v.code_sha256 for v in said if v.index == 1} == {one.code.sha256, other.code.sha256}
    for message in order:
        assert await handler.handle(message) == await handler.handle(message)


THEIRS = {
    "code": lambda evaluated, net: evaluated(0, net(5), submission="s"),
    "code that failed": lambda evaluated, net: evaluated(0, net(3), Outcome.DIVERGED, submission="s"),
    "threshold": lambda evaluated, net: evaluated(0, net(3), submission="s", novelty=NoveltySpec(threshold=0.5)),
    "protocol": lambda evaluated, net: of_protocol(evaluated(0, net(3), submission="s"), "1" * 64),
    "batch": lambda evaluated, net: evaluated(0, net(3), submission="s", run_id="run-2"),
}


def of_protocol(message, sha256):
    evaluation = message.evaluation.model_copy(update={"protocol_sha256": sha256})
    return message.model_copy(update={"evaluation": evaluation})


@pytest.mark.parametrize("other", THEIRS)
async def test_a_submission_of_the_same_name_and_other_content_is_judged_anew(evaluated, seed_net, handler_on, other):
    handler = handler_on()
    first, second = evaluated(0, seed_net(3), submission="s"), THEIRS[other](evaluated, seed_net)
    (verdict,) = await handler.handle(first)
    assert verdict.verdict is Verdict.NOVEL
    anew = await handler.handle(second)
    assert len(anew) == (0 if other == "code that failed" else 1)
    assert [v.nearest for v in anew if v.verdict is Verdict.EXACT_DUPLICATE] in ([], [first.candidate_id])
    for _ in range(2):
        assert await handler.handle(first) == [verdict]
        assert await handler.handle(second) == anew


async def test_what_is_nearest_is_told_by_a_name_that_the_registry_has(evaluated, seed_net, handler_on):
    handler = handler_on()
    (first,) = await handler.handle(evaluated(0, seed_net(3), run_uid=OLD))
    (copy,) = await handler.handle(evaluated(1, seed_net(3), run_uid=OLD))
    (theirs,) = await handler.handle(evaluated(0, seed_net(3), submission="s"))
    assert copy.nearest == theirs.nearest == first.candidate_id
    assert len({v.id for v in itertools.chain([first, copy, theirs])}) == 3
