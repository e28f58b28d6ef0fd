"""How the variants of a study are set against each other."""

import csv
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scipy import stats

from archloop_lab.study import page, results
from archloop_lab.study.plan import Study
from archloop_lab.study.results import METRICS, Result
from archloop_lab.summary import AnalysedSummary
from services.registry.statistics.rates import rates

STUDY = Study(
    name="s",
    question="Does <it> matter?",
    preset="demo",
    seeds=(0, 1, 2),
    variants={"loop": {}, "frozen": {"frozen": True}},
    control="frozen",
)
VALID_RATE = METRICS[0]
AT = datetime(2026, 9, 1, tzinfo=UTC)


def summary(valid_rate: float, status: str = "finished") -> AnalysedSummary:
    totals = rates([], 0.4).model_copy(
        update={"valid": 20, "near_duplicate": 1, "exact_duplicate": 1, "best_accuracy": 0.9, "tokens": 1000}
    )
    cycle = {
        **totals.model_dump(),
        "cycle": 0,
        "closed": True,
        "adapter": None,
        "evaluated": 20,
        "judged": 20,
        "unique_total": 10,
        "families": {},
        "family_entropy_bits": 2.0,
        "median_similarity": None,
        "pairs": None,
        "loss_curve": (),
        "seconds": {},
        "valid_rate": valid_rate,
        "mean_accuracy": valid_rate / 2,
        "share_ge_threshold_generated": valid_rate / 3,
        "generated": 20,
    }
    whole = {"run_id": "r", "reason": None, "created": AT, "finished": AT, "spec": next(STUDY.cells()).spec}
    return AnalysedSummary.model_validate(
        whole | {"status": status, "seconds": 9.0, "cycles": [cycle], "totals": totals, "unique_total": 10}
    )


def found(loop: list[float], frozen: list[float]) -> list[Result]:
    pairs = {"loop": loop, "frozen": frozen}
    return [Result(name, seed, summary(rate)) for name, rates in pairs.items() for seed, rate in enumerate(rates)]


@pytest.mark.parametrize("seed", range(20))
def test_a_difference_is_that_of_students_paired_test(seed: int) -> None:
    rng = random.Random(seed)
    loop, frozen = ([rng.random() for _ in range(rng.randint(2, 8))] for _ in range(2))
    shared = min(len(loop), len(frozen))
    difference = results.difference(found(loop, frozen), "frozen", "loop", VALID_RATE)
    assert difference is not None
    expected = stats.ttest_rel(frozen[:shared], loop[:shared]).confidence_interval(0.95)
    assert difference.estimate.interval == pytest.approx((expected.low, expected.high), rel=1e-4)
    assert difference.clear == (stats.ttest_rel(frozen[:shared], loop[:shared]).pvalue < 0.05)


@pytest.mark.parametrize(
    ("rates", "low", "high"),
    [((0.9, 1.0, 1.0), None, 1.0), ((0.0, 0.0, 0.1), 0.0, None), ((0.02, 0.98), 0.0, 1.0), ((0.5, 0.5, 0.5), 0.5, 0.5)],
)
def test_the_interval_of_a_share_ends_where_shares_do(
    rates: tuple[float, ...], low: float | None, high: float | None
) -> None:
    t = stats.ttest_1samp(rates, 0).confidence_interval(0.95)
    estimate = results.estimate(found(list(rates), [0.5]), "loop", VALID_RATE)
    assert estimate is not None
    expected = (t.low if low is None else low, t.high if high is None else high)
    assert estimate.interval == pytest.approx(expected, rel=1e-4)


def test_the_interval_of_what_is_no_share_ends_at_nothing_alone() -> None:
    metric = VALID_RATE._replace(of=lambda result: 10.0 * result.seed, share=False)
    estimate = results.estimate(found([0.1, 0.2, 0.3], [0.5]), "loop", metric)
    assert estimate is not None
    assert estimate.interval is not None
    assert (estimate.interval.low, estimate.interval.high > 10) == (0, True)


def test_one_seed_gives_a_difference_without_an_interval() -> None:
    difference = results.difference(found([0.9], [0.5]), "frozen", "loop", VALID_RATE)
    assert difference is not None
    assert difference.estimate.mean == pytest.approx(-0.4)
    assert difference.estimate.interval is None
    assert not difference.clear


def test_seeds_that_only_one_variant_has_are_not_compared() -> None:
    difference = results.difference(found([0.9, 0.8, 0.1], [0.5, 0.5]), "frozen", "loop", VALID_RATE)
    assert difference is not None
    assert difference.estimate.values == pytest.approx((-0.4, -0.3))


def test_the_page_says_what_is_clear_and_hides_not_what_is_not(tmp_path: Path) -> None:
    page.write(STUDY, found([0.9, 0.91, 0.92], [0.5, 0.52, 0.51]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "Does &lt;it&gt; matter?" in text
    clear, undecided = text.split("What these seeds do not decide")
    assert "frozen against loop: valid rate, last cycle -40.0 points" in clear
    assert "copies among the valid" in undecided
    assert "<svg" in text
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["variant"], row["seed"], float(row["valid_rate"])) for row in rows[:2]] == [
        ("loop", "0", 0.9),
        ("loop", "1", 0.91),
    ]


def test_a_study_without_a_finished_run_has_a_page(tmp_path: Path) -> None:
    page.write(STUDY, [], tmp_path)
    assert "0 of 6 runs" in (tmp_path / "report.html").read_text()


def test_only_runs_that_came_to_their_end_are_read(tmp_path: Path) -> None:
    cells = list(STUDY.cells())
    for cell, status in zip(cells, ("finished", "running", "failed"), strict=False):
        (tmp_path / cell.name).mkdir()
        (tmp_path / cell.name / "summary.json").write_text(summary(0.5, status).model_dump_json())
    assert [(r.variant, r.seed) for r in results.read(cells, tmp_path)] == [("loop", 0), ("loop", 1)]
