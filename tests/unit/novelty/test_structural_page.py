"""The page on both looks at a network says what its data says."""

import json
from pathlib import Path

import pytest

from archloop.contracts.values import Verdict
from benchmarks import structural_page

ROOT = Path(__file__).parents[3]
PAIRS = [json.loads(line) for line in (ROOT / structural_page.FOLDER / "pairs.jsonl").read_text().splitlines()]
VERDICTS = json.loads((ROOT / structural_page.FOLDER / "verdicts.json").read_text())


def test_the_page_is_what_the_data_gives(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert (ROOT / structural_page.PAGE).read_text() == structural_page.page()


def test_at_least_two_hundred_pairs_are_labelled_each_with_a_reason():
    assert len({(pair["data"], pair["earlier"], pair["later"]) for pair in PAIRS}) == len(PAIRS) >= 200
    assert all(isinstance(pair["same"], bool) and pair["reason"] for pair in PAIRS)


@pytest.mark.parametrize("data", VERDICTS)
def test_the_pairs_are_of_networks_that_were_judged(data):
    built = {}
    for line in (ROOT / "benchmarks/results/structural" / f"{data}.jsonl").read_text().splitlines():
        told = json.loads(line)
        built[told["name"]] = told["graph"] if told["outcome"] == "ok" else ""
    found = VERDICTS[data]
    assert found["tried"] == len(built)
    assert found["networks"] == sum(found["verdicts"].values()) == sum(graph != "" for graph in built.values())
    assert sum(found["without_graph"].values()) == sum(graph is None for graph in built.values())
    for pair in (pair for pair in PAIRS if pair["data"] == data):
        same_graph = built[pair["earlier"]] == built[pair["later"]] is not None
        assert (pair["by_graph"] == Verdict.EXACT_DUPLICATE) == same_graph
