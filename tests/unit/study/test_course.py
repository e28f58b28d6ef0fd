"""The best so far: who led when, areas under it, and who wins."""

from typing import Any

import pytest

from archloop_lab.rescoring import Network
from archloop_lab.study import page, plots, results
from archloop_lab.study.course import Course, Step, leaders
from archloop_lab.study.plan import Study
from archloop_lab.study.results import Horizons, Result
from tests.unit.study.test_results import STUDY, summary


def _step(cycle: int, accuracy: float, **more: Any) -> Step:
    told = {"evaluations": 10 * (cycle + 1), "tokens": 100 * (cycle + 1), "seconds": 5.0 * (cycle + 1)} | more
    return Step(cycle=cycle, candidate="n", chosen_by=0.9, accuracy=accuracy, **told)


def _course(*accuracies: float, **more: Any) -> Course:
    return Course(seeds=(1, 2, 3), steps=tuple(_step(n, a, **more) for n, a in enumerate(accuracies)))


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ([("0/0", 0.3), ("0/1", 0.5), ("1/0", 0.4), ("2/0", 0.6)], ["0/1", "0/1", "2/0"]),
        ([("1/0", 0.3), ("2/0", 0.2)], [None, "1/0", "1/0"]),
        ([("0/0", 0.5), ("1/0", 0.5), ("2/0", 0.5)], ["0/0", "0/0", "0/0"]),
        ([], [None, None, None]),
        ([("2/7", 0.1)], [None, None, "2/7"]),
    ],
)
def test_the_leader_of_a_cycle_is_the_best_until_then_and_the_older_of_equals(
    accuracies: list[tuple[str, float]], expected: list[str | None]
) -> None:
    found = leaders([Network(place, place, accuracy, "") for place, accuracy in accuracies], [0, 1, 2])
    assert [network and network.place for network in found] == expected


@pytest.mark.parametrize(
    ("accuracies", "horizon", "area"),
    [
        ([0.4], 10.0, 0.2),  # nothing for five seconds, then .4
        ([0.4, 0.6], 10.0, 0.2),  # the second comes at the horizon
        ([0.4, 0.6], 20.0, (0.4 * 5 + 0.6 * 10) / 20),
        ([0.4, 0.2], 20.0, (0.4 * 5 + 0.2 * 10) / 20),
        ([0.4, 0.6], 2.5, 0.0),
        ([], 10.0, 0.0),
        ([0.4], 0.0, 0.0),
    ],
)
def test_the_area_is_a_mean_over_what_was_spent(accuracies: list[float], horizon: float, area: float) -> None:
    assert _course(*accuracies).area(lambda step: step.seconds, horizon) == pytest.approx(area)


def test_horizons_leave_out_who_spent_nothing() -> None:
    without_tokens = _course(0.4, tokens=0)
    assert Horizons.of([_course(0.3, 0.4), without_tokens, None]) == Horizons(5.0, 200)
    assert Horizons.of([]) == Horizons(0.0, 0)


def _results(loop: list[float], frozen: list[float]) -> list[Result]:
    horizons = Horizons(10.0, 200)
    runs = {"loop": loop, "frozen": frozen}
    return [
        Result(name, seed, summary(0.5), _course(0.2, last), horizons)
        for name, values in runs.items()
        for seed, last in enumerate(values)
    ]


@pytest.mark.parametrize(
    ("loop", "frozen", "variant", "beaten"),
    [
        ([0.50, 0.52, 0.51], [0.40, 0.42, 0.41], "loop", ("frozen",)),
        ([0.40, 0.42, 0.41], [0.50, 0.52, 0.51], "frozen", ("loop",)),
        ([0.50, 0.30, 0.60], [0.45, 0.45, 0.45], "loop", ()),
    ],
)
def test_who_wins_leaves_the_others_behind_beyond_chance(
    loop: list[float], frozen: list[float], variant: str, beaten: tuple[str, ...]
) -> None:
    found = {each.metric.key: each for each in results.winners(_results(loop, frozen), STUDY)}
    assert (found["finally"].variant, found["finally"].beaten) == (variant, beaten)
    assert found["valid_rate"].beaten == ()


def test_the_page_draws_the_courses_and_tells_who_wins(tmp_path: Any) -> None:
    page.write(STUDY, _results([0.5, 0.52, 0.51], [0.4, 0.42, 0.41]), tmp_path)
    text = (tmp_path / "report.html").read_text()
    assert "Who wins where" in text
    assert "Best so far, confirmed, against seconds" in text
    assert "best at the end, confirmed" in text
    rows = (tmp_path / "runs.csv").read_text().splitlines()
    assert "so_far" in rows[0]
    assert len(rows) == 7


def test_without_courses_the_page_says_nothing_of_them(tmp_path: Any) -> None:
    page.write(STUDY, [Result("loop", 0, summary(0.5))], tmp_path)
    assert "Best so far" not in (tmp_path / "report.html").read_text()


def test_who_spent_no_tokens_is_left_out_of_their_plot() -> None:
    drawn = plots.courses(STUDY, [Result("loop", 0, summary(0.5), _course(0.3, 0.4, tokens=0))])
    assert len(drawn) == 3


def test_the_study_of_rivals_is_one_of_equal_evaluations() -> None:
    from archloop_lab.study import plan

    study = plan.load("rivals")
    specs = [cell.spec for cell in study.cells()]
    assert {spec.cycles * spec.candidates for spec in specs} == {256}
    assert isinstance(study, Study)
    assert study.confirmed_by == 3
