"""Candidates are asked for as a window that moves on, and what was asked for is remembered by the store."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from archloop.contracts.messages import CandidateEvaluatedOk, CandidateGenerated, GenerationRequested
from archloop.errors import Unavailable
from services.registry.control.controller import Controller
from services.registry.control.pending import PendingRequest
from services.registry.control.progress import NARROW, Front, Window
from services.registry.handlers import RegistryHandler
from services.registry.records import CandidateQuery
from tests.unit.registry.world import PATIENCE, RUN, World, spec

LARGE = spec(cycles=1, candidates=80, frozen=True)


def world_of(folder: Path, window: int = 32, *, lasting: bool = True) -> World:
    world = World(folder, replace(PATIENCE, window=window))
    world.controller.lasting = lasting
    return world


def asked(world: World) -> Counter[int]:
    return Counter(m.index for m in world.published if isinstance(m, GenerationRequested))


async def restarted(world: World) -> None:
    """Another process goes on; what waits in queues is still there."""
    await world.restart_registry()
    world.controller.lasting = True


@pytest.mark.parametrize(
    ("asked", "working", "wanted", "width", "room"),
    [
        (0, 0, 6, 16, 6),
        (0, 0, 256, 16, 256),
        (0, 0, 257, 16, 16),
        (100, 16, 1000, 16, 0),
        (100, 13, 1000, 16, 0),
        (100, 12, 1000, 16, 4),
        (100, 0, 1000, 64, 64),
        (998, 40, 1000, 64, 2),
        (100, 250, 120, 16, 0),
        (1000, 0, 1000, 16, 0),
    ],
)
def test_room_is_what_is_left_of_the_window_unless_that_is_little(asked, working, wanted, width, room) -> None:
    front = Front(asked, dict.fromkeys(range(working), "evaluation"))
    assert Window(256, width=width).room(front, wanted) == room


def test_a_window_widens_while_nothing_waits_and_narrows_while_much_does() -> None:
    window, widths = Window(100), []
    for waiting in (0, 0, 0, 5, 16, 17, 999, 999, 999, 0):
        window.pace(waiting)
        widths.append(window.width)
    assert widths == [32, 64, 100, 100, 100, 50, 25, 16, 16, 32]


@pytest.mark.parametrize(("waiting", "behind", "width"), [(0, 0, 64), (0, 16, 64), (0, 17, 16), (9, 9, 16), (9, 5, 32)])
def test_a_registry_that_is_behind_asks_for_less_though_workers_are_idle(waiting: int, behind: int, width: int) -> None:
    window = Window(256, width=32)
    window.pace(waiting, behind)
    assert window.width == width


@pytest.mark.parametrize("most", [1, 3, 15, 16, 40])
def test_no_window_is_wider_than_the_setting_or_nothing(most: int) -> None:
    window = Window(most)
    for waiting in (0, 99, 99, 0, 0):
        window.pace(waiting)
        assert 0 < window.room(Front(), 10**6) <= most


async def test_a_large_cycle_goes_to_its_end_with_never_more_than_the_window_under_way(tmp_path: Path) -> None:
    world, most = world_of(tmp_path, 32), 0
    await world.request(LARGE)
    for _ in range(5000):
        if not world.pending:
            break
        await world.deliver()
        evaluated = {m.id for m in world.published if m.name.startswith("candidate.evaluated")}
        most = max(most, len(asked(world)) - len(evaluated))
    assert NARROW <= most <= 32
    assert (await world.store.run(RUN)).reason == "completed"
    assert asked(world) == Counter(range(80))


async def test_the_end_does_not_depend_on_the_window(tmp_path: Path) -> None:
    ends = []
    for window in (3, 32, 1000):
        world = world_of(tmp_path / str(window), window)
        await world.request(spec(cycles=2, candidates=24))
        await world.run_to_end()
        rows = (await world.store.candidates(CandidateQuery(run_id=RUN))).items
        ends.append([(c.candidate_id, c.code_sha256, c.evaluation, c.judgement, c.admitted) for c in rows])
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("deliveries", [1, 20, 55, 200])
async def test_after_a_restart_nothing_is_asked_for_that_still_waits(tmp_path: Path, deliveries: int) -> None:
    world = world_of(tmp_path)
    await world.request(LARGE)
    for _ in range(deliveries):
        await world.deliver()
    await world.deliver_to_registry()
    await restarted(world)
    await world.wait(0)
    await world.run_to_end()
    assert asked(world) == Counter(range(80))
    for kind in (CandidateGenerated, CandidateEvaluatedOk):
        assert max(Counter(m.id for m in world.published if isinstance(m, kind)).values()) == 1


@pytest.mark.parametrize("said", [0, 1, 7, 15])
async def test_what_was_claimed_and_not_said_is_said_by_the_next_process(tmp_path: Path, said: int) -> None:
    world = world_of(tmp_path)
    await world.request(LARGE)
    _, message = world.pending.pop(0)
    answers = await world.services["registry"].handle(message)
    assert len(answers) == NARROW
    world.publish(answers[:said])
    await world.deliver_to_registry()
    await restarted(world)
    await world.wait(0)
    assert asked(world) == Counter(range(NARROW))
    await world.run_to_end()
    assert asked(world) == Counter(range(80))


async def test_of_two_that_believe_to_lead_one_asks(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.request(LARGE)
    await world.deliver()
    other = Controller(world.store, world.blobs, world.patience, lasting=True)
    late = RegistryHandler(world.store, other, lambda: world.now)
    await other.next(RUN, world.now)
    while len(asked(world)) == NARROW:
        await world.deliver()
    for conversation in other._conversations.values():
        conversation.open.front.working.clear()
    with pytest.raises(Unavailable, match="another registry"):
        await other.next(RUN, world.now)
    assert not other.knows(RUN), "it reads the rows before it says anything more"
    assert late is not None


@pytest.mark.parametrize(("count", "wait_s"), [(0, 100), (1, 100), (2, 200), (3, 400), (4, 400), (50, 400)])
def test_an_answer_is_waited_for_twice_as_long_each_time_up_to_four_times(count: int, wait_s: float) -> None:
    assert PendingRequest(100.0, 10.0, count).wait_s == wait_s


@pytest.mark.parametrize(("missed", "wait_s"), [(0, 10), (1, 20), (2, 40), (3, 80), (4, 100), (10**6, 100)])
def test_what_does_not_come_back_is_said_again_less_and_less_often(missed: int, wait_s: float) -> None:
    assert PendingRequest(100.0, 10.0, 1, missed, published=False).wait_s == wait_s


async def test_a_request_that_waits_in_its_queue_is_counted_and_not_made_again(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    await world.request(spec(cycles=1, frozen=True))
    await world.deliver()
    await world.deliver_to_registry()
    for _ in range(40):
        world.now += timedelta(seconds=world.patience.answer_s)
        world.publish(await world.controller.next(RUN, world.now, frozenset({"generation"})))
        await world.deliver_to_registry()
        if (await world.store.run(RUN)).finished:
            break
    assert asked(world) == Counter(range(6))
    assert (await world.store.run(RUN)).reason.startswith("cycle 0: every candidate was lost")


async def test_a_large_run_of_which_nothing_is_answered_fails_after_its_first_window(tmp_path: Path) -> None:
    world = world_of(tmp_path)
    world.evaluator.deaf_to = set(range(80))
    await world.request(LARGE)
    await world.run_to_end()
    assert (await world.store.run(RUN)).reason.startswith("cycle 0: every candidate was lost")
    assert set(asked(world)) == set(range(NARROW))


@pytest.mark.parametrize("limit", [{"tokens": 10**6}, {"cost": 1e6}, {"wall_seconds": 1e8}, {"candidates": 80}])
async def test_a_budget_keeps_the_window_narrow(tmp_path: Path, limit: dict[str, float]) -> None:
    world = world_of(tmp_path, 1000)
    await world.request(spec(cycles=1, candidates=80, frozen=True, budget=limit))
    await world.deliver()
    assert len(asked(world)) == NARROW


async def test_a_trial_is_asked_for_as_a_window_too(tmp_path: Path) -> None:
    world = world_of(tmp_path, 8)
    await world.request(spec(cycles=2, gate={"candidates": 20}))
    trials: Counter[str] = Counter()
    while world.pending:
        await world.deliver()
        trials = Counter(m.candidate_id for m in world.published if isinstance(m, GenerationRequested) and m.submission)
        done = {m.candidate_id for m in world.published if m.name.startswith("candidate.evaluated") and m.submission}
        assert len(set(trials) - done) <= 2 * 8
    assert (len(trials), set(trials.values())) == (40, {1})
    assert (await world.store.run(RUN)).reason == "completed"
