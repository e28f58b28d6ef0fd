"""What a LEMUR source holds, read and checked: architectures, trials, and what cannot be taken as either."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from archloop import sources
from archloop.sources import UndecodableSource
from archloop_lab.lemur.rules import MEASURED, METRIC, Config, stat_id

FIRST = 1
_LONGEST = 2**63


class Architecture(NamedTuple):
    """A network's name and source."""

    name: str
    code: str


class FirstEpoch(NamedTuple):
    """A first epoch: with which hyper-parameters, how accurate on the test split, in how many nanoseconds."""

    id: str
    uid: str
    config: Config
    accuracy: float
    duration: int
    prm: Mapping[str, Any]


class Problem(NamedTuple):
    """Something that was left out: which kind of fault, where."""

    kind: str
    place: str
    detail: str = ""


Item = Architecture | FirstEpoch | Problem


def architecture(name: str, content: bytes, place: str) -> Item:
    """Make one from the content of a source file; it is text, and nothing more is done to it here."""
    if not _is_plain(name):
        return Problem("name", ascii(place), "no plain text")
    try:
        return written(name, sources.of_file(content), place)
    except UndecodableSource as error:
        return Problem("no text", place, str(error))


def written(name: str, code: str, place: str) -> Item:
    """Make one from its text, unless that says nothing."""
    lines = (line.strip() for line in code.splitlines())
    if all(line.startswith("#") or not line for line in lines):
        return Problem("empty", place, "no line but blanks and comments")
    return Architecture(name, code)


def trials(config: Config, content: bytes, place: str) -> Iterator[Item]:
    """Read those of the content of a file of trials."""
    try:
        read = json.loads(content)
    except (ValueError, RecursionError) as error:
        yield Problem("not JSON", place, str(error))
        return
    if not isinstance(read, list):
        yield Problem("no list of trials", place, type(read).__name__)
    elif not read:
        yield Problem("empty list", place)
    else:
        yield from (_trial(config, each, f"{place}[{index}]") for index, each in enumerate(read))


def trial(config: Config, values: Mapping[str, Any], place: str, trial_id: str | None = None) -> Item:
    """Make one from what was recorded of it."""
    fault = next(_faults(values), None)
    if fault:
        return Problem("malformed trial", place, fault)
    if config.metric == METRIC and values["accuracy"] > 1:
        return Problem("accuracy above 1", place, f"{values['accuracy']!r:.40}: LEMUR's is a share, not percent")
    prm = {name: value for name, value in values.items() if name not in MEASURED}
    measured = float(values["accuracy"]), values["duration"]
    return FirstEpoch(trial_id or stat_id(config, FIRST, values), values["uid"], config, *measured, prm)


def _trial(config: Config, values: object, place: str) -> Item:
    if not isinstance(values, dict):
        return Problem("malformed trial", place, f"not an object but {type(values).__name__}")
    return trial(config, values, place)


def _faults(values: Mapping[str, Any]) -> Iterator[str]:
    for name in ("uid", "transform"):
        if not _is_plain(values.get(name)):
            yield f"{name}: {values.get(name)!r:.40} is no plain text"
    match values.get("accuracy"):
        case bool() as truth:
            yield f"accuracy: {truth} is no number"
        case int() | float() as accuracy if 0 <= accuracy < _LONGEST:
            pass
        case other:
            yield f"accuracy: {other!r:.40} is no number from 0 on"
    match values.get("duration"):
        case bool() as truth:
            yield f"duration: {truth} is no number of nanoseconds"
        case int(duration) if 0 <= duration < _LONGEST:
            pass
        case other:
            yield f"duration: {other!r:.40} is no number of nanoseconds"


def _is_plain(value: object) -> bool:
    """Tell whether there is no half of a surrogate pair and no control character in it."""
    return isinstance(value, str) and value.isprintable()
