"""CloudEvents 1.0 in JSON, structured mode: how a message travels."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from archloop.contracts import trace
from archloop.contracts.base import Frozen, Message, type_of
from archloop.contracts.messages import CATALOGUE
from archloop.contracts.numbers import NUMBER
from archloop.contracts.texts import LongText, Name
from archloop.errors import ArchloopError

CONTENT_TYPE = "application/cloudevents+json"
# What is mirrored into a property of AMQP has to fit there, or it could be neither retried nor replayed.
Mirrored = Annotated[str, Field(pattern="^[ -~]{1,255}$")]
_BY_TYPE: Mapping[str, type[Message]] = {type_of(message): message for message in CATALOGUE}


class MalformedMessage(ArchloopError):
    """Bytes on a queue that are no message of ours: no envelope, an unknown type or version, or wrong data."""

    code = "malformed_message"


class Envelope(Frozen):
    """The CloudEvents attributes, and our own: `runid`, `causationid`, `attempt`, `traceparent`, `replayed`.

    What somebody `replayed` is handled whatever became of its run.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: Mirrored
    source: Mirrored
    type: Name
    subject: LongText
    time: datetime
    datacontenttype: Literal["application/json"] = "application/json"
    runid: Name
    causationid: Name | None = None
    attempt: Annotated[int, Field(ge=1, le=2**31), NUMBER] = 1
    traceparent: Annotated[str, Field(validate_default=True)] = ""
    replayed: Literal[True] | None = None
    data: dict[str, Any]

    @field_validator("traceparent", mode="before")
    @classmethod
    def _valid_or_begun(cls, given: object, info: ValidationInfo) -> object:
        """Begin a new trace where the given one is not valid: that breaks the trace, not the message."""
        return given if trace.trace_id(given) else trace.traceparent(info.data.get("id", ""))

    @classmethod
    def of(
        cls, message: Message, *, source: str, cause: "Envelope | None" = None, traceparent: str | None = None
    ) -> Self:
        """Wrap a message.

        Args:
            message: What to send.
            source: The service that sends it.
            cause: The envelope that it answers.
            traceparent: That of a cause which is no message; it need not be valid.

        """
        return cls(
            id=message.id,
            source=f"/archloop/{source}",
            type=message.type,
            subject="/".join(map(str, (message.run_id, *message.identity()))),
            time=datetime.now(UTC),
            runid=message.run_id,
            causationid=cause.id if cause else None,
            traceparent=trace.traceparent(message.id, cause.traceparent if cause else traceparent, message.trace_root),
            data=message.data(),
        )

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Read an envelope. Raises MalformedMessage naming the first field that is wrong."""
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            raise MalformedMessage(f"not a CloudEvents envelope: {_first(error)}") from error

    @property
    def routing_key(self) -> str:
        """The type without prefix and version, for instance `candidate.evaluated.ok`."""
        return self.type.removeprefix("archloop.").rpartition(".")[0]

    def message(self) -> Message:
        """Return the typed message inside. Raises MalformedMessage."""
        if self.type not in _BY_TYPE:
            raise MalformedMessage(
                f"type: {self.type!r} is not known here; expected one of {', '.join(sorted(_BY_TYPE))}"
            )
        try:
            return _BY_TYPE[self.type].model_validate(self.data)
        except ValidationError as error:
            raise MalformedMessage(f"{self.type}: {_first(error)}") from error

    def encode(self) -> bytes:
        """Return the bytes for the wire."""
        return self.model_dump_json(exclude_none=True).encode()

    def again(self) -> Self:
        """Return the same event for its next attempt."""
        return self.model_copy(update={"attempt": self.attempt + 1})


def _first(error: ValidationError) -> str:
    detail = error.errors()[0]
    where = ".".join(map(str, detail["loc"])) or "body"
    return f"{where}: {detail['msg']} (got {str(detail['input'])[:80]!r})"
