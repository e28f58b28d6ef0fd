"""What recording a message means in any database."""

import json
import re
from datetime import datetime
from typing import TypeGuard

from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.messages import RunSteered
from archloop.contracts.spec import RunSpec
from archloop.errors import Conflict, InvalidInput, NotFound
from services.registry.acts import RecordedAct

_WORD = re.compile(r"\w+")
_LONGEST_WORD = 100


def event_text(message: Message) -> str:
    """Return the event log's form of the message, code by hash only. Raises InvalidInput for numbers not in JSON."""
    data = message.data()
    for carrier in (data, data.get("parent"), data.get("act")):
        if isinstance(carrier, dict) and isinstance(code := carrier.get("code"), dict):
            code.pop("text", None)
    try:
        return json.dumps(data, allow_nan=False)
    except ValueError as error:
        raise InvalidInput(message.type, str(error), "finite numbers") from error


def recorded_act(message: RunSteered, at: datetime) -> RecordedAct:
    """Return the act as a run keeps it."""
    return RecordedAct(act_id=message.act_id, at=at, act=message.act)


def words_of(text: str) -> list[str]:
    """Return the words of code or of an error, each once: letters, digits and underscores, in small letters."""
    return sorted({word.lower()[:_LONGEST_WORD] for word in _WORD.findall(text)})


def in_a_cycle(message: Message) -> TypeGuard[CandidateMessage]:
    """Return whether a cycle may be complete with this message. Submissions stand outside every cycle."""
    return isinstance(message, CandidateMessage) and message.submission is None


def require_known(database: str, version: int, newest: int) -> None:
    """Raise InvalidInput where the database was made by a later version than this one knows."""
    if version > newest:
        raise InvalidInput(database, f"schema {version}", f"a database of schema {newest} or older")


def require_same(run_id: str, recorded: RunSpec, requested: RunSpec) -> None:
    """Raise Conflict where the run's name is taken by another spec."""
    if recorded != requested:
        raise Conflict(f"run_id: {run_id!r} is taken by a run with another spec; choose another name")


def no_cycle(run_id: str, cycle: int) -> NotFound:
    """Return the error to raise at a message about a cycle that was not opened."""
    return NotFound("cycle", f"{run_id}/{cycle}")
