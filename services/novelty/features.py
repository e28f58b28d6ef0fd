"""Everything the verdict on a candidate depends on, computed once from its source."""

from typing import NamedTuple

from archloop.contracts.values import sha256_of
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
    family: str


def features(source: str, *, k: int, permutations: int, sizes: Sizes) -> Features:
    """Read one source. Raises UnreadableSource."""
    program = read(source)
    canonical = tokens(program, sizes)
    hashed = shingles(canonical, k)
    signature: Signature = minhash(hashed, permutations).hashvalues
    return Features(sha256_of("\x1f".join(canonical)), hashed, signature, family(program))
