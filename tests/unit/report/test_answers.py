"""What the report says in words and tables, and what lies beside it."""

import csv
import io
import re
from pathlib import Path

import pytest

from archloop_lab.report import findings, paper, tables
from archloop_lab.report.contrast import contrast, groups
from archloop_lab.report.primitives import Run
from archloop_lab.report.view import Control
from services.registry.statistics.intervals import newcombe


@pytest.fixture
def beside(run) -> Run:
    """A run beside its frozen control."""
    return Run(*run(), control=Control(*run(1, frozen=True)))


def test_progress_is_told_from_the_first_cycle_to_the_last_with_its_interval(run):
    summary, candidates = run()
    first, last = summary["cycles"][0], summary["cycles"][-1]
    low, high = newcombe(last["valid"], 64, first["valid"], 64)
    told, *others = findings.progress(Run(summary, candidates))
    assert told.startswith("The valid rate rose from ")
    assert f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})" in told
    assert [other.split(" rose")[0] for other in others] == [
        "The mean accuracy of the valid",
        "The share ≥ 40 % of generated",
    ]


def test_a_change_within_its_interval_is_called_chance(run):
    told = findings.progress(Run(*run(frozen=True)))
    assert told
    assert all("which may be chance" in sentence for sentence in told)


def test_one_cycle_is_no_progress(run):
    assert findings.progress(Run(*run(cycles=2, size=8))) != []
    summary, candidates = run(cycles=2, size=8)
    summary["cycles"][1]["closed"] = False
    assert findings.progress(Run(summary, candidates)) == []


def test_the_last_cycle_that_both_closed_is_compared(beside):
    beside.control.summary["cycles"][-1]["closed"] = False
    cycle, lines = findings.against_control(beside)
    assert cycle == 4
    assert (lines[0].label, lines[0].better) == ("valid rate", True)
    assert "95 % interval +" in lines[0].difference


def test_without_the_controls_candidates_shares_have_intervals_and_accuracies_have_none(beside):
    control = Control(beside.control.summary)
    found, other = groups(beside.summary, beside.candidates)[5], groups(*control)[5]
    assert contrast("valid_rate", found, other).interval is not None
    mean = contrast("mean_accuracy", found, other)
    assert (mean.interval, mean.certain) == (None, False)
    assert mean.difference == found.numbers["mean_accuracy"] - other.numbers["mean_accuracy"]


def test_a_control_of_another_seed_or_one_that_is_tuned_is_named_as_such(beside):
    beside.control.summary["spec"]["seed"] = 0
    assert findings.unlike(beside) == []
    beside.control.summary["spec"] |= {"seed": 9, "frozen": False}
    assert findings.unlike(beside) == ["frozen", "seed"]


def test_a_measure_that_an_older_run_lacks_is_unknown(beside):
    del beside.control.summary["cycles"][5]["novelty_rate"]
    line = next(line for line in findings.against_control(beside)[1] if line.label == "novelty rate")
    assert (line.control, line.difference, line.better) == ("–", "–", None)


def test_cost_is_told_in_all_and_for_each_admitted(run):
    summary, candidates = run()
    summary["totals"] |= {"admitted": 100, "tokens": 45_000, "evaluator_seconds": 400.0}
    tokens, evaluator, *_ = findings.costs(Run(summary, candidates))
    assert (tokens.total, tokens.each) == ("45\u2009000", "450")
    assert (evaluator.total, evaluator.each) == ("6 min 40 s", "4.0 s")
    summary["totals"]["admitted"] = 0
    assert findings.costs(Run(summary, candidates))[0].each == "–"


def test_the_papers_numbers_stand_beside_the_runs_with_what_differs(run):
    summary, candidates = run()
    rows = {row.label: row for row in paper.table(Run(summary, candidates))}
    assert rows["valid rate, first cycle"].paper == "44.0 %"
    assert f"{100 * summary['cycles'][0]['valid_rate']:.1f} % (" in rows["valid rate, first cycle"].here
    assert rows["unique architectures"].here == f"{summary['unique_total']} in 6 cycles"
    assert len(paper.differences(summary)) == 3


def test_share_of_40_percent_is_the_papers_whatever_the_run_selects_by(run):
    summary, candidates = run()
    before = paper.table(Run(summary, candidates))
    summary["spec"]["selection"]["threshold"] = 0.9
    assert paper.table(Run(summary, candidates)) == before


def test_a_run_in_the_papers_setting_differs_in_nothing_but_what_is_unpublished():
    spec = {"protocol": paper.PROTOCOL, "base_model": paper.LLM, "cycles": 22}
    assert paper.differences({"spec": spec}) == []


def test_tables_lie_beside_the_page_a_row_for_each_thing(run, tmp_path):
    summary, candidates = run()
    known = candidates[0]["candidate_id"]
    tables.write(summary, candidates, tmp_path, {known: 0.25})
    read = {
        name: list(csv.DictReader(io.StringIO((tmp_path / f"{name}.csv").read_bytes().decode(), newline="")))
        for name in ("cycles", "candidates", "architectures")
    }
    assert {name: len(rows) for name, rows in read.items()} == {
        "cycles": 6,
        "candidates": len(candidates),
        "architectures": summary["unique_total"],
    }
    assert float(read["cycles"][2]["valid_rate"]) == summary["cycles"][2]["valid_rate"]
    assert read["cycles"][0]["memorization_median"] == ""
    assert read["candidates"][0]["memorization"] == "0.25"
    best = [float(row["accuracy"]) for row in read["architectures"]]
    assert best == sorted(best, reverse=True)
    assert (tmp_path / "cycles.csv").read_bytes().count(b"\r\n") == 7


def test_every_column_is_documented():
    documented = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()
    names = {*tables.CYCLES, *tables.CANDIDATES, *tables.ARCHITECTURES}
    stems = {re.sub(r"_(low|high)(_quartile)?$", "", name) for name in names}
    assert [stem for stem in sorted(stems) if f"`{stem}`" not in documented] == []


def test_what_a_candidate_wrote_is_in_no_table(run, tmp_path):
    summary, candidates = run(cycles=2, size=8)
    for candidate in candidates:
        candidate["problem"] = candidate["evaluation"]["detail"] = '=HYPERLINK("http://x")'
    tables.write(summary, candidates, tmp_path, {})
    assert all("HYPERLINK" not in path.read_text() for path in tmp_path.iterdir())
