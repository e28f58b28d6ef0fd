"""Key-value slots and the attention over them: what a sequence computes never depends on its neighbours.

Every decode step has the fixed shape (slots, 1), so that a row's matrix products are the same whatever the other rows
hold; attention is done row by row over exactly that row's own length.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

ATTENTION = "archloop_slots"


class SlotCache:
    """Cache of keys and values for decoding, as transformers' models use it.

    Keys and values of a layer are (slots, heads, capacity, head size); row b is written at `lengths[b] - 1`. A length
    of 0 marks a free slot.
    """

    def __init__(self, slots: int, capacity: int) -> None:
        self.lengths = [0] * slots
        self._capacity = capacity
        self._rows = torch.arange(slots)
        self._last = torch.zeros(slots, dtype=torch.long)
        self._layers: list[tuple[Tensor, Tensor]] = []

    def admit(self, row: int, prompt: DynamicCache) -> None:
        """Copy a prefilled prompt's keys and values into a free slot."""
        states = [(layer.keys, layer.values) for layer in prompt.layers]
        if not self._layers:
            self._layers = [(self._room(keys), self._room(values)) for keys, values in states]
        self.lengths[row] = length = states[0][0].shape[2]
        for (keys, values), (new_keys, new_values) in zip(self._layers, states, strict=True):
            keys[row, :, :length] = new_keys[0]
            values[row, :, :length] = new_values[0]

    def release(self, row: int) -> None:
        """Make the slot free."""
        self.lengths[row] = 0

    def grow(self) -> Tensor:
        """Make room for one more token in every taken slot; return their positions (slots, 1)."""
        self.lengths = [length and length + 1 for length in self.lengths]
        self._last = torch.tensor([max(0, length - 1) for length in self.lengths])
        return self._last[:, None]

    def update(self, keys: Tensor, values: Tensor, layer: int, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Store (slots, heads, 1, head size) at each row's last position; return the whole layer."""
        all_keys, all_values = self._layers[layer]
        all_keys[self._rows, :, self._last] = keys[:, :, 0]
        all_values[self._rows, :, self._last] = values[:, :, 0]
        return all_keys, all_values

    def _room(self, like: Tensor) -> Tensor:
        _, heads, _, size = like.shape
        return torch.empty(len(self.lengths), heads, self._capacity, size, dtype=like.dtype)


def slot_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    lengths: Sequence[int] | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend with queries (slots, heads, 1, head size) over each row's own length; by SDPA without `lengths`."""
    if lengths is None:
        prefilled, _ = sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
        return prefilled, None
    scale, window = kwargs.get("scaling"), kwargs.get("sliding_window")
    packed = query.reshape(query.shape[0], key.shape[1], -1, query.shape[3])
    out = query.new_zeros(*packed.shape[:3], value.shape[3])
    for q, k, v, row, length in zip(*map(_rows, (packed, key, value, out)), lengths, strict=True):
        if length:
            seen = min(length, window or length)
            past, content = k.narrow(2, length - seen, seen), v.narrow(2, length - seen, seen)
            row.copy_(scaled_dot_product_attention(q, past, content, scale=scale))
    return out.reshape(query.shape[0], 1, query.shape[1], -1), None


def _rows(batch: Tensor) -> tuple[Tensor, ...]:
    return torch.split(batch, 1)


AttentionInterface.register(ATTENTION, slot_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
