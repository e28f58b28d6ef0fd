"""Parked messages at a deployment's broker, by the command."""

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.bus.parking import ParkingLot
from archloop.bus.port import BusUnavailable, Parked
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateGenerated, CandidateLost
from archloop.contracts.topology import EVALUATOR, NOVELTY, Queue
from archloop.contracts.values import SourceCode
from archloop.errors import InvalidInput
from archloop_lab import lock
from tests.contract.test_bus import Recording, scrubbed, until
from tests.support import archloop, shell_of

ROOT = Path(__file__).parents[2]
HOW_TO = ROOT / "docs/how-to/parked-messages.md"
pytestmark = pytest.mark.timeout(120)


@dataclass
class Deployment:
    """A broker with a parked message in novelty's queue and two in the evaluator's; services that are mended now."""

    bus: AmqpBus
    url: str
    novelty: Recording
    evaluator: Recording

    async def parked(self, queue: Queue | None = None) -> list[Parked]:
        return await self.bus.parked(queue.name if queue else None)

    async def told(self, *arguments: object) -> list[str]:
        """The lines that the command prints."""
        settings = {"ARCHLOOP_CLI_BROKER_URL": self.url}
        result = await asyncio.to_thread(archloop, "parked", *arguments, settings=settings)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout.splitlines()


@pytest.fixture
async def deployment(broker_url: str) -> AsyncIterator[Deployment]:
    bus = AmqpBus(broker_url, "test")
    wrong = InvalidInput("protocol", "nope", "one of shapes")
    deployment = Deployment(bus, broker_url, Recording(wrong), Recording(wrong, wrong))
    await Consumer(bus, NOVELTY, deployment.novelty, "novelty").start()
    await Consumer(bus, EVALUATOR, deployment.evaluator, "evaluator").start()
    code = SourceCode.inline("import torch\n")
    messages: list[Message] = [CandidateLost(run_id="r", index=9, step="generation", asked=3)]
    messages += [CandidateGenerated(run_id="r", index=i, code=code, prompt="", protocol="nope") for i in range(2)]
    for message in messages:
        await bus.publish(Envelope.of(message, source="test"))
    async with asyncio.timeout(10):
        while len(await bus.parked()) < 3:
            await asyncio.sleep(0.05)
    yield deployment
    await scrubbed(bus)
    await bus.close()


async def test_what_is_parked_is_listed_the_oldest_first_for_people_and_for_programs(deployment: Deployment) -> None:
    expected = [(parked.id, parked.queue) for parked in await deployment.parked()]
    lines = await deployment.told("list")
    assert [(line.split()[0], line.split()[3]) for line in lines] == expected
    assert all("protocol: 'nope' is not valid; expected one of shapes" in line for line in lines)
    objects = [json.loads(line) for line in await deployment.told("list", "--json")]
    assert [(each["id"], each["queue"]) for each in objects] == expected
    assert len(await deployment.told("list", "--queue", "evaluator")) == 2
    assert len(await deployment.parked()) == 3


async def test_one_is_shown_whole_and_replayed_by_the_beginning_of_its_id(deployment: Deployment) -> None:
    (parked,) = await deployment.parked(NOVELTY)
    shown = "\n".join(await deployment.told("show", parked.id[:8]))
    for expected in ("queue:   novelty", "InvalidInput", '"step": "generation"'):
        assert expected in shown
    assert await deployment.told("replay", parked.id[:8]) == [f"{parked.id}  novelty     handed over again"]
    await until(lambda: len(deployment.novelty.seen) == 2)
    assert len(await deployment.parked()) == 2


async def test_all_of_one_queue_are_replayed_and_the_others_stay(deployment: Deployment) -> None:
    assert len(await deployment.told("replay", "--all", "--queue", "evaluator")) == 2
    await until(lambda: len(deployment.evaluator.seen) == 4)
    assert [parked.queue for parked in await deployment.parked()] == ["novelty"]


async def test_some_are_dropped_by_the_beginnings_of_their_ids_and_the_others_stay(deployment: Deployment) -> None:
    first, second = await deployment.parked(EVALUATOR)
    told = await deployment.told("drop", first.id[:8], second.id, first.id)
    assert told == [f"{each.id}  evaluator   dropped" for each in (first, second)]
    assert [parked.queue for parked in await deployment.parked()] == ["novelty"]
    assert (len(deployment.evaluator.seen), await deployment.bus.depth(EVALUATOR)) == (2, 0)


async def test_all_of_one_queue_are_dropped_or_all_there_are(deployment: Deployment) -> None:
    assert len(await deployment.told("drop", "--all", "--queue", "evaluator")) == 2
    assert [parked.queue for parked in await deployment.parked()] == ["novelty"]
    assert len(await deployment.told("drop", "--all")) == 1
    assert await deployment.told("drop", "--all") == []
    assert await deployment.parked() == []


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["drop"], 1, r"error \[invalid_input\] .* the ids of messages, or --all\n"),
        (["drop", "abc", "--all"], 1, r"error \[invalid_input\] .*\n"),
        (["drop", "nobody", "--queue", "novelty"], 1, r"error \[not_found\] .*\n"),
        (["replay"], 1, r"error \[invalid_input\] .*\n"),
        (["replay", "abc", "--all"], 1, r"error \[invalid_input\] .*\n"),
        (["replay", ""], 2, r"error \[usage\] Invalid value for 'ID': it is empty; .*\n"),
        (["show", "nobody"], 1, r"error \[not_found\] .*\n"),
    ],
)
async def test_what_cannot_be_meant_is_told_and_nothing_is_done(
    deployment: Deployment, arguments: list[str], code: int, error: str
) -> None:
    settings = {"ARCHLOOP_CLI_BROKER_URL": deployment.url}
    result = await asyncio.to_thread(archloop, "parked", *arguments, settings=settings)
    assert (result.returncode, result.stdout) == (code, "")
    assert re.fullmatch(error, result.stderr)
    assert len(await deployment.parked()) == 3


async def test_the_url_comes_from_a_file_and_nothing_is_declared(broker_url: str, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{broker_url}\n")
    settings = {"ARCHLOOP_CLI_BROKER_URL_FILE": tmp_path / "url"}
    result = await asyncio.to_thread(archloop, "parked", "list", settings=settings)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    bus = AmqpBus(broker_url, "test")
    with pytest.raises(BusUnavailable, match="no queue"):
        await bus.depth(NOVELTY)
    await bus.close()


def test_those_of_a_run_are_dropped_in_its_directory_unless_another_process_has_it(tmp_path: Path) -> None:
    lot = ParkingLot(tmp_path / "parked")
    for name in ("first", "second", "third"):
        at = datetime(2026, 1, 1, tzinfo=UTC)
        lot.put(Parked(id=name, queue="novelty", reason="x", stack="x", first_failed=at, body=b"x"))
    with lock.held(tmp_path):
        refused = archloop("parked", "drop", "--all", "--run", tmp_path)
    assert (refused.returncode, "error [conflict]" in refused.stderr) == (1, True)
    left = []
    for arguments in (["fir"], ["--all", "--queue", "evaluator"], ["--all"]):
        assert archloop("parked", "drop", *arguments, "--run", tmp_path).returncode == 0
        left.append({each.id for each in ParkingLot(tmp_path / "parked").list()})
    assert left == [{"second", "third"}, {"second", "third"}, set()]


def test_without_a_broker_or_a_directory_the_setting_is_named() -> None:
    result = archloop("parked", "list")
    assert result.returncode == 1
    assert result.stderr.startswith("error [misconfigured] ARCHLOOP_CLI_BROKER_URL: not set")
    assert "--run" in result.stderr


@pytest.mark.timeout(240)  # a dozen commands
async def test_every_command_of_the_how_to_does_what_it_says(deployment: Deployment) -> None:
    paths = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": paths, "PYTHONPATH": str(ROOT), "ARCHLOOP_CLI_BROKER_URL": deployment.url}
    shell = shell_of(HOW_TO)
    result = await asyncio.to_thread(subprocess.run, shell, env=env, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("handed over again") == 3
    await until(lambda: (len(deployment.novelty.seen), len(deployment.evaluator.seen)) == (2, 4))
    assert await deployment.parked() == []
