"""What the engine asks of a model version."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
