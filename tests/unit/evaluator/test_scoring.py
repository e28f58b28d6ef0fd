import math

import numpy as np
import pytest
from scipy.stats import binom

from services.evaluator import scoring
from services.evaluator.scoring import MARGIN, Score, answers, differ, score

LABELS = np.arange(600) % 10
ORDER = np.random.default_rng(0).permutation(600)


def test_right_answers_in_the_secret_order_score_one():
    assert score(LABELS[ORDER], LABELS, ORDER, 400) == (1.0, 1.0)


def test_right_answers_in_the_data_sets_own_order_score_as_chance():
    assert all(value < 0.2 for value in score(LABELS, LABELS, ORDER, 400))


def test_validation_and_test_are_counted_apart():
    told = LABELS.copy()
    told[400:] = (told[400:] + 1) % 10
    assert score(told[ORDER], LABELS, ORDER, 400) == (1.0, 0.0)


@pytest.mark.parametrize(
    ("written", "classes"),
    [([0, 9], 10), ([9, 0], 10), ([0], 1), ([1, 0, 1], 2), ([99] * 7, 100), ([3], 10), ([0] * 100, 10)],
)
def test_answers_are_the_classes_that_were_written_first_and_last_one_too(written: list[int], classes: int) -> None:
    assert answers(np.array(written, "<i4").tobytes(), len(written), classes).tolist() == written


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b"", "^0 bytes of predictions, expected 8$"),
        (b"\0" * 7, "^7 bytes of predictions, expected 8$"),
        (b"\0" * 12, "^12 bytes of predictions, expected 8$"),
        (np.array([0, 10], "<i4").tobytes(), "^a prediction outside of 0 … 9$"),
        (np.array([-1, 1], "<i4").tobytes(), "^a prediction outside of 0 … 9$"),
    ],
)
def test_answers_of_wrong_length_or_range_are_refused(payload: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        answers(payload, 2, 10)


def wrongly_suspected(validation: int, test: int, share: float, margin: float) -> float:
    """The exact probability for a network that is right on this share of both."""
    rights = [np.arange(count + 1) for count in (validation, test)]
    odds = np.outer(*(binom.pmf(right, right[-1], share) for right in rights))
    likely = np.argwhere(odds > 1e-12)
    told = [odds[a, b] for a, b in likely if differ(Score(a / validation, b / test), validation, test, margin)]
    return float(sum(told))


@pytest.mark.parametrize("share", [0.005, 0.1, 0.3, 0.5, 0.85, 0.98, 0.999])
@pytest.mark.parametrize(
    ("validation", "test"), [(1, 1), (5, 5), (5, 1000), (1000, 5), (80, 40), (240, 300), (600, 600), (1000, 30)]
)
def test_honest_networks_are_suspected_less_often_than_once_in_ten_thousand(validation, test, share):
    """Also without a margin, which is for splits that differ in themselves."""
    assert wrongly_suspected(validation, test, share, margin=0) < 1e-4
    assert wrongly_suspected(validation, test, share, margin=MARGIN) < 1e-5


def test_nor_are_those_of_large_splits_that_differ_a_little():
    rng = np.random.default_rng(0)
    for share in (0.1, 0.4, 0.9):
        draws = zip(rng.binomial(5000, share, 20_000) / 5000, rng.binomial(10_000, share + 0.02, 20_000) / 10_000,
                    strict=True)  # fmt: skip
        assert not any(differ(Score(*pair), 5000, 10_000) for pair in draws)


@pytest.mark.parametrize(
    ("what", "found", "counts"),
    [
        ("all of validation, nothing learnt", Score(1.0, 0.1), (240, 300)),
        ("all of test, nothing learnt", Score(0.1, 1.0), (600, 600)),
        ("a quarter of validation on top of what was learnt", Score(0.55 + 0.45 / 4, 0.55), (5000, 10_000)),
        ("a fifth of test on top of what was learnt", Score(0.4, 0.4 + 0.6 / 5), (5000, 10_000)),
        ("the few that learning left, of validation", Score(1.0, 0.85), (1000, 1000)),
        ("a tenth of validation, nothing learnt", Score(0.1 + 0.9 / 10, 0.1), (5000, 26_032)),
    ],
)
def test_who_knows_images_of_one_split_is_suspected(what, found, counts):
    assert differ(found, *counts), what
    assert differ(Score(*reversed(found)), *reversed(counts)), what


@pytest.mark.parametrize(
    "found", [Score(0.5, 0.5), Score(0.0, 0.0), Score(1.0, 1.0), Score(0.62, 0.6), Score(0.9, 0.93)]
)
def test_equal_and_nearly_equal_shares_are_not_suspected(found):
    assert not differ(found, 5000, 10_000)


def test_the_margin_is_the_protocols():
    assert differ(Score(0.8, 0.7), 5000, 5000)
    assert not differ(Score(0.8, 0.7), 5000, 5000, margin=0.1)


@pytest.mark.parametrize(("share", "count"), [(0.0, 30), (0.1, 50), (0.5, 600), (0.9, 1200), (1.0, 40)])
def test_bounds_of_a_share_are_four_standard_errors_from_it(share: float, count: int) -> None:
    low, high = scoring._wilson(share, count)
    assert low <= share <= high
    for bound in (low, high):
        assert (share - bound) ** 2 == pytest.approx(16 * bound * (1 - bound) / count, abs=1e-12)


@pytest.mark.parametrize(
    ("found", "validation", "test"), [((0.9, 0.2), 60, 90), ((0.3, 0.8), 600, 40), ((1.0, 0.0), 30, 50)]
)
def test_noise_is_newcombes_with_yates_correction(found: tuple[float, float], validation: int, test: int) -> None:
    (low, n_low), (high, n_high) = sorted([(found[0], validation), (found[1], test)])
    apart = math.hypot(high - scoring._wilson(high, n_high)[0], scoring._wilson(low, n_low)[1] - low)
    beyond = high - low - apart - 0.5 / validation - 0.5 / test
    assert scoring.differ(scoring.Score(*found), validation, test, beyond - 1e-9)
    assert not scoring.differ(scoring.Score(*found), validation, test, beyond + 1e-9)
