"""How far a run is: what is settled of what it will write, its best network, when it may be over."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from services.registry.page.library import Entry
from services.registry.records import Cycle, Run, utc_now


class Progress(NamedTuple):
    """What the list of runs shows of one. `left_s` is a guess from the pace so far, null where there is none."""

    entry: Entry
    cycles: int
    settled: int
    total: int
    best: float | None
    left_s: float | None

    @property
    def share(self) -> float:
        """How much of it is done."""
        return min(1.0, self.settled / self.total) if self.total else 0.0


async def of(entry: Entry) -> Progress:
    """Look how far a run is."""
    store, run = entry.shelf.store, entry.run
    cycles = await store.cycles(run.run_id)
    best = (await store.architectures(run.run_id, limit=1)).items
    settled, total = sum(cycle.settled for cycle in cycles), _total(run, cycles)
    left = _left_s(cycles, settled, total, utc_now()) if run.finished is None and not run.paused else None
    return Progress(entry, len(cycles), settled, total, best[0].accuracy if best else None, left)


def _total(run: Run, cycles: Sequence[Cycle]) -> int:
    """Return how many candidates the run will have; cycles to come are as the last one is."""
    wanted = [cycle.wanted(run.spec) for cycle in cycles]
    each = run.at(cycles[-1]).spec.candidates if cycles else run.spec.candidates
    return sum(wanted) + each * (run.spec.cycles - len(cycles))


def _left_s(cycles: Sequence[Cycle], settled: int, total: int, now: datetime) -> float | None:
    if not settled or not cycles:
        return None
    return (now - cycles[0].opened).total_seconds() / settled * max(0, total - settled)


async def awaited(entry: Entry, cycles: Sequence[Cycle]) -> dict[str, int]:
    """Count what the candidates of the open cycle await, and whether a training is on its way."""
    if entry.run.finished is not None or not cycles:
        return {}
    last = cycles[-1]
    if last.closed is not None:
        return {"training": 1} if _trains(entry.run, last) else {}
    steps = await entry.shelf.store.open_steps(entry.run.run_id, last.cycle, last.wanted(entry.run.spec))
    counted = Counter(steps.values())
    return {step: counted[step] for step in ("generation", "evaluation", "judgement") if counted[step]}


def _trains(run: Run, last: Cycle) -> bool:
    return not run.spec.frozen and last.cycle + 1 < run.spec.cycles
