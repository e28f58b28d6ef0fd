"""Who is admitted and who is trained on."""

import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archloop.contracts.spec import SelectionSpec
from services.registry.control import selection
from services.registry.control.selection import Scored, admitted, admitted_aside, best_first, training

SPEC = SelectionSpec(threshold=0.5, fallback_threshold=0.3, minimum=3, quota=2, replay=4)
scores = st.lists(
    st.builds(
        Scored,
        candidate_id=st.uuids().map(str),
        cycle=st.integers(0, 3),
        index=st.integers(0, 30),
        accuracy=st.integers(0, 10).map(lambda n: n / 10),
        family=st.sampled_from(["plain", "residual", "dense"]),
    ),
    unique_by=lambda s: (s.cycle, s.index),
)


def candidates(*accuracies: float, family: str = "plain", cycle: int = 0) -> list[Scored]:
    return [Scored(f"{family}{cycle}-{i}", cycle, i, a, family) for i, a in enumerate(accuracies)]


def accuracies(chosen: list[Scored]) -> list[float]:
    return [s.accuracy for s in chosen]


@pytest.mark.parametrize(
    ("novel", "expected"),
    [
        ([0.9, 0.8, 0.6, 0.5, 0.49], [0.9, 0.8, 0.6, 0.5]),
        ([0.9, 0.4, 0.35, 0.3, 0.2], [0.9, 0.4, 0.35]),
        ([0.9, 0.31, 0.29], [0.9, 0.31]),
        ([0.29, 0.1], []),
        ([], []),
    ],
)
def test_the_threshold_admits_and_the_fallback_fills_up_to_the_minimum(
    novel: list[float], expected: list[float]
) -> None:
    assert accuracies(admitted(candidates(*novel), SPEC)) == expected


def test_ties_go_to_the_lower_index() -> None:
    chosen = admitted(candidates(0.4, 0.4, 0.4, 0.4), SPEC)
    assert [s.index for s in chosen] == [0, 1, 2]


def test_one_family_cannot_take_over_a_cycle() -> None:
    current = candidates(0.9, 0.8, 0.7) + candidates(0.6, family="dense")
    assert [(s.family, s.accuracy) for s in training(current, [], SPEC)] == [
        ("plain", 0.9),
        ("plain", 0.8),
        ("dense", 0.6),
    ]


def test_replay_takes_the_families_in_turn_best_first() -> None:
    earlier = candidates(0.9, 0.8, 0.7, 0.6) + candidates(0.5, family="dense") + candidates(0.65, 0.55, family="vgg")
    assert [(s.family, s.accuracy) for s in training([], earlier, SPEC)] == [
        ("plain", 0.9),
        ("vgg", 0.65),
        ("dense", 0.5),
        ("plain", 0.8),
    ]


@given(scores, st.randoms(use_true_random=False))
def test_the_order_of_arrival_decides_nothing(novel: list[Scored], random) -> None:
    shuffled = random.sample(novel, len(novel))
    assert admitted(shuffled, SPEC) == admitted(novel, SPEC)
    assert training(shuffled, shuffled, SPEC) == training(novel, novel, SPEC)


@given(scores)
def test_nobody_admitted_is_worse_than_somebody_refused(novel: list[Scored]) -> None:
    chosen = admitted(novel, SPEC)
    assert chosen == best_first(novel)[: len(chosen)]
    assert all(s.accuracy >= SPEC.fallback_threshold for s in chosen)
    assert {s.candidate_id for s in novel if s.accuracy >= SPEC.threshold} <= {s.candidate_id for s in chosen}


@given(scores, scores)
def test_quota_and_replay_are_bounds(current: list[Scored], earlier: list[Scored]) -> None:
    pairs = training(current, earlier, SPEC)
    replayed = min(SPEC.replay, len(earlier))
    fresh = pairs[: len(pairs) - replayed]
    assert all(sum(s.family == family for s in fresh) <= SPEC.quota for family in ("plain", "residual", "dense"))
    assert len({s.candidate_id for s in pairs[len(fresh) :]}) == replayed


def test_a_percentile_raises_the_bar_of_a_cycle_that_is_good_as_a_whole() -> None:
    spec = SelectionSpec(rule="percentile", percentile=70, threshold=0.4, minimum=0)
    assert accuracies(admitted(candidates(*(n / 20 for n in range(8, 19))), spec)) == [0.9, 0.85, 0.8, 0.75]


def test_a_percentile_never_lowers_the_bar_and_needs_ten_candidates() -> None:
    spec = SelectionSpec(rule="percentile", percentile=70, threshold=0.4, minimum=0)
    assert accuracies(admitted(candidates(*[0.1] * 11, 0.39, 0.41), spec)) == [0.41]
    assert len(admitted(candidates(*[0.5] * 5, *[0.9] * 4), spec)) == 9
    assert accuracies(admitted(candidates(*[0.5] * 5, *[0.9] * 5), spec)) == [0.9] * 5


@pytest.mark.parametrize("percentile", [1, 2, 25, 50, 70, 98, 99])
def test_a_percentile_is_that_of_the_cycle_itself(percentile: int) -> None:
    spec = SelectionSpec(rule="percentile", percentile=percentile, threshold=0, fallback_threshold=0, minimum=0)
    whole = candidates(*(n / 128 for n in range(101)))
    assert accuracies(admitted(whole, spec))[-1] == percentile / 128
    assert selection._percentile(whole, spec) == percentile / 128


def beats(one: Scored, other: Scored) -> bool:
    """Whether one is at least as good in accuracy, parameters and FLOPs, and better in one of them."""
    own, others = ((s.accuracy, -s.parameters, -s.flops) for s in (one, other))
    return own != others and all(a >= b for a, b in zip(own, others, strict=True))


def sized(accuracy: float, parameters: float, flops: float, index: int) -> Scored:
    return Scored(f"c{index}", 0, index, accuracy, "plain", parameters, flops)


def test_pareto_admits_what_nothing_beats_in_accuracy_and_size_at_once() -> None:
    best, small, beaten, lazy = (
        sized(0.9, 100, 100, 0),
        sized(0.5, 10, 10, 1),
        sized(0.8, 100, 100, 2),
        sized(0.2, 1, 1, 3),
    )
    spec = SelectionSpec(rule="pareto", fallback_threshold=0.3, minimum=0)
    assert admitted([best, small, beaten, lazy], spec) == [best, small]
    assert admitted([best, small, beaten, lazy], spec.model_copy(update={"minimum": 2})) == [best, small]
    assert admitted([best, small, beaten, lazy], spec.model_copy(update={"minimum": 3})) == [best, beaten, small]


def test_what_is_equal_in_everything_beats_not() -> None:
    twins = [sized(0.9, 100, 100, 0), sized(0.9, 100, 100, 1)]
    assert admitted(twins, SelectionSpec(rule="pareto", minimum=0)) == twins


@given(scores)
def test_pareto_leaves_out_nothing_that_beats_what_it_admits(found: list[Scored]) -> None:
    spec = SelectionSpec(rule="pareto", fallback_threshold=0.3, minimum=4)
    chosen = admitted(found, spec)
    left = [s for s in found if s not in chosen and s.accuracy >= spec.fallback_threshold]
    assert not any(beats(other, s) for other in left for s in chosen)
    assert not left or len(chosen) >= spec.minimum


def test_without_limits_everything_is_trained_on() -> None:
    spec = SPEC.model_copy(update={"quota": None, "replay": None})
    assert len(training(candidates(*[0.9] * 9), candidates(*[0.6] * 7, cycle=1), spec)) == 16


def test_replay_goes_by_the_order_that_is_set() -> None:
    earlier = [*candidates(0.9, 0.6, cycle=0), *candidates(0.7, cycle=1, family="dense")]

    def replayed(order: str) -> list[float]:
        return accuracies(training([], earlier, SPEC.model_copy(update={"replay": 2, "replay_order": order})))

    assert replayed("best") == [0.9, 0.7]
    assert replayed("recent") == [0.7, 0.9]
    assert replayed("families") == [0.9, 0.7]
    assert accuracies(training([], earlier, SPEC.model_copy(update={"replay": 0}))) == []


def _naive_fronts(scored: list[Scored]) -> list[set[str]]:
    left, fronts = list(scored), []
    while left:
        front = [s for s in left if not any(beats(other, s) for other in left)]
        fronts.append({s.candidate_id for s in front})
        left = [s for s in left if s not in front]
    return fronts


sizes = st.sampled_from([1.0, 2.0, 3.0, 5.0, math.inf])
cases = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.5, 0.9]), sizes, sizes), max_size=40)


@given(cases)
def test_fronts_are_those_that_nobody_beats_then_those_that_nobody_else_beats(found) -> None:
    scored = [Scored(str(i), 0, i, a, "f", p, f) for i, (a, p, f) in enumerate(found)]
    assert [{s.candidate_id for s in front} for front in selection._fronts(scored)] == _naive_fronts(scored)


def test_a_large_cycle_has_its_fronts_in_no_time() -> None:
    chain = [Scored(str(i), 0, i, 1 - i / 1e5, "f", float(i), float(i)) for i in range(20_000)]
    assert len(selection._fronts(chain)) == 20_000


@pytest.mark.parametrize("more", [-1, 0, 1])
async def test_many_are_chosen_from_aside_and_in_the_same_way(more: int) -> None:
    cycle = candidates(*(n % 97 / 100 for n in range(selection._MANY + more)))
    assert await admitted_aside(cycle, SPEC) == admitted(cycle, SPEC) != []


@pytest.mark.parametrize(("count", "aside"), [(0, False), (1, False), (999, False), (1000, True), (1001, True)])
async def test_the_event_loop_is_not_held_up_by_a_thousand(monkeypatch, count: int, *, aside: bool) -> None:
    ran: list[int] = []
    monkeypatch.setattr(selection, "admitted", lambda *_: ran.append(threading.get_ident()))
    await admitted_aside(candidates(*[0.5] * count), SPEC)
    assert [there != threading.get_ident() for there in ran] == [aside]
