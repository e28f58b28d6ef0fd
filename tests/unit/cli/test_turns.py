"""Roles that exclude each other work by turns, and none waits for ever."""

import asyncio
import itertools

import pytest

from archloop.bus.memory import MemoryBus
from archloop.contracts.topology import EVALUATOR, GENERATOR, TRAINER
from archloop_cli.turns import Turns, in_turn
from archloop_lab.placement import Role

SERVE, EVALUATE, TRAIN = Role.SERVE, Role.EVALUATE, Role.TRAIN
PAIRS = [frozenset(pair) for pair in itertools.combinations(Role, 2)]


class Work:
    """Records who works beside whom."""

    def __init__(self, turns: Turns) -> None:
        self.turns, self.now, self.beside, self.order = turns, [], set(), []

    async def do(self, role: Role, steps: int = 3) -> None:
        async with self.turns.held(role):
            self.now.append(role)
            self.order.append(role)
            for _ in range(steps):
                self.beside |= {frozenset({role, other}) for other in self.now if other != role}
                await asyncio.sleep(0)
            self.now.remove(role)


@pytest.mark.parametrize("count", range(len(PAIRS) + 1))
async def test_only_those_that_exclude_each_other_never_work_at_the_same_time(count: int) -> None:
    for excluded in itertools.combinations(PAIRS, count):
        work = Work(Turns(excluded, linger_s=0))
        async with asyncio.timeout(20):
            await asyncio.gather(*(work.do(role) for role in [*Role] * 8))
        assert work.beside.isdisjoint(excluded)
        assert bool(work.beside) == (count < len(PAIRS))
        assert len(work.order) == 24


async def test_a_role_keeps_its_turn_while_it_has_work() -> None:
    work = Work(Turns(PAIRS, linger_s=0))
    await asyncio.gather(*(work.do(role) for role in [SERVE, TRAIN, SERVE, EVALUATE, SERVE, TRAIN]))
    assert [role for role, _ in itertools.groupby(work.order)] in ([SERVE, TRAIN, EVALUATE], [SERVE, EVALUATE, TRAIN])


async def test_a_role_that_pauses_shortly_keeps_its_turn_and_then_gives_it_up() -> None:
    work = Work(Turns(PAIRS, linger_s=0.5))
    await work.do(SERVE)
    trained = asyncio.create_task(work.do(TRAIN))
    await asyncio.sleep(0.01)
    await work.do(SERVE)
    assert work.order == [SERVE, SERVE]
    async with asyncio.timeout(20):
        await trained
    assert work.order == [SERVE, SERVE, TRAIN]


@pytest.mark.parametrize(("role", "freed"), [(SERVE, 0), (EVALUATE, 0), (TRAIN, 1)])
async def test_what_a_role_keeps_is_freed_before_one_that_it_excludes_begins(role: Role, freed: int) -> None:
    freed_for = []

    async def free() -> None:
        freed_for.append(work.now[:])

    work = Work(Turns([frozenset({SERVE, TRAIN})], {SERVE: free}, linger_s=0))
    await work.do(SERVE)
    await work.do(role)
    assert freed_for == [[]] * freed


async def test_work_that_fails_or_is_given_up_ends_its_turn() -> None:
    turns = Turns(PAIRS, linger_s=0)
    for error in (ValueError, KeyError, asyncio.CancelledError):
        with pytest.raises(error):
            async with turns.held(SERVE):
                raise error
    waiting = asyncio.create_task(Work(turns).do(SERVE, steps=10**6))
    await asyncio.sleep(0.01)
    given_up = asyncio.create_task(Work(turns).do(TRAIN))
    await asyncio.sleep(0.01)
    for task in (given_up, waiting):
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with asyncio.timeout(20):
        await Work(turns).do(EVALUATE)


async def test_messages_of_roles_that_exclude_each_other_are_handled_by_turns(tmp_path) -> None:
    bus, queues = MemoryBus(parked=tmp_path), {SERVE: GENERATOR, EVALUATE: EVALUATOR, TRAIN: TRAINER}
    work, done = Work(Turns([frozenset({EVALUATE, TRAIN})], linger_s=0)), asyncio.Queue()
    for role, queue in queues.items():
        await bus.declare(queue)

        async def handle(delivery, role=role) -> None:
            await work.do(role)
            await delivery.ack()
            done.put_nowait(role)

        seen = in_turn(bus, work.turns, role)
        await seen.subscribe(queue, handle)
        assert await seen.depth(queue) == 0
    channels = [bus._channels[queue.name] for queue in queues.values()]
    for channel in channels:
        channel.ready.extend([b"a", b"b", b"c"])
        channel.pump()
    async with asyncio.timeout(20):
        assert len([await done.get() for _ in range(9)]) == 9
    assert frozenset({EVALUATE, TRAIN}) not in work.beside
    await bus.close()
