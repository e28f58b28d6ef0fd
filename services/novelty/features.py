"""The features of a candidate that its verdict depends on, computed once from its source."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from archloop.contracts.values import Family, sha256_of
from services.novelty.constants import Sizes
from services.novelty.families import family
from services.novelty.normalise import tokens
from services.novelty.reach import read
from services.novelty.shingles import Shingles, Signature, minhash, shingles


class Features(NamedTuple):
    """The hash of the canonical tokens, their shingles, the MinHash signature of these, and the family."""

    tokens_sha256: str
    shingles: Shingles
    signature: Signature
    family: Family


def features(source: str, *, k: int, permutations: int, sizes: Sizes) -> Features:
    """Compute the features of a source. Raises UnreadableSource."""
    program = read(source)
    return _described(tokens(program, sizes), family(program), k, permutations)


def as_text(source: str, *, k: int, permutations: int) -> Features:
    """Describe a network that cannot be read by its words and signs alone, without structure."""
    return _described(re.findall(r"\w+|[^\w\s]", source), Family.PLAIN, k, permutations)


def _described(canonical: Sequence[str], name: Family, k: int, permutations: int) -> Features:
    hashed = shingles(canonical, k)
    signature: Signature = minhash(hashed, permutations).hashvalues
    return Features(sha256_of("\x1f".join(canonical)), hashed, signature, name)
