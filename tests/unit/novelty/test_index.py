import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.novelty import index as module
from services.novelty import nearest, search
from services.novelty.entries import Entry, ListedEntries
from services.novelty.features import features
from services.novelty.index import NoveltyIndex, layout
from services.novelty.shingles import jaccard
from tests.unit.novelty.crowds import PERMUTATIONS, crowd, entry

pytestmark = pytest.mark.slow

THRESHOLDS = [0.0, 5e-324, 1e-12, 0.01, 0.2, 1 / 3, 0.5, 0.6, 0.75, 0.85, 0.9, 0.99, 1 - 1e-12, 1.0]


@pytest.fixture
def small(monkeypatch):
    """Blocks as few entries fill them, so that a few hundred are in several, full ones too, looked at in two steps."""
    for name, value in {"TAIL": 64, "FULL": 256}.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(nearest, "_FEW", 100)
    for name, value in {"_FEW": 100, "_SAMPLED": 60}.items():
        monkeypatch.setattr(search, name, value)


class Filled:
    """An index and the entries in it."""

    def __init__(self, permutations: int = PERMUTATIONS) -> None:
        self.entries = ListedEntries()
        self.index = NoveltyIndex(self.entries, permutations)

    def judge(self, one: Entry, threshold: float, run_id: str | None = None):
        found = self.index.nearest(one, threshold=threshold, run_id=run_id)
        self.index.add(one)
        self.entries.append(one)
        return found


def filled(entries, permutations: int = PERMUTATIONS) -> Filled:
    whole = Filled(permutations)
    for one in entries:
        whole.entries.append(one)
    whole.index.catch_up()
    return whole


def similarities(one: Entry, others) -> list[float]:
    return [jaccard(other.shingles, one.shingles) for other in others]


def arrays(index: NoveltyIndex) -> list[np.ndarray]:
    return [array for block in (*index._blocks, index._tail.block) for array in block]


@pytest.mark.parametrize("threshold", THRESHOLDS)
@pytest.mark.parametrize("scope", ["global", "run"])
def test_every_verdict_is_that_of_brute_force(small, threshold, scope):
    whole, entries = Filled(), crowd(350, seed=int(threshold * 100), runs=3)
    assert len(entries) == 350
    for number, one in enumerate(entries):
        run_id = one.run_id if scope == "run" else None
        found = whole.judge(one, threshold, run_id)
        earlier = [other for other in entries[:number] if scope == "global" or other.run_id == one.run_id]
        exact = similarities(one, earlier)
        if not earlier:
            assert found is None
            continue
        assert (found.similarity >= threshold) == (max(exact) >= threshold)
        assert found.similarity == exact[[other.candidate for other in earlier].index(found.candidate)]


@settings(max_examples=25, deadline=None)
@given(
    sets=st.lists(st.sets(st.integers(0, 40), max_size=25), min_size=65, max_size=140),
    threshold=st.floats(0, 1),
    spread=st.sampled_from([1, 2**20, 2**31, 2**32]),
)
def test_sets_of_any_kind_get_the_verdict_of_brute_force(sets, threshold, spread):
    """With a small spread many shingles share an upper half, and bounds alone tell little."""
    entries = [entry(str(n), np.array(sorted(one), dtype=np.uint64) * np.uint64(spread)) for n, one in enumerate(sets)]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(module, "TAIL", 64)
        whole = Filled()
        for number, one in enumerate(entries):
            found = whole.judge(one, threshold)
            exact = similarities(one, entries[:number])
            assert (found.similarity >= threshold) == (max(exact) >= threshold) if exact else found is None


# In one dense family hundreds are almost equally near, and signatures of 128 values do not tell them apart.
@pytest.mark.parametrize(("families", "allowed"), [(1, 0.07), (8, 0.01), (25, 0.01), (60, 0.01)])
def test_the_nearest_is_within_a_fiftieth_of_the_best_in_most_cases(small, families, allowed):
    whole, entries = Filled(), crowd(450, seed=families, size=120, families=families)
    off = 0
    for number, one in enumerate(entries):
        found = whole.judge(one, 0.85)
        off += number > 0 and max(similarities(one, entries[:number])) - found.similarity > 0.02
    assert off <= allowed * len(entries)


@pytest.mark.parametrize("count", [0, 63, 64, 200, 512, 700, 1100, 1663])
def test_an_index_filled_one_by_one_is_the_one_that_a_start_builds(small, count):
    entries, slowly = crowd(count, seed=count), Filled()
    for one in entries:
        slowly.index.add(one)
    at_once = filled(entries).index
    assert len(at_once) == len(slowly.index) == count
    assert [block.length for block in at_once._blocks] == layout(count)
    assert len(arrays(at_once)) == len(arrays(slowly.index))
    assert all(map(np.array_equal, arrays(at_once), arrays(slowly.index)))


@pytest.mark.parametrize("kept", [0, 1, 63, 64, 500, 512, 600, 699])
def test_what_is_forgotten_is_never_named_and_comes_back(small, kept):
    entries = crowd(700, seed=3)
    whole = filled(entries)
    whole.index.truncate(kept)
    assert len(whole.index) <= kept
    rolled_back = filled(entries[:kept])
    whole.index._entries, fresh = rolled_back.entries, rolled_back.index
    whole.index.catch_up()
    assert len(whole.index) == kept
    assert all(map(np.array_equal, arrays(whole.index), arrays(fresh)))
    names = {one.candidate for one in entries[:kept]}
    found = [whole.index.nearest(one, threshold=0.85, run_id=None) for one in entries[650:]]
    assert all(one is None or one.candidate in names for one in found)


def test_forgetting_nothing_changes_nothing(small):
    whole = filled(crowd(300, seed=1))
    before = [array.copy() for array in arrays(whole.index)]
    whole.index.truncate(300)
    whole.index.truncate(1000)
    assert len(whole.index) == 300
    assert all(map(np.array_equal, arrays(whole.index), before))


@pytest.mark.parametrize("count", [64, 2048, 4096, 10_000, 65_535, 65_536, 67_584, 262_400, 1_000_000, 10_000_000])
def test_blocks_are_few_and_leave_less_than_a_tail(count):
    sizes = layout(count)
    full = count // module.FULL
    assert 0 <= count - sum(sizes) < module.TAIL
    assert len(sizes) - full <= 7
    assert all(size % module.TAIL == 0 for size in sizes)


def test_growing_by_a_tail_changes_the_last_blocks_into_one():
    for count in range(module.TAIL, 3 * module.FULL, module.TAIL):
        before, after = layout(count - module.TAIL), layout(count)
        assert before[: len(after) - 1] == after[:-1]


def named(name: str, source: str, run_id: str = "r") -> Entry:
    return Entry(name, run_id, *features(source, k=7, permutations=128, sizes="kept")[:3])


@pytest.mark.parametrize(
    ("known", "count"), [(0, 70), (10, 73), (10, 74), (10, 300), (63, 140), (64, 64), (100, 120), (300, 700)]
)
def test_an_index_that_is_behind_becomes_what_one_made_anew_is(small, known, count):
    entries = crowd(count, seed=count)
    behind = filled(entries[:known])
    for one in entries[known:]:
        behind.entries.append(one)
    behind.index.catch_up()
    assert len(behind.index) == count
    assert all(map(np.array_equal, arrays(behind.index), arrays(filled(entries).index)))


def edited(source: str, edits: int, rng: random.Random) -> str:
    """The source with some sizes of its layers changed."""
    until = source.index("def train_setup")
    places = list(re.finditer(r"\b\d+\b", source[:until]))
    for place in sorted(rng.sample(places, edits), key=lambda match: -match.start()):
        source = source[: place.start()] + str(int(place[0]) + 1) + source[place.end() :]
    return source


def test_networks_of_every_family_and_their_near_copies_are_told_as_by_brute_force(seed_net):
    rng, whole = random.Random(1), Filled(permutations=128)
    sources = [edited(seed_net(seed), edits, rng) for seed in range(80) for edits in (0, 1, 1, 2, 3)]
    rng.shuffle(sources)
    entries, near = [named(str(number), source) for number, source in enumerate(sources)], 0
    for number, one in enumerate(entries):
        found = whole.judge(one, 0.85)
        if number:
            best = max(similarities(one, entries[:number]))
            assert (found.similarity >= 0.85) == (best >= 0.85)
            assert found.similarity >= best - 0.05
            near += best >= 0.85
    assert near > 160


def test_of_equally_near_ones_the_earliest_is_named(seed_net):
    whole = filled([named("first", seed_net(1)), named("second", seed_net(1))], permutations=128)
    found = whole.index.nearest(named("third", seed_net(1)), threshold=0.85, run_id="r")
    assert (found.candidate, found.similarity, found.identical) == ("first", 1.0, True)


def test_a_search_in_a_run_sees_nothing_of_other_runs(seed_net):
    whole = filled([named("theirs", seed_net(1), run_id="other")], permutations=128)
    again = named("ours", seed_net(1), run_id="r")
    assert whole.index.nearest(again, threshold=0.85, run_id="r") is None
    assert whole.index.nearest(again, threshold=0.85, run_id=None).candidate == "theirs"


def test_identical_tokens_are_told_from_identical_shingle_sets():
    of = np.arange(40, dtype=np.uint64) << np.uint64(33)
    found = filled([entry("short", of)]).index.nearest(entry("long", of), threshold=0.85, run_id="r")
    assert (found.similarity, found.identical) == (1.0, False)


@pytest.mark.parametrize("count", [1, 64, 100])
def test_where_nothing_is_shared_one_in_scope_is_named_with_no_similarity(small, count):
    of = np.arange(40, dtype=np.uint64) << np.uint64(33)
    others = [entry(f"o{n}", of + np.uint64(1 + n), "other") for n in range(64)]
    ours = [entry(f"c{n}", of + np.uint64((1000 + 100 * n) << 33)) for n in range(count)]
    found = filled(others + ours).index.nearest(entry("x", of), threshold=0.85, run_id="r")
    assert (found.candidate[0], found.similarity) == ("c", 0.0)
