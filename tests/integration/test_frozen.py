"""A worker that is frozen loses its message to another in bounded time, and its late answer changes nothing."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from archloop.bus.amqp import AmqpBus
from archloop.bus.amqp.link import Link
from archloop.bus.consumer import Consumer
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateJudged, CandidateLost
from archloop.contracts.topology import Queue
from archloop.errors import Misconfigured
from tests.contract.test_bus import Recording, scrubbed, until
from tests.integration.frozen_worker import WORK, answer

pytestmark = pytest.mark.timeout(120)
ANSWERS = Queue("frozen-answers", ("candidate.judged",), prefetch=10)
WANTED = CandidateLost(run_id="r", index=7, step="evaluation", asked=1)


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.integration.frozen_worker", url),
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        os.kill(process.pid, signal.SIGCONT)
        process.kill()
        await process.wait()


async def says(process: asyncio.subprocess.Process, word: bytes) -> None:
    """Log lines go there too."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        while (await process.stdout.readline()).strip() != word:
            assert process.returncode is None


async def test_what_a_frozen_worker_holds_goes_to_another_and_its_late_answer_is_the_same(broker_url: str) -> None:
    url = f"{broker_url}?heartbeat=1"
    bus, heard, other = AmqpBus(url, "test"), Recording(), Recording(answers=[answer(WANTED)])
    try:
        await Consumer(bus, ANSWERS, heard, "test").start()
        async with worker(url) as frozen:
            await bus.declare(WORK)
            await bus.publish(Envelope.of(WANTED, source="test"))
            await says(frozen, b"7")
            frozen.send_signal(signal.SIGSTOP)
            await Consumer(bus, WORK, other, "test").start()
            await until(lambda: len(heard.seen) == 1, 30)
            assert other.seen == [WANTED]
            frozen.send_signal(signal.SIGCONT)
            assert frozen.stdin is not None
            frozen.stdin.write(b"go on\n")
            await until(lambda: len(heard.seen) == 2, 30)
            await asyncio.sleep(0.5)
            assert frozen.returncode is None
        assert {message.id for message in heard.seen} == {answer(WANTED).id}
        assert [isinstance(message, CandidateJudged) for message in heard.seen] == [True, True]
        assert (other.seen, await bus.depth(WORK), await bus.parked()) == ([WANTED], 0, [])
    finally:
        await scrubbed(bus)
        await bus.close()


@pytest.mark.parametrize(
    ("query", "seconds"), [("", 30), ("?heartbeat=1", 1), ("?heartbeat=60", 60), ("?connection_attempts=3", 30)]
)
def test_every_connection_has_a_heartbeat(query: str, seconds: int) -> None:
    assert Link(f"amqp://a:b@broker/{query}", "test")._url.query["heartbeat"] == str(seconds)


@pytest.mark.parametrize("given", ["0", "-1", "301", "soon", "", "1.5", "٣"])
def test_a_heartbeat_that_would_let_a_frozen_worker_keep_its_message_is_refused(given: str) -> None:
    with pytest.raises(Misconfigured, match="heartbeat="):
        Link(f"amqp://a:b@broker/?heartbeat={given}", "test")
