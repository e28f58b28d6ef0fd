"""Many networks as an LLM would write them: LEMUR's, changed a little, again and again."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archloop.contracts.values import sha256_of
from services.novelty.entries import Entry
from services.novelty.normalise import normalise
from services.novelty.program import UnreadableSource
from services.novelty.shingles import minhash, shingles

K, PERMUTATIONS = 7, 128
UNCHANGED, FURTHER, FOREIGN = 0.1, 0.3, 0.02
REMEMBERED = 20_000
Tokens = tuple[str, ...]


def programs(folder: Path, most: int | None = None) -> list[Tokens]:
    """The canonical tokens of every source that can be read."""
    read = []
    for path in sorted(folder.glob("*.py"))[:most]:
        try:
            read.append(normalise(path.read_bytes().decode("utf-8", "surrogateescape")))
        except UnreadableSource:
            continue
    return [tokens for tokens in read if tokens]


def variations(known: Sequence[Tokens], seed: int) -> Iterator[Tokens]:
    """Without end: one in ten a copy, three in ten of an earlier variation, one in fifty of a network held back."""
    rng = random.Random(seed)
    shuffled = rng.sample(known, len(known))
    held_back, base = shuffled[: len(known) // 10], shuffled[len(known) // 10 :]
    numbers = [token for tokens in base[:500] for token in tokens if token.isdigit()]
    words = [token for tokens in base[:500] for token in tokens]
    earlier: list[Tokens] = []
    while True:
        chance = rng.random()
        pool = earlier if chance < FURTHER and len(earlier) > 100 else base
        source = (
            rng.choice(held_back) if chance > 1 - FOREIGN else _changed(rng, rng.choice(pool), base, numbers, words)
        )
        if len(earlier) < REMEMBERED:
            earlier.append(source)
        else:
            earlier[rng.randrange(REMEMBERED)] = source
        yield source


def entries(known: Sequence[Tokens], seed: int) -> Iterator[Entry]:
    """Variations as the index is given them."""
    for number, tokens in enumerate(variations(known, seed)):
        of = shingles(tokens, K)
        yield Entry(f"c{number}", "run", sha256_of("\x1f".join(tokens)), of, minhash(of, PERMUTATIONS).hashvalues)


def together(sets: Sequence[NDArray[np.uint64]]) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """The sets as numbers from zero on, where each begins, and how many numbers there are."""
    distinct, numbers = np.unique(np.concatenate(sets), return_inverse=True)
    return numbers, np.cumsum([0, *map(len, sets)]), len(distinct)


def _changed(
    rng: random.Random, tokens: Tokens, base: Sequence[Tokens], numbers: Sequence[str], words: Sequence[str]
) -> Tokens:
    """About four changes: another number, another word, something left out, something of another network put in."""
    if rng.random() < UNCHANGED:
        return tokens
    changed = list(tokens)
    while rng.random() < 0.8:
        place, kind = rng.randrange(len(changed)), rng.random()
        if kind < 0.4:
            digits = [at for at in rng.sample(range(len(changed)), min(12, len(changed))) if changed[at].isdigit()]
            changed[digits[0] if digits else place] = rng.choice(numbers)
        elif kind < 0.6:
            changed[place] = rng.choice(words)
        elif kind < 0.8 and len(changed) > 60:
            del changed[place : place + rng.randrange(3, 30)]
        else:
            other = rng.choice(base)
            start = rng.randrange(len(other))
            changed[place:place] = other[start : start + rng.randrange(3, 60)]
    return tuple(changed[:REMEMBERED])
