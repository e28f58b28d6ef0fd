"""What the registry keeps of acts: each as it was recorded, and what a cycle took up of them."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Protocol

from pydantic import AwareDatetime

from archloop.contracts.acts import AT_ONCE, Act, Changes, Verb
from archloop.contracts.base import Frozen, Sha256, absent
from archloop.contracts.spec import RunSpec
from archloop.contracts.values import SourceCode


class RecordedAct(Frozen):
    """An act as it was recorded, under the name that its sender gave it."""

    act_id: str
    at: AwareDatetime
    act: Act


class ActSummary(Frozen):
    """An act as it is told: `code` by its hash. `cycle` took it up; null where none did yet, or none is to."""

    number: int
    at: AwareDatetime | None = None
    who: str
    verb: Verb
    comment: str = ""
    changes: Changes | None = None
    candidate: str | None = None
    code_sha256: Sha256 | None = None
    adapter: str | None = None
    cycle: int | None = None

    def __str__(self) -> str:
        objects = [self.candidate, self.adapter, self.code_sha256, ", ".join(_changed(self.changes))]
        what = " ".join([self.verb, *(each for each in objects if each)])
        return f"{what}: {self.comment}" if self.comment else what


class Exemplars(Frozen):
    """Candidates that the LLM is always, or never, shown and tuned on, by id."""

    pinned: tuple[str, ...] = ()
    banned: tuple[str, ...] = ()

    def after(self, act: Act) -> "Exemplars":
        """Return what they are once this one is pinned, banned or released."""
        given = act.candidate or ""
        pinned, banned = (tuple(name for name in names if name != given) for names in (self.pinned, self.banned))
        if act.verb == "release":
            return Exemplars(pinned=pinned, banned=banned)
        if given in (self.pinned if act.verb == "pin" else self.banned):
            return self
        own = (given,)
        return Exemplars(pinned=pinned + own * (act.verb == "pin"), banned=banned + own * (act.verb == "ban"))


NO_EXEMPLARS = Exemplars()


class Submitted(Frozen):
    """A network that somebody gave the run."""

    code: SourceCode
    who: str


class Steered(Frozen):
    """What acts made of a cycle: so many of the run's are taken up, and by this spec it goes.

    The `submitted` networks are its last candidates. Where people went back, it is written by the version that
    `reverted` names, and no training comes before it.
    """

    acts: int = 0
    spec: RunSpec
    exemplars: Exemplars = NO_EXEMPLARS
    submitted: tuple[Submitted, ...] = ()
    reverted: Annotated[str, absent("")] = ""
    wanted: Annotated[int, absent(0)] = 0


def is_paused(acts: Sequence[RecordedAct]) -> bool:
    """Return whether the last word of these is to pause."""
    said = [each.act.verb for each in acts if each.act.verb in {"pause", "resume"}]
    return said[-1:] == ["pause"]


def paused_s(acts: Iterable[RecordedAct], until: datetime) -> float:
    """Return for how many seconds the acts had the run paused."""
    total, since = 0.0, None
    for each in acts:
        if each.act.verb == "pause":
            since = since or each.at
        elif each.act.verb == "resume" and since is not None:
            total, since = total + (each.at - since).total_seconds(), None
    return total + ((until - since).total_seconds() if since is not None else 0.0)


class _Opened(Protocol):
    """A cycle, and what acts made of it."""

    @property
    def cycle(self) -> int: ...

    @property
    def steered(self) -> Steered | None: ...


def listed(acts: Sequence[RecordedAct], cycles: Iterable[_Opened]) -> list[ActSummary]:
    """Tell the acts in their order, each with the cycle that took it up."""
    taken = [(each.cycle, each.steered.acts) for each in cycles if each.steered]
    return [_listed(number, each, taken) for number, each in enumerate(acts, 1)]


def _changed(changes: Changes | None) -> Iterator[str]:
    """Yield each change as the command takes it, NAME=VALUE; a budget as its limits."""
    for name, value in changes.model_dump(mode="json", exclude_none=True).items() if changes else ():
        inner = value.items() if isinstance(value, dict) else [("", value)]
        for field, own in inner:
            told = ",".join(map(str, own)) if isinstance(own, list) else own
            yield f"{name}.{field}={told}" if field else f"{name}={told}"
        if value == {}:
            yield f"{name}=none"


def told(act: Act, number: int = 0, at: datetime | None = None, cycle: int | None = None) -> ActSummary:
    """Tell one act, its code by the hash."""
    return ActSummary(
        number=number,
        at=at,
        **act.model_dump(include={"who", "verb", "comment", "candidate", "adapter"}),
        changes=act.changes,
        code_sha256=act.code.sha256 if act.code else None,
        cycle=cycle,
    )


def _listed(number: int, recorded: RecordedAct, taken: Sequence[tuple[int, int]]) -> ActSummary:
    cycle = None if recorded.act.verb in AT_ONCE else next((cycle for cycle, count in taken if count >= number), None)
    return told(recorded.act, number, recorded.at, cycle)
