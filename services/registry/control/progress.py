"""How far a cycle or a trial is: what was asked for, in the order of indices, and what of it is still open."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from services.registry.records import Step

NARROW = 16  # candidates under way to begin with where a cycle is too large to be asked for at once
_CROWDED = 16  # messages that wait: more of them would only keep other runs waiting


@dataclass(frozen=True, slots=True)
class Owed:
    """A candidate's next step; `blocked` until lower indices are evaluated, as novelty judges in index order."""

    index: int
    step: Step
    blocked: bool


@dataclass
class Front:
    """How far candidates are: `asked` were asked for, `working` await code or evaluation, `judging` await a verdict."""

    asked: int = 0
    working: dict[int, Step] = field(default_factory=dict)
    judging: set[int] = field(default_factory=set)

    @classmethod
    def of(cls, asked: int, steps: Mapping[int, Step]) -> "Front":
        """Make it of what the rows say."""
        front = cls(asked)
        for index, step in steps.items():
            front.heard(index, step)
        return front

    def __len__(self) -> int:
        return len(self.working) + len(self.judging)

    def heard(self, index: int, step: Step | None) -> None:
        """Note what the candidate awaits now; None for nothing."""
        if index >= self.asked:
            return
        self.working.pop(index, None)
        self.judging.discard(index)
        if step == "judgement":
            self.judging.add(index)
        elif step is not None:
            self.working[index] = step

    def owed(self) -> Iterator[Owed]:
        """Yield the open steps, in the order of indices."""
        gap = min(self.working, default=self.asked)
        steps: dict[int, Step] = {**self.working, **dict.fromkeys(self.judging, "judgement")}
        return (Owed(i, steps[i], steps[i] == "judgement" and i > gap) for i in sorted(steps))


@dataclass
class Window:
    """How many candidates of a run may be under way, so that workers are busy and queues are short.

    What is too large to be asked for at once begins narrow. The window widens while no request waits for a worker,
    and narrows while many do, or while the registry itself keeps others waiting. Where a budget counts it stays
    narrow, and what waits for its verdict is under way too.
    """

    most: int
    metered: bool = False
    width: int = NARROW

    def room(self, front: Front, wanted: int) -> int:
        """Return how many more to ask for now; none where that would only be a few of many."""
        left, most = wanted - front.asked, min(self.most, NARROW) if self.metered else self.most
        under_way = len(front) if self.metered else len(front.working)
        width = most if under_way + left <= most else min(self.width, most)
        room = max(0, min(left, width - under_way))
        return room if room == left or self.metered or room >= width // 4 else 0

    def pace(self, waiting: int, behind: int = 0) -> None:
        """Narrow or widen: so many requests wait for a worker, and so many answers for novelty and the registry."""
        if waiting + behind > _CROWDED:
            self.width = max(min(NARROW, self.most), self.width // 2)
        elif waiting == 0:
            self.width = min(self.most, 2 * self.width)
