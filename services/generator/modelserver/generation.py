"""Requests on the event loop's side: checked, handed to the fleet, awaited."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from archloop.errors import ArchloopError, InvalidInput
from services.generator.modelserver.fleet import Fleet
from services.generator.modelserver.sampling import Choice, Sampler, Sampling
from services.generator.modelserver.sequence import Finish, Sequence
from services.generator.modelserver.texts import StopWatch, cut

Events: TypeAlias = asyncio.Queue[Choice | Exception | None]


class Overloaded(ArchloopError):
    """More requests than the server accepts at a time."""

    code = "overloaded"
    retryable = True


class GenerationFailed(ArchloopError):
    """The model raised an error while it generated."""

    code = "generation"
    retryable = True


@dataclass(frozen=True)
class Ask:
    """Request for a text, from which version (None: the base)."""

    prompt: list[int]
    sampling: Sampling
    seed: int | None = None
    max_new_tokens: int | None = None
    stop: tuple[str, ...] = ()
    adapter: str | None = None
    grammar: str | None = None


class Generation(NamedTuple):
    """Generated text with its tokens. `seed` is None where none was needed."""

    text: str
    tokens: list[Choice]
    finish: Finish
    seed: int | None
    prompt_tokens: int


@dataclass(frozen=True)
class Generations:
    """Requests in progress, at most `limit` at a time; more are refused."""

    fleet: Fleet
    limit: int
    _running: set[Sequence] = field(default_factory=set)

    @property
    def running(self) -> int:
        """Number of requests that are waiting or being answered."""
        return len(self._running)

    async def whole(self, ask: Ask) -> Generation:
        """Return the complete answer. Raises InvalidInput, NotFound, Overloaded, GenerationFailed."""
        *_, answer = [item async for item in self.stream(ask, tokens=False)]
        assert isinstance(answer, Generation)
        return answer

    async def stream(self, ask: Ask, *, tokens: bool = True) -> AsyncIterator[Choice | Generation]:
        """Yield every token as it comes, then the answer."""
        async with self._started(ask, tokens=tokens) as (sequence, seed, events):
            while (event := await events.get()) is not None:
                if isinstance(event, Exception):
                    raise GenerationFailed(str(event)) from event
                yield event
            yield self._answer(ask, sequence, seed)

    @asynccontextmanager
    async def _started(self, ask: Ask, *, tokens: bool) -> AsyncIterator[tuple[Sequence, int | None, Events]]:
        if len(self._running) >= self.limit:
            raise Overloaded("Model is overloaded")
        events: Events = asyncio.Queue()
        seed = None if ask.sampling.greedy else _seed(ask)
        sequence = self._sequence(ask, seed, events, tokens=tokens)
        self.fleet.submit(ask.adapter or self.fleet.base.name, sequence)
        self._running.add(sequence)
        try:
            yield sequence, seed, events
        finally:
            sequence.cancelled = True
            self._running.discard(sequence)

    def _sequence(self, ask: Ask, seed: int | None, events: Events, *, tokens: bool) -> Sequence:
        loop, base, allowed = asyncio.get_running_loop(), self.fleet.base, self._allowed(ask)
        guide = None if ask.grammar is None else base.texts.guide(ask.grammar, base.eos)

        def tell(event: Choice | Exception | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(events.put_nowait, event)

        return Sequence(
            prompt=ask.prompt,
            sampler=Sampler(ask.sampling, seed or 0, guide),
            max_new_tokens=allowed,
            eos=base.eos,
            stopped=StopWatch(base.texts, ask.stop) if ask.stop else None,
            on_token=tell if tokens else None,
            on_end=tell,
        )

    def _allowed(self, ask: Ask) -> int:
        room = self.fleet.base.max_length - len(ask.prompt)
        if not ask.prompt:
            raise InvalidInput("inputs", "", "at least one token")
        if room < (ask.max_new_tokens or 1):
            raise InvalidInput(
                "max_new_tokens",
                ask.max_new_tokens,
                f"`inputs` tokens + `max_new_tokens` <= {self.fleet.base.max_length}; "
                f"given: {len(ask.prompt)} `inputs` tokens",
            )
        return ask.max_new_tokens or room

    def _answer(self, ask: Ask, sequence: Sequence, seed: int | None) -> Generation:
        assert sequence.finish is not None
        text = self.fleet.base.texts.decode([choice.token for choice in sequence.tokens])
        return Generation(cut(text, ask.stop), sequence.tokens, sequence.finish, seed, len(ask.prompt))


def _seed(ask: Ask) -> int:
    return secrets.randbits(64) if ask.seed is None else ask.seed
