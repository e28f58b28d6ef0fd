"""What the report says in words and tables, and what lies beside it."""

import csv
import io
import re
from pathlib import Path

import pytest

from archloop.contracts.spec import RunSpec
from archloop_lab.report import findings, later_work, paper, tables
from archloop_lab.report.contrast import contrast, groups
from archloop_lab.report.primitives import Run
from archloop_lab.report.view import Control
from services.registry.statistics.intervals import newcombe


@pytest.fixture
def beside(run, read):
    """Reads a run beside its frozen control, of which the summary may be changed before."""

    def of(change=lambda summary: None) -> Run:
        summary, candidates = run(1, frozen=True)
        change(summary)
        return Run(*read(*run()), control=Control(*read(summary, candidates)))

    return of


def test_progress_is_told_from_the_first_cycle_to_the_last_with_its_interval(run, read):
    summary, candidates = run()
    first, last = summary["cycles"][0], summary["cycles"][-1]
    low, high = newcombe(last["valid"], 64, first["valid"], 64)
    told, *others = findings.progress(Run(*read(summary, candidates)))
    assert told.startswith("The valid rate rose from ")
    assert f"(95 % interval {100 * low:+.1f} to {100 * high:+.1f})" in told
    assert [other.split(" rose")[0] for other in others] == [
        "The mean accuracy of the valid",
        "The share ≥ 40 % of generated",
    ]


def test_a_change_within_its_interval_is_called_chance(run, read):
    told = findings.progress(Run(*read(*run(frozen=True))))
    assert told
    assert all("which may be chance" in sentence for sentence in told)


@pytest.mark.parametrize("stopped", [{0}, {5}, {0, 5}])
def test_where_some_were_stopped_early_accuracies_are_no_progress_and_no_difference(run, read, beside, stopped):
    summary, candidates = run()
    for cycle in stopped:
        summary["cycles"][cycle]["stopped"] = 3
    told = findings.progress(Run(*read(summary, candidates)))
    assert [words.split(" rose")[0] for words in told] == ["The valid rate", "The share ≥ 40 % of generated"]
    _, lines = findings.against_control(beside(lambda control: control["cycles"][-1].update(stopped=1)))
    assert [line.label for line in lines if "accuracy" in line.label] == []


def test_one_cycle_is_no_progress(run, read):
    assert findings.progress(Run(*read(*run(cycles=2, size=8)))) != []
    summary, candidates = run(cycles=2, size=8)
    summary["cycles"][1]["closed"] = False
    assert findings.progress(Run(*read(summary, candidates))) == []


def test_the_last_cycle_that_both_closed_is_compared(beside):
    cycle, lines = findings.against_control(beside(lambda control: control["cycles"][-1].update(closed=False)))
    assert cycle == 4
    assert (lines[0].label, lines[0].better) == ("valid rate", True)
    assert "95 % interval +" in lines[0].difference


def test_without_the_controls_candidates_shares_have_intervals_and_accuracies_have_none(beside):
    given = beside()
    control = Control(given.control.summary)
    found, other = groups(given.summary, given.candidates)[5], groups(*control)[5]
    assert contrast("valid_rate", found, other).interval is not None
    mean = contrast("mean_accuracy", found, other)
    assert (mean.interval, mean.certain) == (None, False)
    assert mean.difference == found.numbers.mean_accuracy - other.numbers.mean_accuracy


def test_a_control_of_another_seed_or_one_that_is_tuned_is_named_as_such(beside):
    assert findings.unlike(beside(lambda control: control["spec"].update(seed=0))) == []
    assert findings.unlike(beside(lambda control: control["spec"].update(seed=9, frozen=False))) == ["frozen", "seed"]


def test_a_measure_that_an_older_run_lacks_is_unknown(beside):
    given = beside(lambda control: control["cycles"][5].pop("novelty_rate"))
    line = next(line for line in findings.against_control(given)[1] if line.label == "novelty rate")
    assert (line.control, line.difference, line.better) == ("–", "–", None)


def test_cost_is_told_in_all_and_for_each_admitted(run, read):
    summary, candidates = run()
    summary["totals"] |= {"admitted": 100, "tokens": 45_000, "evaluator_seconds": 400.0}
    tokens, evaluator, *_ = findings.costs(Run(*read(summary, candidates)))
    assert (tokens.total, tokens.each) == ("45\u2009000", "450")
    assert (evaluator.total, evaluator.each) == ("6 min 40 s", "4.0 s")
    summary["totals"]["admitted"] = 0
    assert findings.costs(Run(*read(summary, candidates)))[0].each == "–"


def test_the_papers_numbers_stand_beside_the_runs_with_what_differs(run, read):
    summary, candidates = run()
    rows = {row.label: row for row in paper.table(Run(*read(summary, candidates)))}
    assert rows["valid rate, first cycle"].paper == "44.0 %"
    assert f"{100 * summary['cycles'][0]['valid_rate']:.1f} % (" in rows["valid rate, first cycle"].here
    assert rows["unique architectures"].here == f"{summary['unique_total']} in 6 cycles"
    assert len(paper.differences(read(summary)[0].spec)) == 3


def _later(read, summary, candidates):
    return {row.label: row.here for row in later_work.table(Run(*read(summary, candidates)))}


def test_edits_and_whole_networks_stand_each_beside_the_figures_published_of_them(run, read):
    summary, candidates = run()
    for each in candidates[::4]:
        each["parent"] = "c-0-0"
    here = _later(read, summary, candidates)
    for kind, found in (("edits", candidates[::4]), ("whole networks", [c for c in candidates if "parent" not in c])):
        scores = [c["evaluation"]["accuracy"] for c in found if c["evaluation"]["outcome"] == "ok"]
        assert 0 < len(scores) < len(found)
        assert here[f"valid rate, {kind}"] == f"{100 * len(scores) / len(found):.1f} %"
        assert here[f"mean first-epoch accuracy, {kind}"] == f"{100 * sum(scores) / len(scores):.1f} %"
        assert here[f"best first-epoch accuracy, {kind}"] == f"{100 * max(scores):.1f} %"


@pytest.mark.parametrize(
    ("frozen", "memory", "known"),
    [(True, "failures", True), (True, "all", True), (True, "none", False), (False, "all", False)],
)
def test_only_a_frozen_run_with_a_memory_is_set_beside_one(run, read, frozen, memory, known):
    summary, candidates = run()
    summary["spec"] |= {"frozen": frozen, "generation": {"memory": memory}}
    here = _later(read, summary, candidates)
    assert here["best first-epoch accuracy, frozen with a memory"].endswith(" %") == known
    assert here["valid rate, whole networks"].endswith(" %") == (not frozen)
    assert here["valid rate, edits"].startswith("–")


def test_nothing_is_compared_before_a_cycle_is_closed(run, read):
    summary, candidates = run(cycles=2)
    for cycle in summary["cycles"]:
        cycle["closed"] = False
    assert later_work.table(Run(*read(summary, candidates))) == []


def test_share_of_40_percent_is_the_papers_whatever_the_run_selects_by(run, read):
    summary, candidates = run()
    before = paper.table(Run(*read(summary, candidates)))
    summary["spec"]["selection"]["threshold"] = 0.9
    assert paper.table(Run(*read(summary, candidates))) == before


def test_a_run_in_the_papers_setting_differs_in_nothing_but_what_is_unpublished():
    spec = RunSpec(protocol=paper.PROTOCOL, base_model=paper.LLM, cycles=22, candidates=8)
    assert paper.differences(spec) == []


def test_tables_lie_beside_the_page_a_row_for_each_thing(run, read, tmp_path):
    summary, candidates = run()
    known = candidates[0]["candidate_id"]
    tables.write(*read(summary, candidates), tmp_path, {known: 0.25})
    written = {
        name: list(csv.DictReader(io.StringIO((tmp_path / f"{name}.csv").read_bytes().decode(), newline="")))
        for name in ("cycles", "candidates", "architectures")
    }
    assert {name: len(rows) for name, rows in written.items()} == {
        "cycles": 6,
        "candidates": len(candidates),
        "architectures": summary["unique_total"],
    }
    assert float(written["cycles"][2]["valid_rate"]) == summary["cycles"][2]["valid_rate"]
    assert written["cycles"][0]["memorization_median"] == ""
    assert written["candidates"][0]["memorization"] == "0.25"
    best = [float(row["accuracy"]) for row in written["architectures"]]
    assert best == sorted(best, reverse=True)
    assert (tmp_path / "cycles.csv").read_bytes().count(b"\r\n") == 7


def test_every_column_is_documented():
    documented = (Path(__file__).parents[3] / "docs/reference/metrics.md").read_text()
    names = {*tables.CYCLES, *tables.CANDIDATES, *tables.ARCHITECTURES}
    stems = {re.sub(r"_(low|high)(_quartile)?$", "", name) for name in names}
    assert [stem for stem in sorted(stems) if f"`{stem}`" not in documented] == []


def test_what_a_candidate_wrote_is_in_no_table(run, read, tmp_path):
    summary, candidates = run(cycles=2, size=8)
    for candidate in candidates:
        candidate["problem"] = candidate["evaluation"]["detail"] = '=HYPERLINK("http://x")'
    tables.write(*read(summary, candidates), tmp_path, {})
    assert all("HYPERLINK" not in path.read_text() for path in tmp_path.iterdir())
