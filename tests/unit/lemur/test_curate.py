"""What is kept of a corpus, and why the rest is not."""

import random
from contextlib import closing
from itertools import combinations

import numpy as np
import pytest

from archloop_lab.lemur import curating, sources
from archloop_lab.lemur.clusters import clusters
from archloop_lab.lemur.corpus import Corpus
from archloop_lab.lemur.curating import EXACT, KEPT, OVER_QUOTA, SAME, UNREADABLE, curate
from archloop_lab.lemur.importing import into
from archloop_lab.lemur.tally import tally
from services.novelty.features import Features
from services.novelty.shingles import jaccard, minhash
from tests.unit.lemur import miniature

QUIET = lambda *_: None  # noqa: E731


@pytest.fixture
def corpus(tmp_path):
    with closing(Corpus(tmp_path / "corpus.sqlite")) as opened:
        into(opened, sources.opened(miniature.folder(tmp_path / "lemur")), QUIET)
        yield opened


def said(corpus, **settings):
    chosen = {"threshold": 0.9, "quota": 5, "sizes": "kept"} | settings
    return {each.name: each for each in curate(corpus.preferred(), **chosen, advance=QUIET)}


def test_each_is_told_why(corpus):
    found = said(corpus)
    assert {name: each.why for name, each in found.items()} == {
        "ga-1": KEPT,
        "alt-9": EXACT,
        "ga-2": SAME,
        "ga-3": KEPT,
        "rag-1": KEPT,
        "rag-2": KEPT,
        "bad-1": UNREADABLE,
        "bad-2": KEPT,
    }
    assert [found[name].nearest for name in ("alt-9", "ga-2")] == ["ga-1", "ga-1"]
    assert (found["rag-1"].family, found["ga-1"].family) == ("residual", "plain")
    assert all(each.kept == (each.why == KEPT) for each in found.values())


def test_networks_that_differ_in_sizes_only_are_one_where_sizes_do_not_count(corpus):
    assert said(corpus, sizes="ignored")["ga-3"].why == SAME


def test_of_a_cluster_the_most_accurate_are_kept_up_to_the_quota(corpus):
    found = said(corpus, threshold=0.3, quota=1)
    assert (found["ga-1"].why, found["ga-3"].why) == (KEPT, OVER_QUOTA)
    assert (found["ga-3"].cluster, found["ga-3"].nearest) == ("ga-1", "ga-1")
    assert 0.3 <= found["ga-3"].similarity < 1
    assert said(corpus, threshold=0.3, quota=2)["ga-3"].why == KEPT
    assert said(corpus, threshold=0.3, quota=1)["rag-1"].why == KEPT, "another family has a quota of its own"


def test_processes_say_what_one_process_says(corpus, monkeypatch):
    alone = said(corpus)
    monkeypatch.setattr(curating, "_FEW", 0)
    assert said(corpus) == alone


def test_curating_again_replaces_what_was_said(corpus):
    corpus.curate(said(corpus, sizes="ignored").values())
    corpus.curate(said(corpus).values())
    counts = tally(corpus.tally()).as_json()
    assert (counts["in"], counts[KEPT], counts["unreadable"]) == (8, 5, 1)
    assert counts["families"]["unreadable"] == {UNREADABLE: 1}
    assert [each.name for each in corpus.kept()] == ["bad-2", "ga-1", "ga-3", "rag-1", "rag-2"]


@pytest.mark.parametrize("threshold", [0.7, 0.9])
def test_clusters_are_the_connected_components_of_all_pairs(threshold):
    rng = random.Random(1)
    described = [features_of(rng, family) for family in range(12) for _ in range(10)]
    assert clusters(described, threshold) == components(described, threshold)
    assert 12 < len(set(clusters(described, threshold))) < len(described)


def test_of_nothing_there_are_no_clusters():
    assert clusters([], 0.9) == []


def features_of(rng, family):
    """Sets that share between half and all of 200 shingles with those of their family."""
    base = np.random.default_rng(family).integers(0, 2**63, 200, dtype=np.uint64)
    own = np.random.default_rng(rng.randrange(2**32)).integers(0, 2**63, rng.choice((5, 30, 60)), dtype=np.uint64)
    shingles = np.unique(np.concatenate([base[len(own) :], own]))
    return Features("", shingles, minhash(shingles, 128).hashvalues, "plain")


def components(described, threshold):
    roots = list(range(len(described)))
    for one, other in combinations(range(len(described)), 2):
        if jaccard(described[one].shingles, described[other].shingles) >= threshold:
            first, second = sorted((roots[one], roots[other]))
            roots = [first if root == second else root for root in roots]
    return roots
