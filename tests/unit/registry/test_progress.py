"""What of a cycle is open, and how much more may be asked for."""

import pytest

from services.registry.control.progress import Front, Owed, Window


def test_open_steps_are_owed_in_order_and_a_verdict_waits_for_lower_indices() -> None:
    front = Front.of(6, {4: "generation", 0: "judgement", 3: "judgement", 2: "evaluation"})
    assert [*front.owed()] == [
        Owed(0, "judgement", blocked=False),
        Owed(2, "evaluation", blocked=False),
        Owed(3, "judgement", blocked=True),
        Owed(4, "generation", blocked=False),
    ]
    front.heard(2, None)
    assert [o.blocked for o in front.owed()] == [False, False, False]


@pytest.mark.parametrize(
    ("index", "steps", "working", "judging"),
    [
        (0, ["generation"], {0: "generation"}, set()),
        (1, ["generation", "evaluation"], {1: "evaluation"}, set()),
        (2, ["evaluation", "judgement"], {}, {2}),
        (2, ["evaluation", "judgement", None], {}, set()),
        (1, ["judgement", "evaluation"], {1: "evaluation"}, set()),
        (2, [None], {}, set()),
        (3, ["generation"], {}, set()),
        (9, ["judgement"], {}, set()),
    ],
)
def test_the_last_that_was_heard_counts_of_those_that_were_asked_for(index, steps, working, judging) -> None:
    front = Front(3)
    for step in steps:
        front.heard(index, step)
    assert (front.working, front.judging, len(front)) == (working, judging, len(working) + len(judging))


def test_where_nothing_was_asked_for_nothing_is_heard() -> None:
    front = Front()
    front.heard(0, "generation")
    assert [*front.owed()] == []


@pytest.mark.parametrize(
    ("metered", "working", "judging", "room"),
    [
        (False, 10, 500, 6),
        (False, 0, 16, 16),
        (False, 13, 0, 0),
        (True, 10, 4, 2),
        (True, 0, 16, 0),
        (True, 15, 0, 1),
        (True, 0, 30, 0),
    ],
)
def test_what_waits_for_its_verdict_is_under_way_where_a_budget_counts(metered, working, judging, room) -> None:
    front = Front(1000, dict.fromkeys(range(working), "evaluation"), set(range(working, working + judging)))
    assert Window(256, metered=metered).room(front, 5000) == room


@pytest.mark.parametrize(("most", "left", "room"), [(256, 16, 16), (256, 17, 16), (8, 8, 8), (8, 9, 8), (16, 3, 3)])
def test_where_a_budget_counts_a_wide_window_is_narrow(most: int, left: int, room: int) -> None:
    assert Window(most, metered=True, width=most).room(Front(100), 100 + left) == room
