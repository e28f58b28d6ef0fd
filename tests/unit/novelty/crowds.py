"""Sets of shingles that are alike as networks are: families with a common stock, and members that differ a little."""

import numpy as np

from services.novelty.entries import Entry
from services.novelty.shingles import minhash

PERMUTATIONS = 128


def crowd(count: int, seed: int, *, size: int = 40, families: int = 6, runs: int = 1) -> list[Entry]:
    """Entries in no order; some sets are empty, equal, or hold shingles that share an upper half."""
    rng = np.random.default_rng(seed)
    stock = rng.integers(0, 2**63, size // 2, dtype=np.uint64)
    heads = [np.concatenate([stock, rng.integers(0, 2**63, size, dtype=np.uint64)]) for _ in range(families)]
    return [_member(number, rng, heads, runs) for number in range(count)]


def _member(number: int, rng: np.random.Generator, heads: list[np.ndarray], runs: int) -> Entry:
    head = heads[rng.integers(len(heads))]
    kept = head[rng.random(len(head)) > rng.choice([0, 0.02, 0.05, 0.1, 0.3, 0.9])]
    new = rng.integers(0, 2**63, rng.choice([0, 0, 1, 2, 5, 20]), dtype=np.uint64)
    siblings = kept[: rng.choice([0, 0, 2])] ^ np.uint64(1)
    of = np.unique(np.concatenate([kept, new, siblings]))
    if rng.random() < 0.01:
        of = of[:0]
    return entry(f"c{number}", of, f"run-{rng.integers(runs)}")


def entry(name: str, of: np.ndarray, run_id: str = "r", tokens: str | None = None) -> Entry:
    """One whose tokens are its own, unless said otherwise."""
    return Entry(name, run_id, tokens or name, of, minhash(of, PERMUTATIONS).hashvalues)
