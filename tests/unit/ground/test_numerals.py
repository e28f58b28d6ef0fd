"""Numbers as people read them."""

import pytest

from archloop.numerals import UNKNOWN, duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (None, UNKNOWN),
        (0, "0.0 s"),
        (9.94, "9.9 s"),
        (10, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (400, "6 min 40 s"),
        (3599.4, "59 min 59 s"),
        (3599.6, "1 h 0 min"),
        (3600 + 59 * 60 + 31, "2 h 0 min"),
        (7175, "2 h 0 min"),
        (18_000, "5 h 0 min"),
        (86_399, "24 h 0 min"),
        (86_400 + 3 * 3600 + 29 * 60, "1 d 3 h"),
        (28_753_448, "332 d 19 h"),
    ],
)
def test_a_duration_is_told_in_two_units(seconds, told):
    assert duration(seconds) == told
