"""A worker as a process of its own, `python -m tests.integration.frozen_worker URL`, for tests that stop it.

It says on standard output when a message is in its hand, and handles it only once a line comes on standard input.
"""

import asyncio
import sys
from collections.abc import Sequence

from archloop.bus.amqp import AmqpBus
from archloop.bus.consumer import Consumer
from archloop.contracts.base import Message
from archloop.contracts.messages import CandidateJudged, CandidateLost
from archloop.contracts.topology import Queue

WORK = Queue("frozen", ("candidate.lost",), prefetch=1)


def answer(message: CandidateLost) -> CandidateJudged:
    """Of which there is one, whoever gives it."""
    verdict = {"verdict": "novel", "similarity": 0.0, "threshold": 0.9, "family": "plain"}
    return CandidateJudged(**message.about(), **verdict)


class Slow:
    """Waits for a word."""

    async def handle(self, message: CandidateLost) -> Sequence[Message]:
        """Say that it is here, and wait."""
        print(message.index, flush=True)
        await asyncio.to_thread(sys.stdin.readline)
        return [answer(message)]


async def main(url: str) -> None:
    """Work until it is killed."""
    bus = AmqpBus(url, "frozen")
    await Consumer(bus, WORK, Slow(), "frozen").start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
