"""Cells of family, size and cost: the best of each, and the quota per family as the case of cells without sizes."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from archloop.contracts.spec import SelectionSpec
from archloop.contracts.values import Family
from services.registry.control import archive
from services.registry.control.archive import Cell
from services.registry.control.scored import Scored, best_first
from services.registry.control.selection import training

SIZES = st.one_of(st.just(math.inf), st.integers(0, 10**9).map(float))
scores = st.lists(
    st.builds(
        Scored,
        candidate_id=st.uuids().map(str),
        cycle=st.integers(0, 3),
        index=st.integers(0, 30),
        accuracy=st.integers(0, 10).map(lambda n: n / 10),
        family=st.sampled_from([Family.PLAIN, Family.RESIDUAL, Family.DENSE]),
        parameters=SIZES,
        flops=SIZES,
    ),
    unique_by=lambda s: (s.cycle, s.index),
    max_size=20,
)


def network(accuracy: float, parameters: float, flops: float, family: Family = Family.PLAIN, index: int = 0) -> Scored:
    return Scored(f"{family}-{index}", 0, index, accuracy, family, parameters, flops)


@pytest.mark.parametrize(
    ("parameters", "flops", "size", "cost"),
    [
        (0, 0, 0, 0),
        (1, 2, 0, 1),
        (1023, 1024, 9, 10),
        (65_535, 65_536, 15, 16),
        (2**40, 2**40 - 1, 40, 39),
        (math.inf, 7, -1, 2),
        (7, math.inf, 2, -1),
    ],
)
def test_a_cell_is_the_family_and_the_whole_part_of_two_logarithms(parameters, flops, size, cost):
    assert archive.cell(network(0.5, parameters, flops)) == Cell(Family.PLAIN, size, cost)


@settings(max_examples=25)
@given(scores)
def test_the_elite_of_a_cell_is_its_best_and_each_cell_has_one(found):
    elites = archive.elites(found)
    assert len({archive.cell(each) for each in elites}) == len(elites) == len({archive.cell(each) for each in found})
    for each in found:
        (elite,) = (other for other in elites if archive.cell(other) == archive.cell(each))
        assert best_first([each, elite])[0] == elite


@settings(max_examples=25)
@given(scores)
def test_coverage_counts_cells_and_the_score_sums_their_best(found):
    measured = archive.quality(found)
    assert measured.coverage == len({archive.cell(each) for each in found})
    best = {cell: max(s.accuracy for s in found if archive.cell(s) == cell) for cell in map(archive.cell, found)}
    assert measured.qd_score == pytest.approx(sum(best.values()))


@settings(max_examples=25)
@given(scores, scores, st.integers(1, 4), st.integers(0, 9))
def test_todays_quota_is_the_archive_whose_cells_are_families(current, earlier, quota, replay):
    """Where all networks are of one size and cost, cells are families, and the archive chooses what the quota does."""
    alike = [
        [Scored(s.candidate_id, s.cycle, s.index, s.accuracy, s.family) for s in some] for some in (current, earlier)
    ]
    chosen = [training(*alike, SelectionSpec(quota=quota, replay=replay, archive=kind)) for kind in ("none", "cells")]
    assert chosen[0] == chosen[1]


@settings(max_examples=25)
@given(scores, st.integers(1, 3))
def test_with_cells_the_quota_is_of_each_cell(current, quota):
    chosen = training(current, [], SelectionSpec(quota=quota, replay=0, archive="cells"))
    for cell, members in archive.cells(current).items():
        assert [s for s in chosen if archive.cell(s) == cell] == members[:quota]


def test_a_small_network_is_not_crowded_out_by_better_large_ones_of_its_family():
    large = [network(0.9 - index / 100, 10**6, 10**8, index=index) for index in range(5)]
    small = network(0.4, 1000, 10**5, index=9)
    for kind, expected in (("none", False), ("cells", True)):
        assert (small in training([*large, small], [], SelectionSpec(quota=2, replay=0, archive=kind))) is expected


def test_replay_goes_from_cell_to_cell():
    earlier = [
        network(0.9, 10**6, 10**8, index=0),
        network(0.8, 10**6, 10**8, index=1),
        network(0.4, 1000, 10**5, index=2),
    ]
    chosen = training([], earlier, SelectionSpec(replay=2, archive="cells"))
    assert [s.index for s in chosen] == [0, 2]
