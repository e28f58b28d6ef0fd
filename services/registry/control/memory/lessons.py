"""What is kept of each closed cycle: its failures by kind and its best and worst networks, whatever its size was."""

from collections.abc import MutableMapping
from typing import NamedTuple

from services.registry.control.memory.failures import Tally
from services.registry.control.memory.scores import Extremes


class Lesson(NamedTuple):
    """What one closed cycle taught."""

    failures: Tally
    scores: Extremes


Lessons = MutableMapping[int, Lesson]
"""By cycle. Closed cycles do not change, so each is read once."""
