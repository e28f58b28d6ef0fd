"""What the prompts of a run said of its earlier cycles, chosen again from the rows as the registry chose it."""

from collections import Counter
from typing import NamedTuple

from archloop import remembering
from archloop.blobs.port import Blobs
from services.registry.control.memory import choice
from services.registry.control.memory.choice import Lessons
from services.registry.control.memory.recollection import recollection
from services.registry.records import Run
from services.registry.stores.paging import scope_of
from services.registry.stores.port import Store

SHOWN = 4


class Line(NamedTuple):
    """A line of memory, and in how many prompts of the cycle it stood."""

    cycle: int
    text: str
    prompts: int
    of: int


async def of_run(store: Store, blobs: Blobs, run_id: str) -> list[Line]:
    """Return the lines of each cycle that stood in most of its prompts; none for a run without a memory."""
    run = await store.run(run_id)
    if run is None or run.spec.generation.memory == "none":
        return []
    lessons: Lessons = {}
    lines: list[Line] = []
    for cycle in await store.cycles(run_id):
        asked = await store.asked(run.uid, scope_of(cycle))
        found = await recollection(store, blobs, run, cycle.cycle, lessons)
        lines += _most_said(run, found, cycle.cycle, asked)
    return lines


def _most_said(run: Run, found: choice.Recollection, cycle: int, asked: int) -> list[Line]:
    said: Counter[str] = Counter()
    for index in range(asked):
        said.update(map(remembering.line, choice.drawn(found, run.spec, cycle, run.spec.generation.slot(index))))
    order = sorted(said, key=lambda text: (-said[text], text))
    return [Line(cycle, text, said[text], asked) for text in order[:SHOWN]]
