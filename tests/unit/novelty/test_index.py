import random
import re

import numpy as np
import pytest

from services.novelty.features import features
from services.novelty.index import Entry, NoveltyIndex, bands
from services.novelty.shingles import jaccard, shingles

THRESHOLD = 0.85


def entry(name: str, source: str, run_id: str = "r") -> Entry:
    return Entry(name, run_id, *features(source, k=7, permutations=128, sizes="kept")[:3])


def edited(source: str, edits: int, rng: random.Random) -> str:
    """The source with some sizes of its layers changed."""
    until = source.index("def train_setup")
    places = list(re.finditer(r"\b\d+\b", source[:until]))
    for place in sorted(rng.sample(places, edits), key=lambda match: -match.start()):
        source = source[: place.start()] + str(int(place[0]) + 1) + source[place.end() :]
    return source


@pytest.fixture(scope="module")
def crowd(seed_net):
    """Networks of every family, each with some near copies, in no order."""
    rng = random.Random(1)
    sources = [edited(seed_net(seed), edits, rng) for seed in range(40) for edits in (0, 1, 1, 2, 3)]
    rng.shuffle(sources)
    return [entry(str(number), source) for number, source in enumerate(sources)]


def test_similarity_is_exact_and_every_decision_is_that_of_brute_force(crowd):
    index = NoveltyIndex(128, THRESHOLD)
    near = 0
    for number, one in enumerate(crowd):
        found = index.nearest(one, threshold=THRESHOLD, run_id="r")
        index.add(one)
        if number:
            best = max(jaccard(one.shingles, other.shingles) for other in crowd[:number])
            assert found.similarity == pytest.approx(best, abs=0.02 if best < 0.3 else 1e-12)
            near += best >= THRESHOLD
    assert near > 80


def test_lsh_alone_finds_99_in_100_pairs_at_or_above_the_threshold(crowd):
    index = NoveltyIndex(128, THRESHOLD)
    index._likeliest = lambda *_: []
    pairs = missed = 0
    for number, one in enumerate(crowd):
        found = index.nearest(one, threshold=THRESHOLD, run_id="r")
        best = max((jaccard(one.shingles, other.shingles) for other in crowd[:number]), default=0)
        if best >= THRESHOLD:
            pairs += 1
            missed += found is None or found.similarity < THRESHOLD
        index.add(one)
    assert missed <= pairs / 100


def test_of_equally_near_ones_the_earliest_is_named(seed_net):
    index = NoveltyIndex(128, THRESHOLD)
    for name in ("first", "second"):
        index.add(entry(name, seed_net(1)))
    found = index.nearest(entry("third", seed_net(1)), threshold=THRESHOLD, run_id="r")
    assert (found.candidate, found.similarity, found.identical) == ("first", 1.0, True)


def test_a_search_in_a_run_sees_nothing_of_other_runs(seed_net):
    index = NoveltyIndex(128, THRESHOLD)
    index.add(entry("theirs", seed_net(1), run_id="other"))
    again = entry("ours", seed_net(1), run_id="r")
    assert index.nearest(again, threshold=THRESHOLD, run_id="r") is None
    assert index.nearest(again, threshold=THRESHOLD, run_id=None).candidate == "theirs"


def test_identical_tokens_are_told_from_identical_shingle_sets():
    looped = "def Net(x):\n" + "    x = f(x)\n" * 40
    longer = "def Net(x):\n" + "    x = f(x)\n" * 41
    index = NoveltyIndex(128, THRESHOLD)
    index.add(entry("short", looped))
    found = index.nearest(entry("long", longer), threshold=THRESHOLD, run_id="r")
    assert (found.similarity, found.identical) == (1.0, False)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.85, 0.9, 0.99, 1.0])
def test_bands_promise_the_recall(threshold):
    count, rows = bands(threshold, 128)
    assert count * rows <= 128
    assert 1 - (1 - threshold**rows) ** count >= 0.99


def test_at_the_default_threshold_the_bands_are_the_measured_ones():
    assert bands(0.85, 128) == (16, 8)


def test_jaccard_is_that_of_the_sets_of_shingles():
    left, right = shingles(list("abcdef"), 3), shingles(list("bcdefg"), 3)
    assert jaccard(left, right) == 3 / 5
    assert jaccard(left, left) == 1.0
    empty = shingles([], 3)
    assert (len(empty), jaccard(empty, left), jaccard(empty, empty)) == (0, 0.0, 1.0)


def test_fewer_tokens_than_k_are_one_shingle():
    assert len(shingles(["a", "b"], 7)) == 1
    assert not np.array_equal(shingles(["a", "b"], 7), shingles(["b", "a"], 7))
