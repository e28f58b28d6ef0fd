"""Token sequences as sets of hashed k-shingles, their exact Jaccard similarity, and their MinHash signatures."""

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from datasketch import MinHash
from numpy.typing import NDArray

Shingles = NDArray[np.uint64]
Signature = NDArray[np.uint32]
Sketch = NDArray[np.uint8]
Parities = NDArray[np.uint64]
WORDS = 16
"""So long is a parity sketch."""

CLASSES = 64 * WORDS
GLIMPSE = WORDS // 2
"""So many of its words are looked at in all entries."""

SCHEME = "affine32"

_CLASS = np.uint64(64 - CLASSES.bit_length() + 1)
_MULTIPLIER = 0x9E3779B97F4A7C15


def shingles(tokens: Sequence[str], k: int) -> Shingles:
    """The set of 64-bit hashes of every `k` consecutive tokens, sorted; all tokens as one if they are fewer."""
    distinct = {token: _hash(token) for token in dict.fromkeys(tokens)}
    hashes = np.array([distinct[token] for token in tokens], dtype=np.uint64)
    width = min(k, len(hashes))
    if width == 0:
        return hashes
    powers = np.array([pow(_MULTIPLIER, i, 2**64) for i in range(width)], dtype=np.uint64)
    return np.unique(np.lib.stride_tricks.sliding_window_view(hashes, width) @ powers)


def jaccard(left: Shingles, right: Shingles) -> float:
    """|A ∩ B| / |A ∪ B|, exact up to 64-bit hash collisions; 1.0 for two empty sets."""
    shared = _shared(left, right) if len(left) and len(right) else 0
    union = len(left) + len(right) - shared
    return shared / union if union else 1.0


def _shared(left: Shingles, right: Shingles) -> int:
    places = left.searchsorted(right)
    places[places == len(left)] = 0
    return int(np.count_nonzero(left[places] == right))


def minhash(of: Shingles, permutations: int) -> MinHash:
    """A datasketch MinHash; its 32-bit hash values are the upper halves of what are hashes already."""
    sketch = _empty(permutations).copy()
    sketch.update_batch((of >> np.uint64(32)).tolist())
    return sketch


@cache
def _empty(permutations: int) -> MinHash:
    """Drawing the permutations takes longer than all else."""
    return MinHash(num_perm=permutations, hashfunc=int, scheme=SCHEME)


def sketch_of(signature: Signature) -> Sketch:
    """A quarter of a signature, for estimates: b-bit MinHash with 8 bits (Li and König, 2010)."""
    return signature.astype(np.uint8)


def parities_of(of: Shingles) -> Parities:
    """Of which classes of shingles the set has an odd number: an odd sketch (Mitzenmacher, Pagh and Pham, 2014)."""
    counts = np.bincount((of >> _CLASS).astype(np.int64), minlength=CLASSES)
    return np.packbits(counts.astype(np.uint8) & 1, bitorder="little").view(np.uint64)


def _hash(token: str) -> int:
    raw = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little")
