"""Loaded model versions, and the one thread that steps them all."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

import torch

from archloop.errors import Conflict, NotFound
from services.generator.modelserver.checkpoint import give_back
from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.engine import Engine
from services.generator.modelserver.models import Base, Weights
from services.generator.modelserver.sequence import Sequence
from services.generator.modelserver.threads import quicker

_LONE_STEPS = 6
_REST_S = 1.0


class Fleet:
    """Model versions by name; an unloaded one takes nothing new and finishes what it has."""

    def __init__(self, base: Base, slots: int, threads: int) -> None:
        self.base, self._slots, self._threads = base, slots, threads
        self._engines = {base.name: self._engine(base.decoder)}
        self._inbox: SimpleQueue[Engine | None] = SimpleQueue()
        self._worker = Thread(target=self._work, name="engines", daemon=True)
        self._loader = ThreadPoolExecutor(1, "loader", torch.set_num_threads, (threads,))
        self._lock = asyncio.Lock()

    @property
    def adapters(self) -> list[str]:
        """Names of the loaded versions besides the base."""
        return [name for name in self._engines if name != self.base.name]

    @property
    def alive(self) -> bool:
        """Whether the engines are being stepped."""
        return self._worker.is_alive()

    def start(self) -> None:
        """Begin stepping."""
        self._worker.start()

    def close(self) -> None:
        """Stop stepping after the current step."""
        self._inbox.put(None)
        self._loader.shutdown(wait=False, cancel_futures=True)

    def submit(self, name: str, sequence: Sequence) -> None:
        """Queue the sequence at a version. Raises NotFound."""
        if name not in self._engines:
            raise NotFound("adapter", name, ", ".join(self._engines))
        engine = self._engines[name]
        engine.submit(sequence)
        self._inbox.put(engine)

    async def load(self, name: str, folder: Path) -> None:
        """Merge the adapter and serve it. Raises Conflict, NotFound, InvalidInput."""
        async with self._lock:
            if name in self._engines:
                raise Conflict(f"the name {name!r} is taken; a version's name is never used again while it is loaded")
            loop = asyncio.get_running_loop()
            decoder = await loop.run_in_executor(self._loader, self.base.decoder.adapted, folder)
            self._engines[name] = self._engine(decoder)

    def unload(self, name: str) -> None:
        """Forget the version. Raises NotFound."""
        if name not in self.adapters:
            raise NotFound("adapter", name, ", ".join(self.adapters))
        del self._engines[name]

    def _engine(self, decoder: Decoder) -> Engine:
        return Engine(decoder, self._slots, self.base.max_length, self._threads)

    def _work(self) -> None:
        torch.set_num_threads(self._stepping_threads())
        busy: set[Engine] = set()
        while self._receive(busy):
            _advance(busy)

    def _stepping_threads(self) -> int:
        """Return on how many threads to step: in 8 bits, where that changes no answer, on as many as are faster."""
        return quicker(self.base.decoder, self._threads) if self.base.weights is Weights.INT8 else self._threads

    def _receive(self, busy: set[Engine]) -> bool:
        """Add the engines that were given work, waiting for one if there is none; False at the end."""
        while not (busy and self._inbox.empty()):
            engine = self._next()
            if engine is None:
                return False
            busy.add(engine)
        return True

    def _next(self) -> Engine | None:
        """Wait for work; after a second without any, what memory the last took is given back."""
        try:
            return self._inbox.get(timeout=_REST_S)
        except Empty:
            give_back()
            return self._inbox.get()


def _advance(busy: set[Engine]) -> None:
    """Step each engine once; several times for a lone sequence, so that an adapter's probe does not wait for others.

    A function of its own, so that no local variable keeps an unloaded engine in memory.
    """
    for engine in list(busy):
        for _ in range(_LONE_STEPS if engine.lone and len(busy) > 1 else 1):
            engine.advance()
        if engine.idle:
            busy.discard(engine)
