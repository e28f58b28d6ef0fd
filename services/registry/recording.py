"""What recording a message means, whichever database it is recorded in."""

import json
from typing import Any

from archloop.contracts.base import Message
from archloop.contracts.spec import RunSpec
from archloop.errors import Conflict, InvalidInput, NotFound


def event_data(message: Message) -> dict[str, Any]:
    """The event log's form of the message, code by hash only. Raises InvalidInput for numbers that JSON has not."""
    data = message.data()
    if isinstance(code := data.get("code"), dict):
        code.pop("text", None)
    try:
        json.dumps(data, allow_nan=False)
    except ValueError as error:
        raise InvalidInput(message.type, str(error), "finite numbers") from error
    return data


def require_same(run_id: str, recorded: RunSpec, requested: RunSpec) -> None:
    """Raises Conflict where the run's name is taken by another spec."""
    if recorded != requested:
        raise Conflict(f"run_id: {run_id!r} is taken by a run with another spec; choose another name")


def no_cycle(run_id: str, cycle: int) -> NotFound:
    """What is raised at a message about a cycle that was not opened."""
    return NotFound("cycle", f"{run_id}/{cycle}")
