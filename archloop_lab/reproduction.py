"""`archloop run --from-manifest`: a run done again, and what of it came out otherwise."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput, NotFound
from archloop_lab import heldout, manifests, steered
from archloop_lab.run_directory import RunDirectory
from services.registry.records import Candidate

_PARTS = ("candidates", "evaluations", "verdicts")
_BINDING = ("protocol", "base_model")
_TELLING = ("archloop", "libraries", "machine")


class Reproduction(NamedTuple):
    """Of two runs: how many candidates both have, and in which place what differs.

    Scored on `other_images`, only what is written before the first score is to be the same: the first cycle.
    """

    shared: int
    differing: list[str]
    other_images: bool = False

    def __str__(self) -> str:
        if self.other_images:
            return f"equal in all {self.shared} candidates of the first cycle; scored on other held-out images"
        return f"equal in all {self.shared} candidates, evaluations and verdicts"


class Recorded(NamedTuple):
    """What a manifest's run was asked to be, and what is otherwise here: libraries and machine, held-out images."""

    spec: RunSpec
    unlike: list[str]
    other_images: str | None


def recorded(path: Path) -> Recorded:
    """Read a manifest whose run is to be done again. What is otherwise here is named, not refused.

    Raises NotFound, InvalidInput where the protocol or the base model is another one now, Misconfigured.
    """
    if not path.is_file():
        raise NotFound("manifest", str(path))
    run_id, spec, then = manifests.read(path)
    now = manifests.content_of(run_id, spec)
    for part in _BINDING:
        if now[part]["sha256"] != (then.get(part) or {}).get("sha256"):
            raise InvalidInput(f"{path.name}: {part}", then.get(part), f"sha256 {now[part]['sha256']}, the one here")
    unlike = list(_changed({key: then.get(key) for key in _TELLING}, now))
    return Recorded(steered.again(spec, then, path.name), unlike, heldout.otherwise(then))


def require_elsewhere(spec: RunSpec) -> None:
    """Raise InvalidInput where acts name networks or adapters, which another registry does not have."""
    if any(each.act.code or each.act.candidate or each.act.adapter for each in spec.steering):
        raise InvalidInput("--server", spec.preset, "none: networks and adapters of this run are on this machine only")


def pairs(path: Path, spec: RunSpec) -> Path | None:
    """Find the file of pairs that the manifest's run began with, if it began with any and they lie beside it."""
    if spec.bootstrap is None or spec.bootstrap.pairs is None:
        return None
    found = path.parent / "blobs" / spec.bootstrap.pairs.key
    return found if found.is_file() else None


def compared(original: Path, repeated: Path) -> Reproduction | None:
    """Compare the runs of two directories candidate by candidate; None where the original is not there any more.

    Of a run that was cancelled the cycles that it closed are compared.
    """
    if not RunDirectory(original).registry_file.is_file():
        return None
    then, now = (asyncio.run(_candidates(directory)) for directory in (original, repeated))
    other_images = _heldout(original) != _heldout(repeated)
    parts = _PARTS[:1] if other_images else _PARTS
    end = steered.ends_in(RunDirectory(repeated).manifest().spec)
    places = {
        place
        for place in then.keys() | now.keys()
        if (place[0] == 0 or not other_images) and (end is None or place[0] < end)
    }
    differing = [
        f"cycle {place[0]}, no. {place[1]}: {name} {a!r}, now {b!r}"
        for place in sorted(places)
        for name, a, b in zip(parts, _parts(then.get(place)), _parts(now.get(place)), strict=False)
        if a != b
    ]
    return Reproduction(len(places & then.keys() & now.keys()), differing, other_images)


def _heldout(directory: Path) -> object:
    return RunDirectory(directory).manifest().content.get(heldout.FIELD)


async def _candidates(directory: Path) -> dict[tuple[int, int], Candidate]:
    found = await RunDirectory(directory).candidates()
    return {(c.cycle, c.index): c for c in found if c.cycle is not None and c.index is not None}


def _parts(candidate: Candidate | None) -> tuple[object, object, object]:
    """Pick what is to come out the same: the code, what was measured but for the time it took, and the verdict."""
    if candidate is None:
        return None, None, None
    e, j = candidate.evaluation, candidate.judgement
    measured = e and (e.outcome.value, e.accuracy, e.test_accuracy, e.parameters)
    return candidate.code_sha256, measured, j and (j.verdict.value, j.similarity, candidate.admitted)


def _changed(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key, value in then.items():
        if isinstance(value, Mapping) and isinstance(now.get(key), Mapping):
            yield from (f"{key}.{line}" for line in _changed(value, now[key]))
        elif value != now.get(key):
            yield f"{key}: {value}, now {now.get(key)}"
