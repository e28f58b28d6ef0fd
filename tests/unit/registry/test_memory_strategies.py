"""What is chosen to be remembered: failures by kind, networks beyond the noise, and for each prompt another part."""

import random
from itertools import chain

import pytest

from archloop import remembering
from archloop.contracts.values import Family, Outcome, Remembered
from services.registry.control.memory import choice, failures, scores
from services.registry.control.memory.choice import Recollection
from services.registry.control.scored import Scored
from services.registry.records import Loss
from tests.unit.registry.remembering import failed
from tests.unit.registry.world import spec

ERRORS_ALIKE = [
    ("size 8 and 16 (line 3)", "size 24 and 99 (line 41)"),
    ("took 0.5 s", "took 1.25 s"),
    ("Expected 4D, got 2D", "Expected 3D, got 1D"),
    ("`stage1` is missing", "'stage2' is missing"),
    ("a\nb", "a b"),
]


@pytest.mark.parametrize(("one", "other"), ERRORS_ALIKE)
def test_errors_that_differ_in_numbers_alone_are_one_with_their_count(one, other):
    (found,) = failures.recent_by_kind([failures.tally([failed(one), failed(other, index=1)])])
    assert found.count == 2
    assert remembering.line(found).startswith("failed 2 times, build_error in build: ")


@pytest.mark.parametrize(
    "other",
    [
        failed("same", outcome=Outcome.TRAIN_ERROR),
        failed("same", stage="train"),
        failed("another"),
        failed("same but longer"),
        failed("sam"),
    ],
)
def test_other_failures_stand_by_themselves(other):
    found = failures.recent_by_kind([failures.tally([failed("same"), failed("same"), other])])
    assert [each.count for each in found] == [2, 1]


@pytest.mark.parametrize("outcome", [each for each in Outcome if each not in {Outcome.OK, Outcome.STOPPED}])
def test_every_way_to_fail_is_remembered(outcome):
    (found,) = failures.recent_by_kind([failures.tally([failed("why", outcome=outcome)])])
    assert remembering.line(found) == f'failed once, {outcome.value} in build: "why"'


@pytest.mark.parametrize(
    "candidate",
    [
        failed("x", outcome=Outcome.OK),
        failed("x", outcome=Outcome.STOPPED),
        failed("x").model_copy(update={"evaluation": None}),
        failed("x").model_copy(update={"lost": Loss(step="evaluation", asked=3)}),
        failed("x").model_copy(update={"evaluation": None, "lost": Loss(step="generation", asked=3)}),
    ],
)
def test_who_did_not_fail_or_may_still_change_is_no_failure(candidate):
    assert not failures.recent_by_kind([failures.tally([candidate])])


def test_only_the_last_cycles_are_recent_and_the_most_frequent_comes_first():
    cycles = [failures.tally([failed(f"in cycle {'abcde'[n]}", n, i) for i in range(n + 1)]) for n in range(5)]
    found = failures.recent_by_kind(cycles)
    assert [each.text for each in found] == ["in cycle e", "in cycle d", "in cycle c"]


def test_errors_made_to_differ_neither_grow_the_memory_nor_hide_the_common_one():
    flood = [failed("common"), failed("common"), *(failed("x" * n, index=n) for n in range(1, 2000))]
    tallied = failures.tally(flood)
    assert len(tallied.counts) <= 256
    found = failures.recent_by_kind([tallied])
    assert len(found) == failures.MOST


def network(accuracy: float, family: Family = Family.PLAIN, index: int = 0, cycle: int = 0) -> Scored:
    return Scored(f"{cycle}-{index}", cycle, index, accuracy, family)


NOISE = [
    # better, worse, images, beyond the noise
    (0.60, 0.50, 500, True),
    (0.60, 0.55, 500, False),
    (0.60, 0.55, 10_000, True),
    (0.50, 0.50, 500, False),
    (0.50, 0.60, 500, False),
    (1.00, 0.99, 100, False),
    (0.90, 0.10, 20, True),
]


@pytest.mark.parametrize(("better", "worse", "images", "beyond"), NOISE)
def test_noise_is_two_standard_deviations_of_sampling(better, worse, images, beyond):
    assert scores.beyond_noise(better, worse, images) is beyond


def test_the_best_are_of_several_families_and_the_worst_are_worse_than_all_of_them():
    many = [network(0.9 - n / 100, Family.PLAIN, n) for n in range(20)]
    others = [network(0.5, Family.DENSE, 30), network(0.1, Family.GATED, 31), network(0.48, Family.GATED, 32)]
    found = scores.best_and_worst([scores.extremes([*many, *others])], 1000)
    assert [each.index for each in found.best] == [0, 1, 2, 30, 32, 31]
    assert not found.worst  # the weakest of the best is the worst of all
    found = scores.best_and_worst([scores.extremes(many)], 1000)
    assert [each.index for each in found.worst] == [19, 18, 17, 16]
    assert not scores.best_and_worst([scores.extremes(many)], 20).worst


def test_extremes_of_cycles_are_those_of_all_their_networks():
    drawn = random.Random(4)
    cycles = [[network(drawn.random(), drawn.choice(list(Family)), n, cycle) for n in range(60)] for cycle in range(4)]
    apart = scores.best_and_worst([scores.extremes(cycle) for cycle in cycles], 1000)
    together = scores.best_and_worst([scores.extremes(chain.from_iterable(cycles))], 1000)
    assert apart == together


FOUND = Recollection(
    failures.recent_by_kind(
        [failures.tally([failed(word) for word in "abcdefgh" for _ in range(ord("i") - ord(word))])]
    ),
    tuple(Remembered(outcome="ok", text=f"best {n}", accuracy=0.9 - n / 100) for n in range(12)),
    tuple(Remembered(outcome="ok", text=f"worst {n}", accuracy=0.1 + n / 100) for n in range(4)),
)


def test_each_prompt_says_another_part_and_always_the_same():
    asked = spec(generation={"memory": "all", "memory_tokens": 10_000})
    all_of_it = {choice.drawn(FOUND, asked, 1, index) for index in range(30)}
    assert len(all_of_it) > 25
    assert choice.drawn(FOUND, asked, 1, 3) == choice.drawn(FOUND, asked, 1, 3)
    assert choice.drawn(FOUND, asked, 1, 3) != choice.drawn(FOUND, asked.model_copy(update={"seed": 9}), 1, 3)
    for drawn in all_of_it:
        lines = remembering.lines(drawn)
        assert len(lines) == 10
        assert lines[6].startswith("failed 8 times, build_error in build")
        numbers = [float(line.split()[1].rstrip(":")) for line in lines[:6]]
        assert numbers[:4] == sorted(numbers[:4], reverse=True)
        assert numbers[4:] == sorted(numbers[4:])


@pytest.mark.parametrize("tokens", [1, 8, 16, 40, 64, 100, 256])
def test_a_short_memory_has_some_of_both_and_keeps_to_its_length(tokens):
    drawn = choice.drawn(FOUND, spec(generation={"memory": "all", "memory_tokens": tokens}), 1, 0)
    assert sum(len(f"- {line}\n") for line in remembering.lines(drawn)) <= choice.CHARACTERS * tokens
    scored = sum(each.accuracy is not None for each in drawn)
    assert scored - (len(drawn) - scored) in {0, 1, 2}
