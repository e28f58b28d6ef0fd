"""What is told of a URL, and what never is."""

import pytest

from archloop.addresses import place_of

HIDDEN = "its value, which is not shown,"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("amqp://me:hunter2@broker:5672/vhost", "'broker:5672/vhost'"),
        ("rabbit:me:hunter2@broker", "'broker'"),
        ("amqp://me:p@ss@broker", "'broker'"),
        ("http://broker", "'broker'"),
        ("amqp://me:hunter2", HIDDEN),
        ("amqp://me@hunter2:broker", HIDDEN),
        ("hunter2", HIDDEN),
        ("", HIDDEN),
    ],
)
def test_the_place_is_told_where_it_is_plain_and_nothing_else(url: str, told: str) -> None:
    assert place_of(url) == told
