import numpy as np
import pytest

from services.evaluator.scoring import answers, score, secret_order

LABELS = np.arange(600) % 10


def test_right_answers_in_the_secret_order_score_one():
    order = secret_order(LABELS, "code", "protocol")
    assert score(LABELS[order], LABELS, order, 400) == (1.0, 1.0)


def test_right_answers_in_the_data_sets_own_order_score_as_chance():
    order = secret_order(LABELS, "code", "protocol")
    assert all(value < 0.2 for value in score(LABELS, LABELS, order, 400))


def test_validation_and_test_are_counted_apart():
    order = secret_order(LABELS, "code", "protocol")
    told = LABELS.copy()
    told[400:] = (told[400:] + 1) % 10
    assert score(told[order], LABELS, order, 400) == (1.0, 0.0)


def test_the_order_is_the_same_again_for_the_same_code_and_protocol_only():
    order = secret_order(LABELS, "code", "protocol")
    assert (order == secret_order(LABELS, "code", "protocol")).all()
    assert sorted(order) == list(range(600))
    for other in (secret_order(LABELS, "code2", "protocol"), secret_order(LABELS, "code", "protocol2")):
        assert (order != other).any()


def test_who_does_not_know_the_labels_does_not_know_the_order():
    almost = LABELS.copy()
    almost[0] += 1
    assert (secret_order(LABELS, "code", "protocol") != secret_order(almost, "code", "protocol")).any()


@pytest.mark.parametrize(
    "wrong", [b"", b"\0" * 7, np.array([0, 10], "<i4").tobytes(), np.array([-1, 1], "<i4").tobytes()]
)
def test_answers_of_wrong_length_or_range_are_refused(wrong):
    with pytest.raises(ValueError, match="prediction"):
        answers(wrong, 2, 10)
