"""What the engine asks of a model version, and any model of transformers as one."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache
from typing_extensions import override

from services.generator.modelserver.sampling import Logits
from services.generator.modelserver.slots import SlotCache, States


class Decoder(Protocol):
    """A model version: it reads a prompt, then gives running sequences one token after another.

    `width` tokens cost a step about as much as one, and come to the same as in steps of their own.
    """

    width: int

    def cache(self, slots: int, capacity: int) -> SlotCache:
        """Return empty slots for the keys and values of sequences of up to `capacity` tokens."""
        ...

    def prefill(self, prompt: Sequence[int]) -> tuple[Logits, Iterable[States]]:
        """Return the logits (V,) after the prompt, and each layer's keys and values (1, heads, T, head size)."""
        ...

    def step(self, fed: Mapping[int, Sequence[int]], cache: SlotCache) -> Mapping[int, NDArray[np.float32]]:
        """Return the logits (T, V) of each row after each of the T tokens that it is fed.

        Args:
            fed: Tokens by row of the cache; rows that are not named stand empty.
            cache: Keys and values of the tokens before; it has grown by these.

        """
        ...

    def adapted(self, folder: Path) -> "Decoder":
        """Return a copy with the adapter's deltas added. Raises NotFound, InvalidInput."""
        ...


class TransformersDecoder(Decoder):
    """A causal language model of transformers, with the attention of slots.

    Every step has the fixed shape (slots, 1), because matrix kernels compute a row differently in another shape.
    """

    width = 1

    def __init__(self, model: Any) -> None:
        self.model = model

    @override
    def cache(self, slots: int, capacity: int) -> SlotCache:
        return SlotCache(slots, capacity, device=self.model.device)

    @override
    def prefill(self, prompt: Sequence[int]) -> tuple[Logits, Iterable[States]]:
        cache, ids = DynamicCache(), torch.tensor([prompt], device=self.model.device)
        logits = self.model(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits
        after: Logits = logits[0, -1].float().cpu().numpy()
        return after, [States(layer.keys, layer.values) for layer in cache.layers]

    @override
    def step(self, fed: Mapping[int, Sequence[int]], cache: SlotCache) -> Mapping[int, NDArray[np.float32]]:
        device = self.model.device
        tokens = [fed.get(row, (0,)) for row in range(len(cache.lengths))]
        logits = self.model(
            input_ids=torch.tensor(tokens, device=device),
            position_ids=cache.positions()[:, None],
            attention_mask=torch.zeros(1, 1, 1, 1, device=device),
            past_key_values=cache,
            use_cache=True,
            lengths=cache.lengths,
        ).logits
        rows = logits.float().cpu().numpy()
        return {row: rows[row] for row in fed}

    @override
    def adapted(self, folder: Path) -> "TransformersDecoder":
        from services.generator.modelserver.merging import merged

        return TransformersDecoder(merged(self.model, folder))
