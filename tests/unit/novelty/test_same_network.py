"""When two candidates are the same network: by their graphs, and by tokens where those cannot tell."""

import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from archloop.contracts.messages import CandidateJudged
from archloop.contracts.values import Verdict
from services.novelty.compare import compare
from services.novelty.entries import Entry, ListedEntries
from services.novelty.features import Features
from services.novelty.index import NoveltyIndex
from services.novelty.judge import check_and_insert
from services.novelty.shingles import minhash
from services.novelty.sqlite import SqliteSignatures
from services.novelty.store import Arrival

EXACT, NEAR, NOVEL = Verdict.EXACT_DUPLICATE, Verdict.NEAR_DUPLICATE, Verdict.NOVEL
HERE, THERE = "1" * 64, "2" * 64  # protocols
G, H = "a" * 64, "b" * 64  # graphs
WORDS = {"t": np.arange(100, dtype=np.uint64), "near": np.arange(5, 105, dtype=np.uint64)}
WORDS["far"] = np.arange(900, 1000, dtype=np.uint64)
LIKENESS = {"t": 1.0, "near": 95 / 105, "far": 0.0}


def features(tokens: str) -> Features:
    """Shingles by name; what is called `t2` has other tokens than `t`, with the same shingles."""
    of = WORDS[tokens.rstrip("2")]
    return Features(tokens, of, minhash(of, 128).hashvalues, "plain")


def arrival(name: str, tokens: str, graph: str | None, protocol: str, **changed) -> Arrival:
    return replace(Arrival(name, "r", 0, 0, name, "global", 0.85, features(tokens), graph, protocol), **changed)


class Store:
    """Judges as the service does, in a store that knows the judged ones."""

    def __init__(self) -> None:
        self.entries = SqliteSignatures(":memory:")

    def keep(self, one: Arrival) -> None:
        with self.entries.transaction():
            self.entries.record(one)
            said = CandidateJudged(run_id="r", verdict=NOVEL, similarity=0.0, threshold=0.85, family="plain")
            self.entries.settle(one.candidate, released_by="m", judged=said)


class Listed:
    def __init__(self) -> None:
        self.entries = ListedEntries()

    def keep(self, one: Arrival) -> None:
        self.entries.append(one.entry)


RULES = {
    "graphs equal, tokens equal": (("t", G, HERE), ("t", G, HERE), EXACT),
    "graphs equal, tokens near": (("t", G, HERE), ("near", G, HERE), EXACT),
    "graphs equal, tokens far": (("t", G, HERE), ("far", G, HERE), EXACT),
    "graphs equal under two protocols": (("t", G, HERE), ("far", G, THERE), EXACT),
    "tokens equal, graphs different": (("t", G, HERE), ("t", H, HERE), NEAR),
    "tokens near, graphs different": (("t", G, HERE), ("near", H, HERE), NEAR),
    "tokens far, graphs different": (("t", G, HERE), ("far", H, HERE), NOVEL),
    "tokens equal, graphs of two protocols": (("t", G, HERE), ("t", H, THERE), EXACT),
    "tokens equal, the earlier graph unknown": (("t", None, HERE), ("t", H, HERE), EXACT),
    "tokens equal, the later graph unknown": (("t", G, HERE), ("t", None, HERE), EXACT),
    "tokens equal, no graph known": (("t", None, ""), ("t", None, ""), EXACT),
    "tokens different, no graph known": (("t", None, HERE), ("t2", None, HERE), NEAR),
    "tokens far, no graph known": (("t", None, HERE), ("far", None, HERE), NOVEL),
    "a graph that is another's tokens": ((G, None, HERE), ("far", G, HERE), NOVEL),
}
WORDS[G] = WORDS["t"]


@pytest.mark.parametrize("store", [Store, Listed])
@pytest.mark.parametrize("what", RULES)
def test_the_graph_tells_and_tokens_where_it_cannot(what, store):
    earlier, later, verdict = RULES[what]
    kept = store()
    index = NoveltyIndex(kept.entries, 128)
    first, second = arrival("first", *earlier), arrival("second", *later)
    assert check_and_insert(index, first.entry, threshold=0.85, run_id=None).verdict is NOVEL
    kept.keep(first)
    judged = check_and_insert(index, second.entry, threshold=0.85, run_id=None)
    likeness = LIKENESS[later[0].rstrip("2")]
    assert judged == (verdict, "first" if likeness or verdict is EXACT else judged.nearest, pytest.approx(likeness))


@pytest.mark.parametrize("threshold", [0.5, 0.85, 1.0])
def test_equal_tokens_with_different_graphs_are_near_at_any_threshold(threshold):
    kept = Listed()
    index = NoveltyIndex(kept.entries, 128)
    first, second = (arrival(graph, "t", graph, HERE).entry for graph in (G, H))
    check_and_insert(index, first, threshold=threshold, run_id=None)
    kept.entries.append(first)
    assert check_and_insert(index, second, threshold=threshold, run_id=None) == (NEAR, G, 1.0)


@pytest.mark.parametrize("store", [Store, Listed])
def test_the_earliest_that_is_the_same_is_named_by_graph_or_by_tokens(store):
    kept = store()
    for name, *of in (("other", "t", H, HERE), ("unknown", "t", None, HERE), ("graph", "far", G, HERE)):
        kept.keep(arrival(name, *of))
    assert kept.entries.identical(arrival("new", "t", G, HERE).entry, None).candidate == "unknown"
    assert kept.entries.identical(arrival("new", "near", G, HERE).entry, None).candidate == "graph"
    assert kept.entries.identical(arrival("new", "near", None, HERE).entry, None) is None


@pytest.mark.parametrize("store", [Store, Listed])
def test_the_same_network_of_another_run_is_out_of_a_runs_scope(store):
    kept = store()
    kept.keep(arrival("theirs", "t", G, HERE, run_id="theirs", submission=None))
    entry = arrival("ours", "far", G, HERE, run_id="ours", submission=None).entry
    assert kept.entries.identical(entry, "ours") is None
    assert kept.entries.identical(entry, "theirs").candidate == "theirs"


def test_an_arrival_and_an_entry_come_back_with_their_graph(tmp_path):
    store = SqliteSignatures(tmp_path / "s.sqlite")
    kept = arrival("one", "t", G, HERE, submission=None)
    with store.transaction():
        assert store.record(kept)
    back = store.at_mark("r", 0)
    assert (back.graph_sha256, back.protocol_sha256, back.entry.graph_sha256) == (G, HERE, G)
    with store.transaction():
        store.settle("one", released_by="x", judged=None)
    assert isinstance(back.entry, Entry)


def test_a_store_from_before_there_were_graphs_is_read_and_written(tmp_path):
    path = tmp_path / "s.sqlite"
    SqliteSignatures(path).close()
    old = sqlite3.connect(path)
    old.executescript("""DROP INDEX same_graph; ALTER TABLE arrivals DROP COLUMN graph_sha256;
        ALTER TABLE arrivals DROP COLUMN protocol_sha256; DROP TABLE sets; PRAGMA user_version = 0;""")
    one = features("t")
    old.execute(
        "INSERT INTO arrivals VALUES ('old', 'r', 0, 0, NULL, 'run', .85, 't', ?, ?, 'plain', 'm', 0, NULL)",
        (one.shingles.tobytes(), one.signature.tobytes()),
    )
    old.commit()
    old.close()
    store = SqliteSignatures(path)
    assert [(entry.candidate, entry.graph_sha256) for entry in store.entries(0)] == [("old", None)]
    assert store.identical(arrival("new", "t", G, HERE).entry, None).candidate == "old"
    with store.transaction():
        assert store.record(arrival("new", "t", G, HERE))
    store.close()


def test_files_are_compared_with_the_graphs_that_are_known():
    nets = [
        f"class Net:\n    def forward(self, x):\n        return {body}\n" for body in ("x + 1", "x * 2 - x", "x + 1")
    ]
    files = [(str(number), net) for number, net in enumerate(nets)]
    assert [each.verdict for each in compare(files, 0.85)] == [NOVEL, NOVEL, EXACT]
    found = compare(files, 0.85, {"0": G, "1": G, "2": H})
    assert [(each.verdict, each.nearest) for each in found] == [(NOVEL, None), (EXACT, "0"), (NEAR, "0")]


async def test_the_service_judges_by_what_the_evaluation_tells(evaluated, seed_net, handler_on):
    def told(index: int, net: int, graph: str | None):
        message = evaluated(index, seed_net(net))
        found = message.evaluation.model_copy(update={"graph_sha256": graph})
        return message.model_copy(update={"evaluation": found})

    handler = handler_on()
    messages = [told(0, 3, G), told(1, 5, G), told(2, 3, H), told(3, 5, None)]
    judged = [verdict for message in messages for verdict in await handler.handle(message)]
    assert [each.verdict for each in judged] == [NOVEL, EXACT, NEAR, EXACT]
    assert judged[1].nearest == judged[2].nearest == judged[0].candidate_id
    assert judged[1].similarity < judged[2].similarity == 1.0
    assert judged[3].nearest == judged[1].candidate_id
