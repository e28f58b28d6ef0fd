import numpy as np
import pytest
from datasketch import bBitMinHash

from services.novelty.shingles import jaccard, minhash, shingles, sketch_of


def test_jaccard_is_that_of_the_sets_of_shingles():
    left, right = shingles(list("abcdef"), 3), shingles(list("bcdefg"), 3)
    assert jaccard(left, right) == 3 / 5
    assert jaccard(left, left) == 1.0
    empty = shingles([], 3)
    assert (len(empty), jaccard(empty, left), jaccard(left, empty), jaccard(empty, empty)) == (0, 0.0, 0.0, 1.0)


@pytest.mark.parametrize("seed", range(8))
def test_jaccard_is_that_of_python_sets(seed):
    rng = np.random.default_rng(seed)
    left, right = (set(rng.integers(0, 60, rng.integers(1, 50)).tolist()) for _ in range(2))
    arrays = (np.array(sorted(one), dtype=np.uint64) for one in (left, right))
    assert jaccard(*arrays) == len(left & right) / len(left | right)


def test_fewer_tokens_than_k_are_one_shingle():
    assert len(shingles(["a", "b"], 7)) == 1
    assert not np.array_equal(shingles(["a", "b"], 7), shingles(["b", "a"], 7))


@pytest.mark.parametrize("permutations", [16, 128, 200])
def test_a_sketch_is_the_b_bit_minhash_of_datasketch(permutations):
    sketch = minhash(shingles(list("the quick brown fox"), 3), permutations)
    assert sketch_of(sketch.hashvalues).tolist() == bBitMinHash(sketch, b=8).hashvalues.tolist()


def test_signatures_do_not_depend_on_those_made_before():
    one, other = shingles(list("abcdefgh"), 3), shingles(list("xyzuvw"), 3)
    first = minhash(one, 128).hashvalues.tolist()
    minhash(other, 128)
    assert minhash(one, 128).hashvalues.tolist() == first
