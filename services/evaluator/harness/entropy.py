"""Randomness in the child: every generator starts from the protocol's seed, also one that would ask the system."""

import os
import random
import secrets
from typing import Any

import numpy as np
import torch


def seed(number: int) -> None:
    """Seed the global generators of Python, numpy and torch, as each module and each network finds them."""
    random.seed(number)
    np.random.seed(number % 2**32)
    torch.manual_seed(number)


def settle(number: int) -> None:
    """Replace the system's randomness by one seeded stream, for the rest of this process.

    A generator made without a seed (`np.random.default_rng()`, `random.Random()`, `torch.seed()`, `uuid.uuid4()`) would
    give the same source another score at each evaluation.
    """
    stream = random.Random(number)  # noqa: S311 - to be the same each time
    os.urandom = random._urandom = stream.randbytes  # type: ignore[attr-defined]  # noqa: SLF001
    os.getrandom = lambda size, flags=0: stream.randbytes(size)  # noqa: ARG005
    secrets.randbits = stream.getrandbits  # type: ignore[assignment]
    np.random.bit_generator.randbits = stream.getrandbits  # type: ignore[attr-defined]
    unseeded = random.Random.seed

    def seeded(self: random.Random, a: Any = None, version: int = 2) -> None:
        unseeded(self, stream.getrandbits(256) if a is None else a, version)

    def reseeded() -> int:
        torch.manual_seed(chosen := stream.getrandbits(63))
        return chosen

    random.Random.seed = seeded  # type: ignore[method-assign]
    random.seed = random._inst.seed  # noqa: SLF001
    torch.seed = torch.random.seed = reseeded
