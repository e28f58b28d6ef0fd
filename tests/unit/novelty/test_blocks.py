import io
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.novelty import index as module
from services.novelty import search
from services.novelty.blocks import Row, block_of, joined, unpacked
from services.novelty.index import NoveltyIndex, _row
from services.novelty.search import Query, Scan, ranked
from services.novelty.shingles import jaccard, parities_of
from services.novelty.sqlite import SqliteSignatures
from tests.unit.novelty.crowds import PERMUTATIONS, crowd, entry

pytestmark = pytest.mark.slow


def rows(count: int, seed: int) -> list[Row]:
    return [_row(one, place) for place, one in enumerate(crowd(count, seed))]


@pytest.mark.parametrize("parts", [[1], [5, 1], [64, 64], [1, 2, 3, 4], [100, 1, 100]])
def test_blocks_joined_are_the_block_of_all(parts):
    every = rows(sum(parts), seed=len(parts))
    bounds = np.cumsum([0, *parts])
    together = joined([block_of(every[low:high]) for low, high in pairwise(bounds)])
    assert all(map(np.array_equal, together, block_of(every)))
    assert together.glimpses.flags.f_contiguous


@pytest.mark.parametrize("count", [1, 2, 7, 64, 300])
def test_a_block_comes_back_as_it_was_packed(count):
    block = block_of(rows(count, seed=count))
    again = unpacked(block.packed())
    assert all(map(np.array_equal, again, block))
    assert (again.glimpses.flags.f_contiguous, again.sizes.dtype) == (True, block.sizes.dtype)


def earlier(*arrays: np.ndarray, **named: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, *arrays, **named)
    return file.getvalue()


@pytest.mark.parametrize(
    "packed",
    [
        earlier(*[np.arange(3)] * 9),
        earlier(np.arange(3)),
        earlier(sizes=np.arange(3)),
        earlier(**dict.fromkeys(("sizes", "places", "runs", "sketches", "parities"), np.arange(3))),
        earlier(),
    ],
)
def test_what_an_earlier_version_packed_is_no_block_and_gets_replaced(packed, monkeypatch):
    assert unpacked(packed) is None
    monkeypatch.setattr(module, "TAIL", 64)
    monkeypatch.setattr(module, "FULL", 64)
    store = SqliteSignatures(":memory:")
    store.keep_segment(0, packed)
    entries = crowd(70, seed=5)
    monkeypatch.setattr(store, "count", lambda: 70)
    monkeypatch.setattr(store, "entries", lambda after: iter(entries[after:]))
    index = NoveltyIndex(store, PERMUTATIONS)
    index.catch_up()
    assert len(index) == 70
    assert all(map(np.array_equal, unpacked(store.segment(0)), index._blocks[0]))


@settings(deadline=None)
@given(
    left=st.sets(st.integers(0, 2**64 - 1), max_size=200),
    right=st.sets(st.integers(0, 2**64 - 1), max_size=200),
    shared=st.sets(st.integers(0, 2**64 - 1), max_size=400),
)
def test_no_more_classes_differ_than_shingles(left, right, shared):
    one, other = (parities_of(np.array(sorted(part | shared), dtype=np.uint64)) for part in (left, right))
    assert np.bitwise_count(one ^ other).sum() <= len((left | shared) ^ (right | shared))


@pytest.mark.parametrize("threshold", [0.0, 1e-12, 0.2, 0.5, 2 / 3, 0.85, 0.9, 1.0])
@pytest.mark.parametrize("run", [None, "run-1"])
@pytest.mark.parametrize("size", [4, 40, 700, 4000])
def test_nothing_that_reaches_the_threshold_is_excluded(threshold, run, size):
    *others, asked = crowd(120, seed=size, size=size, runs=2)
    like = _row(asked, 120)
    number = None if run is None else _row(entry("x", asked.shingles, run), 0).run
    rows = [_row(one, place) for place, one in enumerate(others)]
    scan = Scan([block_of(rows[:40]), block_of(rows[40:])], Query(like, number, threshold))
    possible = scan.possible()
    places = set() if possible is None else set(possible.places.tolist())
    reach = {
        place
        for place, one in enumerate(others)
        if run in (None, one.run_id) and jaccard(one.shingles, asked.shingles) >= threshold
    }
    assert reach <= places
    if threshold > 0.8 and size in (40, 700):
        assert len(places) <= len(reach) + 12


@pytest.mark.parametrize("ends", [[0, 400], [0, 1, 400], [0, 64, 128, 400], [0, 399, 400], [0, 100, 100, 400]])
@pytest.mark.parametrize("run", [None, "run-1"])
def test_the_same_entries_are_possible_in_one_block_as_in_several(ends, run):
    *others, asked = crowd(401, seed=len(ends), runs=2)
    every, like = [_row(one, place) for place, one in enumerate(others)], _row(asked, 400)
    number = None if run is None else _row(entry("x", asked.shingles, run), 0).run
    query = Query(like, number, 0.6)
    blocks = [block_of(every[low:high]) for low, high in pairwise(ends) if low < high]
    whole, parts = Scan([block_of(every)], query), Scan([*blocks, blocks[0].of(slice(0))], query)
    possible = ranked(whole.possible(), query)
    assert len(possible) > 5
    assert ranked(parts.possible(), query) == possible
    assert all(run in (None, others[place].run_id) for place in ranked(parts.likely(), query))


@pytest.mark.parametrize("seed", range(5))
def test_of_many_few_are_likely_and_one_that_is_about_as_similar_as_any(seed, monkeypatch):
    *others, asked = crowd(1000, seed, size=300)
    query = Query(_row(asked, 999), None, 0.85)
    every = [_row(one, place) for place, one in enumerate(others)]
    for name, value in {"_FEW": 100, "_SAMPLED": 100, "_FEWEST": 60}.items():
        monkeypatch.setattr(search, name, value)
    likely = ranked(Scan([block_of(every[:700]), block_of(every[700:])], query).likely(), query)
    similarities = [jaccard(other.shingles, asked.shingles) for other in others]
    assert max(similarities[place] for place in likely) >= max(similarities) - 0.05
    assert 20 <= len(likely) <= 60


@pytest.mark.parametrize("blocks", [[], [0], [0, 0]])
def test_where_nothing_is_in_scope_nothing_is_likely_or_possible(blocks):
    (asked,) = crowd(1, seed=1)
    query = Query(_row(asked, 0), None, 0.0)
    scan = Scan([block_of([_row(asked, 0)]).of(slice(count)) for count in blocks], query)
    assert ranked(scan.likely(), query) == ranked(scan.possible(), query) == []
