"""Models of Llama's shape in float32: to the bit what transformers computes, without what transformers loads.

Every step has the fixed shape (slots, 1), because matrix kernels compute a row differently in another shape.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding, linear, scaled_dot_product_attention, silu
from typing_extensions import override

from services.generator.modelserver import llama
from services.generator.modelserver.checkpoint import Checkpoint
from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.merging import deltas, fitting
from services.generator.modelserver.sampling import Logits
from services.generator.modelserver.slots import SlotCache, States, attended

Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Float32Llama(Decoder):
    """A Llama in float32, its weights by the names of their modules."""

    shape: llama.Shape
    weights: Mapping[str, Tensor]
    turns: tuple[Tensor, Tensor]
    width: int = 1

    @override
    def cache(self, slots: int, capacity: int) -> SlotCache:
        return SlotCache(slots, capacity)

    @override
    def prefill(self, prompt: Sequence[int]) -> tuple[Logits, Iterable[States]]:
        read: list[States] = []

        def attend(_: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            read.append(States(keys, values))
            causal, grouped = len(prompt) > 1, queries.shape[1] > keys.shape[1]
            return scaled_dot_product_attention(
                queries, keys, values, is_causal=causal, scale=self._scale, enable_gqa=grouped
            )

        hidden = self._run(torch.tensor([prompt]), torch.arange(len(prompt))[None], attend)
        return self._logits(hidden, 1)[0, 0], read

    @override
    def step(self, fed: Mapping[int, Sequence[int]], cache: SlotCache) -> Mapping[int, NDArray[np.float32]]:
        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            return attended(queries, cache.update(keys, values, layer), cache.lengths, self._scale)

        tokens = torch.tensor([fed.get(row, (0,)) for row in range(len(cache.lengths))])
        logits = self._logits(self._run(tokens, cache.positions()[:, None], attend))
        return {row: logits[row] for row in fed}

    @override
    def adapted(self, folder: Path) -> "Float32Llama":
        added = deltas(folder, set(self.shape.products))
        with fitting(folder):
            changed = {name: delta.added_to(self.weights[name]) for name, delta in added.items()}
        return replace(self, weights={**self.weights, **changed})

    @property
    def _scale(self) -> float:
        return float(self.shape.head_dim**-0.5)

    def _run(self, tokens: Tensor, positions: Tensor, attend: Attend) -> Tensor:
        """Return what the head reads, (B, T, hidden), for the tokens (B, T) at these positions."""
        hidden = embedding(tokens, self.weights[llama.EMBEDDINGS])
        cos, sin = (turn[positions][:, None] for turn in self.turns)
        for number in range(self.shape.num_hidden_layers):
            query, key, value, out, gate, up, down, before, after = (
                self.weights[llama.module(number, name)] for name in llama.ATTENTION + llama.MLP + llama.NORMS
            )
            normed = self._normed(hidden, before)
            queries, keys, values = (self._heads(linear(normed, weight)) for weight in (query, key, value))
            mixed = attend(number, _turned(queries, cos, sin), _turned(keys, cos, sin), values)
            hidden = hidden + linear(mixed.transpose(1, 2).flatten(2), out)
            normed = self._normed(hidden, after)
            hidden = hidden + linear(silu(linear(normed, gate)).mul_(linear(normed, up)), down)
        return hidden

    def _heads(self, rows: Tensor) -> Tensor:
        """Return (B, heads, T, head size) for (B, T, heads × head size)."""
        return rows.view(*rows.shape[:2], -1, self.shape.head_dim).transpose(1, 2)

    def _normed(self, rows: Tensor, weight: Tensor) -> Tensor:
        squares = rows.square().mean(-1, keepdim=True).add_(self.shape.rms_norm_eps)
        return weight * (rows * squares.rsqrt_())

    def _logits(self, hidden: Tensor, last: int = 0) -> NDArray[np.float32]:
        """Return the logits (B, T, V), or those of the `last` tokens; norms are taken of all, as transformers does."""
        normed = self._normed(hidden, self.weights[llama.NORM])
        logits: NDArray[np.float32] = linear(normed[:, -last:], self.weights[llama.HEAD]).numpy()
        return logits


def load(shape: llama.Shape, checkpoint: Checkpoint, max_length: int) -> Float32Llama:
    """Read a model. Raises ValueError for a weight that is missing, or of another size."""
    layers = range(shape.num_hidden_layers)
    names = (*shape.products, *(llama.module(number, norm) for number in layers for norm in llama.NORMS))
    source = llama.Source(shape, checkpoint)
    weights = {name: source.weight(name) for name in (*names, llama.EMBEDDINGS, llama.NORM)}
    weights[llama.HEAD] = source.head(weights[llama.EMBEDDINGS])
    return Float32Llama(shape, weights, shape.turns(max_length))


def _turned(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    return (heads * cos).add_(heads.roll(heads.shape[-1] // 2, -1).mul_(sin))
