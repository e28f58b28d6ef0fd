"""What every store promises the run controller: who leads, how far was asked, what is open."""

import asyncio
from typing import Any

import pytest

from archloop.contracts.base import Message
from archloop.contracts.messages import CandidateEvaluatedFailed, RunFinished, RunRequested
from services.registry.records import CandidateQuery
from services.registry.stores.control_port import Lease
from services.registry.stores.port import Store
from tests.contract import test_store
from tests.contract.test_store import AT, RUN, SPEC, evaluated, generated, judged, lost, record

opener, store = test_store.opener, test_store.store


async def test_a_lease_goes_to_one_of_many_who_saw_the_same(store: Store) -> None:
    assert await store.lease() is None
    taken = await asyncio.gather(*(store.take(None, name) for name in "abcde"))
    (own,) = [each for each in taken if each is not None]
    assert await store.lease() == own
    again = await asyncio.gather(*(store.take(own, name) for name in "abcde"))
    (following,) = [each for each in again if each is not None]
    assert following.beat == own.beat + 1
    assert await store.lease() == following


@pytest.mark.parametrize(
    "seen",
    [None, Lease("a", 1), Lease("b", 2), Lease("a", 3), Lease("", 2)],
    ids=["none", "an earlier beat", "another holder", "a later beat", "nobody"],
)
async def test_a_lease_that_is_not_as_it_was_seen_is_not_taken(store: Store, seen: Lease | None) -> None:
    first = await store.take(None, "a")
    now = await store.take(first, "a")
    assert now == Lease("a", 2)
    assert await store.take(seen, "c") is None
    assert await store.lease() == now


async def test_a_range_is_claimed_once_whoever_asks_at_once(store: Store) -> None:
    assert await store.asked(RUN, "c0") == 0
    for start, stop in ((0, 3), (3, 7)):
        claimed = await asyncio.gather(*(store.claim(RUN, "c0", start, stop) for _ in range(8)))
        assert sum(claimed) == 1
        assert await store.asked(RUN, "c0") == stop


@pytest.mark.parametrize(("start", "stop"), [(0, 5), (2, 5), (4, 5), (9, 10)])
async def test_a_range_is_claimed_only_where_the_last_one_ended(store: Store, start: int, stop: int) -> None:
    assert await store.claim(RUN, "c0", 0, 3)
    assert not await store.claim(RUN, "c0", start, stop)
    assert await store.asked(RUN, "c0") == 3
    assert await store.asked(RUN, "c1") == await store.asked("other", "c0") == 0


@pytest.mark.parametrize(
    ("messages", "step"),
    [
        ([], "generation"),
        ([generated()], "evaluation"),
        ([evaluated()], "generation"),
        ([evaluated(), judged()], "generation"),
        ([generated(), evaluated()], "judgement"),
        ([generated(), judged()], "evaluation"),
        ([generated(), evaluated(accuracy=None)], None),
        ([generated(), evaluated(), judged()], None),
        ([lost()], None),
    ],
)
async def test_what_is_open_is_told_with_the_message_and_in_the_list(
    store: Store, messages: list[Message], step: str | None
) -> None:
    recorded = await record(store, *messages)
    assert await store.open_steps(RUN, 0, 1) == ({0: step} if step else {})
    if recorded:
        assert recorded[-1].step == step


async def test_open_are_those_below_the_bound_in_order(store: Store) -> None:
    settled = [generated(0), evaluated(0, accuracy=None)]
    await record(store, generated(1), *settled)
    assert await store.open_steps(RUN, 0, 0) == {}
    assert list((await store.open_steps(RUN, 0, 4)).items()) == [
        (1, "evaluation"),
        (2, "generation"),
        (3, "generation"),
    ]
    assert await store.open_steps(RUN, 7, 2) == dict.fromkeys((0, 1), "generation")


async def test_a_submission_is_nothing_of_the_cycle(store: Store) -> None:
    code = generated().code
    answer = CandidateEvaluatedFailed(run_id=RUN, submission="s", code=code, evaluation=evaluated().evaluation)
    await record(store, answer)
    assert await store.open_steps(RUN, 0, 1) == {0: "generation"}


@pytest.mark.parametrize(
    ("bounds", "expected"),
    [
        ({"first": 1}, [1]),
        ({"below": 1}, [0]),
        ({"first": 0, "below": 2}, [0, 1]),
        ({"first": 1, "below": 1}, []),
        ({"first": 5}, []),
        ({}, [0, 1]),
    ],
)
async def test_candidates_are_found_by_range(store: Store, bounds: dict[str, Any], expected: list[int]) -> None:
    await record(store, generated(0), generated(1))
    page = await store.candidates(CandidateQuery(run_id=RUN, cycle=0, **bounds))
    assert ([c.index for c in page.items], page.total) == (expected, len(expected))


async def test_messages_that_were_not_said_are_told(store: Store) -> None:
    await record(store, generated(0))
    ids = [generated(index).id for index in range(3)]
    assert await store.unsaid(ids) == set(ids[1:])
    assert await store.unsaid([]) == set()


async def test_unfinished_runs_are_listed_by_name_first_come_first(store: Store) -> None:
    await record(store, RunRequested(run_id="b", spec=SPEC), RunRequested(run_id="a", spec=SPEC))
    assert await store.unfinished() == [RUN, "b", "a"]
    await store.record(RunFinished(run_id="b", reason="completed"), AT)
    assert await store.unfinished() == [RUN, "a"]
