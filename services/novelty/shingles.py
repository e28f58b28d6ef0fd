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
"""The length of a parity sketch, in 64-bit words."""

CLASSES = 64 * WORDS
GLIMPSE = WORDS // 2
"""The number of its words that a scan reads of every entry."""

SCHEME = "affine32"

_CLASS = np.uint64(64 - CLASSES.bit_length() + 1)
_MULTIPLIER = 0x9E3779B97F4A7C15


def shingles(tokens: Sequence[str], k: int) -> Shingles:
    """Return the sorted set of 64-bit hashes of every `k` consecutive tokens; one of all tokens if they are fewer."""
    distinct = {token: _hash(token) for token in dict.fromkeys(tokens)}
    hashes = np.array([distinct[token] for token in tokens], dtype=np.uint64)
    width = min(k, len(hashes))
    if width == 0:
        return hashes
    powers = np.array([pow(_MULTIPLIER, i, 2**64) for i in range(width)], dtype=np.uint64)
    return np.unique(np.lib.stride_tricks.sliding_window_view(hashes, width) @ powers)


def jaccard(left: Shingles, right: Shingles) -> float:
    """Return |A ∩ B| / |A ∪ B|, exact up to 64-bit hash collisions; 1.0 for two empty sets."""
    shared = _shared(left, right) if len(left) and len(right) else 0
    union = len(left) + len(right) - shared
    return shared / union if union else 1.0


def _shared(left: Shingles, right: Shingles) -> int:
    places = left.searchsorted(right)
    places[places == len(left)] = 0
    return int(np.count_nonzero(left[places] == right))


def minhash(of: Shingles, permutations: int) -> MinHash:
    """Make a datasketch MinHash; its 32-bit hash values are the upper halves of the shingles' hashes."""
    sketch = _empty(permutations).copy()
    sketch.update_batch((of >> np.uint64(32)).tolist())
    return sketch


@cache
def _empty(permutations: int) -> MinHash:
    """Make an empty MinHash, once: drawing the permutations takes longer than all else."""
    return MinHash(num_perm=permutations, hashfunc=int, scheme=SCHEME)


def sketch_of(signature: Signature) -> Sketch:
    """Keep the low 8 bits of each value, for estimates: b-bit MinHash (Li and König, 2010)."""
    return signature.astype(np.uint8)


def parities_of(of: Shingles) -> Parities:
    """Sketch the classes of which the set has an odd number of shingles (Mitzenmacher, Pagh and Pham, 2014)."""
    counts = np.bincount((of >> _CLASS).astype(np.int64), minlength=CLASSES)
    return np.packbits(counts.astype(np.uint8) & 1, bitorder="little").view(np.uint64)


def _hash(token: str) -> int:
    raw = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(raw, "little")
