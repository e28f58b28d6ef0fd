"""Key-value slots: each sequence has a row of its own, of its own length."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

_PIECE = 64


class States(NamedTuple):
    """Keys and values of one layer, (rows, heads, T, head size) each."""

    keys: Tensor
    values: Tensor


class SlotCache:
    """Cache of keys and values for decoding, as transformers' models use it.

    Keys and values of a layer are (slots, heads, room, head size), with room for the longest so far; row b is written
    at `lengths[b] - 1`. A length of 0 marks a free slot.
    """

    def __init__(self, slots: int, capacity: int, *, device: torch.device | str = "cpu") -> None:
        self.lengths = [0] * slots
        self.layers: list[States] = []
        self._capacity = capacity
        self._rows = torch.arange(slots, device=device)
        self._last = torch.zeros_like(self._rows)

    def admit(self, row: int, prompt: Iterable[States]) -> None:
        """Copy a prompt's keys and values, of one row each, into a free slot."""
        given = list(prompt)
        length = given[0].keys.shape[2]
        if not self.layers:
            self.layers = [States(*map(self._empty, states)) for states in given]
        self._reserve(length)
        for states, own in zip(given, self.layers, strict=True):
            for content, slots in zip(states, own, strict=True):
                slots[row, :, :length] = content[0]
        self.lengths[row] = length

    def release(self, row: int) -> None:
        """Make the slot free; when all are, their memory is too."""
        self.lengths[row] = 0
        if not any(self.lengths):
            self.layers = []

    def grow(self, fed: Mapping[int, Sequence[int]]) -> None:
        """Make room for more tokens in these slots."""
        for row, tokens in fed.items():
            self.lengths[row] += len(tokens)
        self._reserve(max(self.lengths))

    def positions(self) -> Tensor:
        """Return the position of each row's last token (slots,)."""
        return torch.tensor([max(0, length - 1) for length in self.lengths], device=self._rows.device)

    def forget(self, row: int, tokens: int) -> None:
        """Take a slot's last tokens back."""
        self.lengths[row] -= tokens

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> States:
        """Store (slots, heads, 1, head size) at each row's last position; return the whole layer."""
        if layer == 0:
            self._last = self.positions()
        states = self.layers[layer]
        states.keys[self._rows, :, self._last] = keys[:, :, 0]
        states.values[self._rows, :, self._last] = values[:, :, 0]
        return states

    def _reserve(self, length: int) -> None:
        """Lengthen the slots, a piece at a time, for memory that is only reserved is taken where pages are huge."""
        there = self.layers[0].keys.shape[2] if self.layers else 0
        if length > there:
            room = min(self._capacity, -(-length // _PIECE) * _PIECE)
            rows = [row for row, used in enumerate(self.lengths) if used]
            self.layers = [States(*(_longer(content, room, rows) for content in states)) for states in self.layers]

    def _empty(self, like: Tensor) -> Tensor:
        _, heads, _, size = like.shape
        return like.new_empty(len(self.lengths), heads, 0, size)


def attended(
    queries: Tensor, states: States, lengths: Sequence[int], scale: float | None, window: int | None = None
) -> Tensor:
    """Attend with one query of each slot, (slots, heads, 1, head size), over that slot's own length.

    Only the last `window` keys are seen, where it is given. Returns (slots, heads, 1, head size), zero in free slots.
    """
    packed = queries.reshape(len(queries), states.keys.shape[1], -1, queries.shape[-1])
    out = queries.new_zeros(*packed.shape[:3], states.values.shape[-1])
    for q, k, v, row, length in zip(*(torch.split(each, 1) for each in (packed, *states, out)), lengths, strict=True):
        if length:
            seen = min(length, window or length)
            past, content = k.narrow(2, length - seen, seen), v.narrow(2, length - seen, seen)
            row.copy_(scaled_dot_product_attention(q, past, content, scale=scale))
    return out.reshape(len(queries), -1, 1, out.shape[-1])


def _longer(content: Tensor, room: int, rows: Sequence[int]) -> Tensor:
    slots, heads, length, size = content.shape
    longer = content.new_empty(slots, heads, room, size)
    for row in rows:
        longer[row, :, :length] = content[row]
    return longer
