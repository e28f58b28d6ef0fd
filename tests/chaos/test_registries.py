"""Registries that are killed, replaced and ended in the midst of runs: one speaks at a time, and asks once."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from archloop.contracts.spec import RunSpec
from tests.chaos.registries import Registries, until
from tests.servers.rabbitmq import RabbitMQ
from tests.servers.s3 import S3
from tests.unit.registry.world import spec

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture
async def registries(tmp_path: Path, mortal_broker: RabbitMQ, mongo_url: str, s3: S3) -> AsyncIterator[Registries]:
    registries = Registries(tmp_path, mortal_broker, mongo_url, s3)
    async with registries.others():
        yield registries


def plain(candidates: int) -> RunSpec:
    """One cycle."""
    return spec(cycles=1, candidates=candidates, frozen=True)


def asked_once(registries: Registries, run_id: str, count: int) -> None:
    for worker in (registries.generator, registries.evaluator):
        asked = worker.of(run_id)
        assert (len(asked), set(asked.values())) == (count, {1})


async def test_a_standby_reads_takes_requests_and_leads_once_the_leader_is_killed(registries: Registries) -> None:
    registries.evaluator.seconds = 0.2
    await registries.start("a")
    await registries.start("b")
    await registries.request("b", "r", plain(16))
    await until(lambda: len(registries.evaluator.asked) >= 6)
    assert (await registries.read("b", "/runs/r")).body["status"] == "running"
    assert (registries.leads("a"), registries.leads("b")) == (1, 0)
    registries.processes["a"].kill()
    assert await registries.ended("b", "r") == "completed"
    assert registries.leads("b")
    asked_once(registries, "r", 16)


async def test_one_that_was_frozen_says_nothing_when_it_wakes(registries: Registries) -> None:
    registries.evaluator.seconds = 0.2
    a = await registries.start("a")
    await registries.start("b")
    await registries.request("a", "r", plain(16))
    await until(lambda: len(registries.evaluator.asked) >= 5)
    assert a.running is not None
    a.running.send_signal(signal.SIGSTOP)
    await until(lambda: registries.leads("b"))
    a.running.send_signal(signal.SIGCONT)
    assert await registries.ended("b", "r") == "completed"
    asked_once(registries, "r", 16)


async def test_a_rolling_update_asks_for_nothing_twice(registries: Registries) -> None:
    registries.evaluator.seconds = 0.3
    await registries.start("0")
    await registries.request("0", "r", plain(24))
    for each in range(3):
        await until(lambda each=each: len(registries.evaluator.asked) >= 6 * (each + 1))
        await registries.start(str(each + 1))
        code = await asyncio.to_thread(registries.processes[str(each)].end, 20)
        assert code == 0
        await until(lambda each=each: registries.leads(str(each + 1)))
    assert await registries.ended("3", "r") == "completed"
    asked_once(registries, "r", 24)


async def test_a_large_run_ends_with_the_registry_goes_on_with_the_next_and_leaves_room_for_others(
    registries: Registries,
) -> None:
    registries.generator.seconds = 0.2  # nobody waits for many of them
    first = await registries.start("first")
    await registries.request("first", "large", plain(100_000))
    await until(lambda: len(registries.generator.of("large")) >= 20)
    assert await asyncio.to_thread(first.end, 20) == 0
    before = registries.generator.of("large")
    assert len(before) < 1000, "asked for as a window, and not at once"
    await registries.start("second")
    await registries.request("second", "small", plain(10))
    assert await registries.ended("second", "small") == "completed"
    await until(lambda: len(registries.generator.of("large")) >= len(before) + 10)
    assert (await registries.read("second", "/runs/large")).body["status"] == "running"
    asked_once(registries, "small", 10)
    asked = registries.generator.of("large")
    assert not [each for each, count in asked.items() if count > 1]
    assert set(before) <= set(asked)
