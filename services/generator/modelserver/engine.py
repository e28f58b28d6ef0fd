"""Continuous batching of one model version: sequences enter and leave free slots between steps."""

from collections import deque

import numpy as np
import torch
from numpy.typing import NDArray

from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.sequence import Sequence
from services.generator.modelserver.threads import running_on

_TILE = 8


class Engine:
    """Generates on one thread; only `submit` may be called from another.

    `slots` is a multiple of 8, because matrix kernels treat rows beyond their last whole tile differently.
    """

    def __init__(self, decoder: Decoder, slots: int, capacity: int, reading_threads: int = 1) -> None:
        if slots < 1 or slots % _TILE:
            raise ValueError(f"slots: {slots} is not a positive multiple of {_TILE}")
        self._decoder, self._reading_threads = decoder, reading_threads
        self._cache = decoder.cache(slots, capacity)
        self._rows: list[Sequence | None] = [None] * slots
        self._waiting: deque[Sequence] = deque()

    @property
    def idle(self) -> bool:
        """Whether no sequence is waiting or running."""
        return not self._waiting and not any(self._rows)

    @property
    def lone(self) -> bool:
        """Whether exactly one sequence is waiting or running."""
        return len(self._waiting) + sum(row is not None for row in self._rows) == 1

    def submit(self, sequence: Sequence) -> None:
        """Queue a sequence for the next free slot."""
        self._waiting.append(sequence)

    def advance(self) -> None:
        """Fill free slots, then give every running sequence one more token."""
        try:
            with torch.inference_mode():
                self._admit()
                self._step()
        except Exception as error:  # noqa: BLE001 - one bad step must not end the server
            self._fail(error)

    def _admit(self) -> None:
        for row in range(len(self._rows)):
            while self._rows[row] is None and self._waiting:
                self._begin(row, self._waiting.popleft())

    def _begin(self, row: int, sequence: Sequence) -> None:
        self._rows[row] = sequence
        if not sequence.cancelled:
            with running_on(self._reading_threads):
                logits, states = self._decoder.prefill(sequence.prompt)
            self._cache.admit(row, states)
            sequence.accept(sequence.sampler.choose(logits))
        self._settle(row, sequence)

    def _step(self) -> None:
        running = {row: sequence for row, sequence in enumerate(self._rows) if sequence}
        if not running:
            return
        most = max(0, self._decoder.width // len(running) - 1)
        fed = {row: [sequence.tokens[-1].token, *sequence.draft(most)] for row, sequence in running.items()}
        self._cache.grow(fed)
        logits = self._decoder.step(fed, self._cache)
        for row, sequence in running.items():
            taken = _accept(sequence, fed[row][1:], logits[row])
            self._cache.forget(row, len(fed[row]) - taken)
            self._settle(row, sequence)

    def _settle(self, row: int, sequence: Sequence) -> None:
        if sequence.done:
            self._release(row)
            sequence.on_end(None)

    def _release(self, row: int) -> None:
        self._rows[row] = None
        self._cache.release(row)

    def _fail(self, error: Exception) -> None:
        for row, sequence in enumerate(self._rows):
            if sequence:
                self._release(row)
                sequence.on_end(error)


def _accept(sequence: Sequence, draft: list[int], logits: NDArray[np.float32]) -> int:
    """Choose tokens for as long as the draft foresaw them, and the one after; return how many."""
    for taken, after in enumerate(logits, 1):
        choice = sequence.sampler.choose(after)
        sequence.accept(choice)
        if sequence.done or draft[taken - 1 : taken] != [choice.token]:
            break
    return taken
