"""How much is asked of a model server at once: less where it says no or is slow, more again while it is well."""

import asyncio
from contextlib import suppress

import pytest

from archloop.errors import Unavailable
from services.generator.backends.pace import Pace, Paced
from services.generator.backends.port import Decoding
from services.generator.errors import GenerationFailed, ServerOverloaded
from tests.unit.generator.fakes import FakeBackend

DECODING = Decoding(5)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pace(clock):
    return Pace(16, slow_s=10.0, clock=clock)


async def take(pace, clock, seconds=1.0, error=None):
    with suppress(Unavailable):
        async with pace.turn():
            clock.now += seconds
            if error is not None:
                raise error


async def several(pace, number, finish):
    """So many turns at once, all begun before the first ends; `finish(index)` is the last that each does."""
    begun, end = asyncio.Semaphore(0), asyncio.Event()

    async def one(index):
        with suppress(Unavailable):
            async with pace.turn():
                begun.release()
                await end.wait()
                finish(index)

    tasks = [asyncio.create_task(one(index)) for index in range(number)]
    for _ in range(number):
        await begun.acquire()
    end.set()
    await asyncio.gather(*tasks)


async def test_overloads_of_requests_that_were_under_way_together_halve_once(pace, clock):
    def overload(_):
        clock.now += 1
        raise ServerOverloaded("full")

    await several(pace, 16, overload)
    assert pace.limit == 8


async def test_an_overload_of_a_later_request_halves_again_down_to_one(pace, clock):
    for expected in (8, 4, 2, 1, 1):
        await take(pace, clock, error=ServerOverloaded("full"))
        assert pace.limit == expected


async def test_good_answers_grow_it_back_by_one_a_round_and_no_further_than_the_most(pace, clock):
    for _ in range(3):
        await take(pace, clock, error=ServerOverloaded("full"))
    assert pace.limit == 2
    await take(pace, clock)
    await take(pace, clock)
    assert 2.8 < pace.limit <= 3
    for _ in range(200):
        await take(pace, clock)
    assert pace.limit == 16


async def test_an_answer_that_takes_long_counts_as_an_overload_whether_good_or_not(pace, clock):
    await take(pace, clock, seconds=11)
    assert pace.limit == 8
    await take(pace, clock, seconds=11, error=Unavailable("in time"))
    assert pace.limit == 4


async def test_a_failure_that_comes_at_once_says_nothing_about_the_load(pace, clock):
    await take(pace, clock, error=GenerationFailed("broken"))
    assert pace.limit == 16


async def test_no_more_than_the_limit_have_a_turn_and_who_gives_up_waiting_leaves_no_trace(clock):
    pace, most, running = Pace(2, 10.0, clock), 0, 0

    async def one():
        nonlocal most, running
        async with pace.turn():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    tasks = [asyncio.create_task(one()) for _ in range(40)]
    await asyncio.sleep(0)
    for task in tasks[10:30]:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert most == 2
    await asyncio.wait_for(one(), 1)


class Overloaded(FakeBackend):
    """Says no so many times."""

    def __init__(self, times) -> None:
        super().__init__()
        self.times = times

    async def generate(self, *asked):
        if self.times:
            self.times -= 1
            raise ServerOverloaded("full")
        return await super().generate(*asked)


async def test_overloads_are_waited_out_with_less_at_once(pace):
    paced = Paced(Overloaded(2), pace, waits_s=(0.0, 0.0))
    assert (await paced.generate("x", DECODING, 1, None)).text
    assert 4 <= pace.limit < 5


async def test_a_server_that_stays_overloaded_is_told_as_such(pace):
    paced = Paced(Overloaded(9), pace, waits_s=(0.0, 0.0))
    with pytest.raises(ServerOverloaded):
        await paced.generate("x", DECODING, 1, None)


async def test_everything_else_goes_straight_to_the_backend(pace, folder):
    inner = FakeBackend()
    paced = Paced(inner, pace)
    await paced.load("code-v1", folder)
    await paced.adopt("code-v1")
    assert await paced.adapters() == {"code-v1"}
    assert (await paced.base(), await paced.ready()) == (await inner.base(), True)
    await paced.unload("code-v1")
    await paced.close()
    assert (inner.loaded, inner.adopted, inner.closed) == ({}, ["code-v1"], True)
