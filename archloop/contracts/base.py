"""The base of every message: a frozen value with a name, a version and a derived identity."""

import uuid
from functools import partial
from operator import eq
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from archloop.contracts.numbers import Place
from archloop.contracts.texts import Name

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://archloop.dev/messages")
_ABOUT = {"run_id", "run_uid", "cycle", "index", "submission"}

RunId = Annotated[str, Field(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9._-]{0,62}$")]
RunUid = Annotated[str, Field(pattern=r"^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def absent(value: object) -> Any:
    """Return the mark of a field that came later: with this value it is not written.

    So what was written before the field is written the same, and has the same hash.
    """
    return Field(exclude_if=partial(eq, value))


class Frozen(BaseModel):
    """A value object: immutable, and tolerant of fields that a newer peer has added."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Strict(Frozen):
    """Written by people, so a misspelt field is an error rather than ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Message(Frozen):
    """A command (imperative or `…requested`) or an event (past tense).

    `name` is the routing key, `version` changes only when old consumers would misread the data. A run's name may be
    given again once the registry has forgotten it: `run_uid` tells the runs of one name apart. The registry makes it,
    and who answers hands it on; it is null where no run is asked for yet, or none is spoken of. Within the run
    `identified_by` names what a message is about: there is one of its kind for each.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    identified_by: ClassVar[tuple[str, ...]]

    run_id: RunId
    run_uid: RunUid | None = None

    def identity(self) -> tuple[object, ...]:
        """Return what it is about within its run; messages of one kind with equal identity are the same message."""
        return tuple(getattr(self, name) for name in self.identified_by)

    @property
    def id(self) -> str:
        """The message's id, derived and never random, so that publishing a message twice has the effect of once."""
        return message_id(self.name, self.version, self.run_id, self.run_uid, *self.identity())

    def about(self) -> dict[str, Any]:
        """Return the fields that an answer has in common with what it answers."""
        return self.model_dump(include=_ABOUT)

    @property
    def trace_root(self) -> str | None:
        """The id of the message with which its trace begins; None for that of its cause."""
        return None

    @property
    def type(self) -> str:
        """CloudEvents `type`, for instance `archloop.candidate.generated.v1`."""
        return type_of(type(self))

    def data(self) -> dict[str, Any]:
        """Return the JSON form of the payload."""
        return self.model_dump(mode="json")


class CandidateMessage(Message):
    """A message about one candidate: the `index`-th of its run's `cycle`, or another system's `submission`.

    A submission stands outside the cycles: its cycle and index are 0 and say nothing.
    """

    identified_by = ("candidate_id",)
    cycle: Place = 0
    index: Place = 0
    submission: Name | None = None

    @property
    def candidate_id(self) -> str:
        """The candidate's id everywhere: derived from run, cycle and index, or from the submission."""
        return candidate_id(self.run_id, self.cycle, self.index, self.submission)

    @property
    @override
    def trace_root(self) -> str | None:
        """The request for the candidate, whatever the message's cause: a verdict may be another candidate's doing."""
        return request_id(self.run_id, self.run_uid, self.candidate_id) if self.submission is None else None


def type_of(message: type[Message]) -> str:
    """Return the CloudEvents `type` of every message of this kind."""
    return f"archloop.{message.name}.v{message.version}"


def message_id(name: str, version: int, run_id: str, run_uid: str | None, *identity: object) -> str:
    """Derive a message's id from its kind, its run, and what it is about there."""
    return derived_id(name, version, *((run_id,) if run_uid is None else (run_id, run_uid)), *identity)


def request_id(run_id: str, run_uid: str | None, candidate: str) -> str:
    """Derive the id of the `generation.requested` with which a candidate's trace begins."""
    return message_id("generation.requested", 1, run_id, run_uid, candidate)


def derived_id(*parts: object) -> str:
    """Return a UUID5 over the parts (RFC 9562, section 5.5)."""
    return str(uuid.uuid5(_NAMESPACE, "\x1f".join(map(str, parts))))


def candidate_id(run_id: str, cycle: int, index: int, submission: str | None = None) -> str:
    """Derive a candidate's id from run, cycle and index, or from the submission."""
    if submission is not None:
        return derived_id("submission", run_id, submission)
    return derived_id("candidate", run_id, cycle, index)
