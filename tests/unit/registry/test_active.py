"""A registry that ends: who has messages in hand then handles none of them further, and they are delivered again."""

import asyncio
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest

from archloop.bus.memory import MemoryBus
from archloop.contracts.base import Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.messages import CandidateLost
from archloop.contracts.topology import REGISTRY
from services.registry.control import active
from services.registry.control.active import Active, Speaker
from services.registry.control.leadership import Alone


class Slow:
    """A handler that waits for the gate, and remembers what it came to the end of."""

    def __init__(self) -> None:
        self.gate, self.begun, self.ended = asyncio.Event(), asyncio.Event(), list[Message]()

    async def handle(self, message: Message) -> Sequence[Message]:
        self.begun.set()
        await self.gate.wait()
        self.ended.append(message)
        return []


@pytest.mark.parametrize(("last_words_s", "handled"), [(0.01, False), (30.0, True)])
async def test_what_is_not_handled_in_the_last_words_is_given_back(
    monkeypatch: pytest.MonkeyPatch, last_words_s: float, handled: bool
) -> None:
    monkeypatch.setattr(active, "_LAST_WORDS_S", last_words_s)
    bus, handler, leadership = MemoryBus(), Slow(), Alone()
    controller: Any = SimpleNamespace(forget=lambda: None)
    ending = Active(leadership, partial(Speaker, bus, REGISTRY, handler, "registry", leadership=leadership), controller)
    await ending.turn()
    lost = CandidateLost(run_id="r", cycle=0, index=0, step="evaluation", asked=3)
    await bus.publish(Envelope.of(lost, source="test"))
    await handler.begun.wait()
    drained = asyncio.ensure_future(ending.drain())
    await asyncio.sleep(0.05)
    handler.gate.set()
    await drained
    await asyncio.sleep(0)
    assert (handler.ended == [lost], await bus.depth(REGISTRY)) == (handled, int(not handled))
