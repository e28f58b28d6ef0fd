"""Models of Llama's shape with 8-bit weights: few operations a token, an eighth of float32's memory traffic or less.

Numbers that are not weights stay in float32, keys and values are kept in bfloat16. A sequence's tokens do not depend
on what is batched beside it: products are sums of integers, and everything else is done row by row.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding, scaled_dot_product_attention, silu
from typing_extensions import override

from services.generator.modelserver import llama
from services.generator.modelserver.checkpoint import Checkpoint, give_back
from services.generator.modelserver.decoder import Decoder
from services.generator.modelserver.int8 import Int8Linear, quantised
from services.generator.modelserver.merging import Delta, deltas, fitting
from services.generator.modelserver.prefixes import BLOCK, Prefixes
from services.generator.modelserver.sampling import Logits
from services.generator.modelserver.slots import SlotCache, States

_PRODUCTS = {
    "qkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "attended": ("self_attn.o_proj",),
    "gate_up": ("mlp.gate_proj", "mlp.up_proj"),
    "down": ("mlp.down_proj",),
}
_NORMS = {"qkv": "input_layernorm", "gate_up": "post_attention_layernorm"}
_KEPT = torch.bfloat16
_PASS = 8 * BLOCK


@dataclass(frozen=True)
class Layer:
    """Weights of one decoder layer: products of the same input are one, and hold the weights of the norm before."""

    qkv: Int8Linear
    attended: Int8Linear
    gate_up: Int8Linear
    down: Int8Linear


@dataclass(frozen=True)
class Int8Llama(Decoder):
    """A Llama in 8 bits. `embedded` holds codes and scales of the token embeddings."""

    source: llama.Source
    layers: Sequence[Layer]
    embedded: tuple[Tensor, Tensor]
    head: Int8Linear
    turns: tuple[Tensor, Tensor]
    width: int = 8
    prefixes: Prefixes = field(default_factory=Prefixes)

    @override
    def cache(self, slots: int, capacity: int) -> SlotCache:
        return SlotCache(slots, capacity)

    @override
    def prefill(self, prompt: Sequence[int]) -> tuple[Logits, Iterable[States]]:
        shape = self.source.shape
        sizes = (shape.num_hidden_layers, shape.num_key_value_heads, len(prompt), shape.head_dim)
        states = torch.empty(2, *sizes, dtype=_KEPT)
        known = self.prefixes.fill(states, prompt)
        for begin in range(known, len(prompt), _PASS):
            last = self._read(prompt[begin : begin + _PASS], begin, states)[-1:]
        self.prefixes.keep(states, prompt)
        return self._logits(last)[0], [States(keys[None], values[None]) for keys, values in zip(*states, strict=True)]

    def _read(self, tokens: Sequence[int], begin: int, states: Tensor) -> Tensor:
        """Return what the head reads of these tokens of a prompt, and write their keys and values.

        Attention is in blocks at fixed places, so that it comes to the same wherever the reading begins.
        """
        end = begin + len(tokens)
        ends = [min(at + BLOCK, end) for at in range(begin, end, BLOCK)]
        masks = [torch.ones(at - (at - 1) // BLOCK * BLOCK, at, dtype=torch.bool) for at in ends]
        masks = [mask.tril_(mask.shape[1] - mask.shape[0]) for mask in masks]

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            own = states[:, layer]
            own[0, :, begin:end], own[1, :, begin:end] = keys.transpose(0, 1), values.transpose(0, 1)
            outputs = []
            for q, mask in zip(torch.split(queries.transpose(0, 1), BLOCK, 1), masks, strict=True):
                k, v = own[:, None, :, : mask.shape[1]]
                outputs.append(scaled_dot_product_attention(q[None], k, v, mask, enable_gqa=True))
            return torch.cat(outputs, 2)[0].transpose(0, 1)

        return self._run(torch.tensor(tokens), torch.arange(begin, end), attend)

    @override
    def step(self, fed: Mapping[int, Sequence[int]], cache: SlotCache) -> Mapping[int, NDArray[np.float32]]:
        seen = [
            (row, length)
            for row in fed
            for length in range(cache.lengths[row] - len(fed[row]) + 1, cache.lengths[row] + 1)
        ]
        rows, lengths = torch.tensor(seen).unbind(1)
        positions = lengths - 1

        def attend(layer: int, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
            states = cache.layers[layer]
            states.keys[rows, :, positions] = keys
            states.values[rows, :, positions] = values
            return _attended(queries, states, seen)

        tokens = torch.tensor([token for each in fed.values() for token in each])
        logits = self._logits(self._run(tokens, positions, attend))
        ends = list(accumulate(map(len, fed.values())))
        return {row: logits[end - len(fed[row]) : end] for row, end in zip(fed, ends, strict=True)}

    @override
    def adapted(self, folder: Path) -> "Int8Llama":
        added = deltas(folder, set(self.source.shape.products))
        with fitting(folder):
            layers = [self._adapted(number, layer, added) for number, layer in enumerate(self.layers)]
        give_back()
        return replace(self, layers=layers, prefixes=Prefixes())

    def _adapted(self, number: int, layer: Layer, added: Mapping[str, Delta]) -> Layer:
        changed: dict[str, Any] = {
            product: _product(self.source, number, product, added)
            for product, names in _PRODUCTS.items()
            if any(llama.module(number, name) in added for name in names)
        }
        return replace(layer, **changed)

    def _run(self, tokens: Tensor, positions: Tensor, attend: Any) -> Tensor:
        """Return what the head reads, (M, hidden), for the tokens (M,) at these positions."""
        codes, scales = self.embedded
        hidden = embedding(tokens, codes).float() * embedding(tokens, scales)
        heads, kept = self.source.shape.num_attention_heads, self.source.shape.num_key_value_heads
        cos, sin = (turn[positions][:, None] for turn in self.turns)
        for number, layer in enumerate(self.layers):
            mixed = layer.qkv(hidden, self._unit(hidden)).view(len(tokens), heads + 2 * kept, -1)
            turned = mixed[:, : heads + kept]
            across = turned.roll(turned.shape[-1] // 2, -1).mul_(sin)
            turned.mul_(cos).add_(across)
            queries, keys, values = torch.split(mixed.to(_KEPT), [heads, kept, kept], 1)
            hidden += layer.attended(attend(number, queries, keys, values).flatten(1).float())
            gate, up = layer.gate_up(hidden, self._unit(hidden)).chunk(2, 1)
            hidden += layer.down(silu(gate).mul_(up))
        return hidden

    def _unit(self, hidden: Tensor) -> Tensor:
        """Return the factors (M, 1) that bring the rows to a root mean square of one."""
        squares: Tensor = torch.linalg.vector_norm(hidden, dim=-1, keepdim=True).square_().div_(hidden.shape[-1])
        return squares.add_(self.source.shape.rms_norm_eps).rsqrt_()

    def _logits(self, hidden: Tensor) -> Logits:
        logits: Logits = self.head(hidden, self._unit(hidden)).numpy()
        return logits


def load(shape: llama.Shape, checkpoint: Checkpoint, max_length: int) -> Int8Llama:
    """Read a model and round its weights, one after another.

    Raises ValueError for a weight that is missing, or of another size.
    """
    source = llama.Source(shape, checkpoint)
    embeddings = source.weight(llama.EMBEDDINGS)
    head = source.head(embeddings)
    codes = quantised(embeddings)
    output = Int8Linear(head * source.weight(llama.NORM))
    del embeddings, head
    layers = [_layer(source, number) for number in range(shape.num_hidden_layers)]
    give_back()
    return Int8Llama(source, layers, codes, output, shape.turns(max_length))


def _layer(source: llama.Source, number: int) -> Layer:
    return Layer(**{product: _product(source, number, product, {}) for product in _PRODUCTS})


def _product(source: llama.Source, number: int, product: str, added: Mapping[str, Delta]) -> Int8Linear:
    weights = []
    for module in (llama.module(number, name) for name in _PRODUCTS[product]):
        weight = source.weight(module)
        weights.append(added[module].added_to(weight) if module in added else weight)
    whole = torch.cat(weights)
    if product in _NORMS:
        whole *= source.weight(llama.module(number, _NORMS[product]))
    return Int8Linear(whole)


def _attended(queries: Tensor, states: States, rows: Sequence[tuple[int, int]]) -> Tensor:
    """Attend with each query (heads, head size) over the first `length` keys of its row; return them likewise."""
    packed = queries.reshape(len(queries), states.keys.shape[1], -1, queries.shape[-1])
    outputs = [
        scaled_dot_product_attention(
            packed[at : at + 1], states.keys[row : row + 1, :, :length], states.values[row : row + 1, :, :length]
        )
        for at, (row, length) in enumerate(rows)
    ]
    return torch.cat(outputs).flatten(1, 2)
