"""The course of a run: the best network found so far, by what it reaches on seeds that had no part in choosing it.

A best accuracy rises with every further candidate by luck alone. So each network that led at the end of a cycle is
trained anew on other seeds, and the course is that of their means: it may fall where a lucky one took the lead.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

from archloop import protocols
from archloop.contracts.base import Frozen
from archloop_lab import files, rescoring
from archloop_lab.rescoring import Advance, Network
from archloop_lab.run_directory import RunDirectory
from archloop_lab.summary import AnalysedCycle

FILE = "course.json"


class Step(Frozen):
    """The end of a cycle: what the run had spent by then, and the network that led, with its confirmed accuracy."""

    cycle: int
    evaluations: int
    tokens: int
    seconds: float
    candidate: str | None
    chosen_by: float
    accuracy: float


class Course(Frozen):
    """The steps of a run in their order, and the training seeds that confirmed them."""

    seeds: tuple[int, ...]
    steps: tuple[Step, ...]

    def area(self, spent: Callable[[Step], float], horizon: float) -> float:
        """Return the mean of the confirmed accuracy while `spent` goes to the horizon; it is 0 before the first step.

        Args:
            spent: Reads what the mean goes over: evaluations, tokens or seconds.
            horizon: How far it goes; beyond the last step the last accuracy holds.

        """
        bounds = [min(spent(step), horizon) for step in self.steps] + [horizon]
        pieces = zip(self.steps, bounds, bounds[1:], strict=False)
        return sum(step.accuracy * (end - start) for step, start, end in pieces) / horizon if horizon else 0.0

    @property
    def over_cycles(self) -> float:
        """The mean of the confirmed accuracy over the ends of cycles, which are equally many evaluations apart."""
        return fmean(step.accuracy for step in self.steps) if self.steps else 0.0


async def measure(run: Path, seeds: int, advance: Advance) -> Course:
    """Train the leaders of the run's cycles on other seeds, and keep the course beside the run.

    What was measured already is not measured again. Raises NotFound for a run without valid candidates, Unavailable.
    """
    directory = RunDirectory(run)
    base = protocols.load(directory.manifest().spec.protocol).model_copy(update={"ladder": None})
    seeded = [base.reseeded(seed) for seed in base.other_seeds(seeds)]
    cycles = directory.summary().closed
    leading = leaders(await rescoring.networks(run, admitted=False), [cycle.cycle for cycle in cycles])
    distinct = list({network.name: network for network in leading if network}.values())
    scores = await rescoring.score(distinct, seeded, run / "course.jsonl", advance)
    confirmed = {
        each.name: fmean(scores[each.name, protocol.name].accuracy or 0.0 for protocol in seeded) for each in distinct
    }
    steps = _steps(cycles, leading, confirmed)
    found = Course(seeds=tuple(protocol.seed for protocol in seeded), steps=steps)
    files.write_json(run / FILE, found.model_dump(mode="json"))
    return found


def read(run: Path) -> Course | None:
    """Read what was measured, if anything was. Raises IntegrityError."""
    path = run / FILE
    return files.read_model(path, Course) if path.is_file() else None


def leaders(networks: Sequence[Network], cycles: Sequence[int]) -> list[Network | None]:
    """Return which network led at the end of each cycle: the best of it and all before, the older of equals."""
    found: list[Network | None] = []
    for cycle in cycles:
        until = [network for network in networks if network.cycle <= cycle]
        found.append(max(until, key=lambda network: (network.accuracy, -network.cycle)) if until else None)
    return found


def _steps(
    cycles: Sequence[AnalysedCycle], leading: Sequence[Network | None], confirmed: dict[str, float]
) -> tuple[Step, ...]:
    steps: list[Step] = []
    evaluations, tokens, seconds = 0, 0, 0.0
    for cycle, leader in zip(cycles, leading, strict=True):
        evaluations, tokens = evaluations + cycle.generated, tokens + cycle.tokens
        seconds += cycle.seconds.total or 0.0
        steps.append(
            Step(
                cycle=cycle.cycle,
                evaluations=evaluations,
                tokens=tokens,
                seconds=seconds,
                candidate=leader and leader.name,
                chosen_by=leader.accuracy if leader else 0.0,
                accuracy=confirmed[leader.name] if leader else 0.0,
            )
        )
    return tuple(steps)
