"""Continuous batching of one model version: sequences enter and leave free slots between steps."""

from collections import deque

import torch
from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from services.generator.modelserver.sampling import Choice
from services.generator.modelserver.sequence import Sequence
from services.generator.modelserver.slots import SlotCache

_TILE = 8


class Engine:
    """Generates on one thread; only `submit` may be called from another.

    `slots` is a multiple of 8, because matrix kernels treat rows beyond their last whole tile differently.
    """

    def __init__(self, model: PreTrainedModel, slots: int, capacity: int) -> None:
        if slots < 1 or slots % _TILE:
            raise ValueError(f"slots: {slots} is not a positive multiple of {_TILE}")
        self._model = model
        self._cache = SlotCache(slots, capacity)
        self._rows: list[Sequence | None] = [None] * slots
        self._waiting: deque[Sequence] = deque()
        self._mask = torch.zeros(1, 1, 1, 1)

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
            cache, prompt = DynamicCache(), torch.tensor([sequence.prompt])
            logits = self._model(input_ids=prompt, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
            self._cache.admit(row, cache)
            sequence.accept(_choose(sequence, logits))
        self._settle(row, sequence)

    def _step(self) -> None:
        if not any(self._rows):
            return
        last = torch.tensor([[row.tokens[-1].token if row else 0] for row in self._rows])
        positions = self._cache.grow()
        logits = self._model(
            input_ids=last,
            position_ids=positions,
            attention_mask=self._mask,
            past_key_values=self._cache,
            use_cache=True,
            lengths=self._cache.lengths,
        ).logits
        for row, sequence in enumerate(self._rows):
            if sequence:
                sequence.accept(_choose(sequence, logits[row : row + 1]))
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


def _choose(sequence: Sequence, logits: Tensor) -> Choice:
    return sequence.sampler.choose(logits[0, -1].float().numpy())
