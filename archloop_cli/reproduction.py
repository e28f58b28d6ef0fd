"""`archloop run --from-manifest`: a run done again, and what of it came out otherwise."""

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from archloop.contracts.spec import RunSpec
from archloop.errors import InvalidInput, NotFound
from archloop_cli import heldout, manifests, outputs, terminal
from archloop_cli.embedded import REGISTRY_FILE
from services.registry.records import Candidate, CandidateQuery
from services.registry.sqlite import SqliteStore

_PARTS = ("candidates", "evaluations", "verdicts")
_BINDING = ("protocol", "base_model")
_TELLING = ("archloop", "libraries", "machine")


class Comparison(NamedTuple):
    """Of two runs: how many candidates both have, and in which place what differs.

    Scored on `other_images`, only what is written before the first score is to be the same: the first cycle.
    """

    shared: int
    differing: list[str]
    other_images: bool = False

    def show(self) -> None:
        """In a line, or one for each difference."""
        if not self.differing and self.other_images:
            terminal.say(f"equal in all {self.shared} candidates of the first cycle; scored on other held-out images")
        elif not self.differing:
            terminal.say(f"equal in all {self.shared} candidates, evaluations and verdicts")
        for line in self.differing:
            terminal.say(line, mark="differs", style="red")


def recorded(path: Path) -> RunSpec:
    """What the manifest's run was asked to be. Other libraries or machines than its own are named, not refused.

    Raises NotFound, InvalidInput where the protocol or the base model is another one now, Misconfigured.
    """
    if not path.is_file():
        raise NotFound("manifest", str(path))
    run_id, spec, then = manifests.read(path)
    now = outputs.manifest(run_id, spec)
    for part in _BINDING:
        if now[part]["sha256"] != (then.get(part) or {}).get("sha256"):
            raise InvalidInput(f"{path.name}: {part}", then.get(part), f"sha256 {now[part]['sha256']}, the one here")
    for line in _changed({key: then.get(key) for key in _TELLING}, now):
        terminal.say(line, mark="unlike then", style="yellow")
    heldout.tell(then)
    return spec


def pairs(path: Path, spec: RunSpec) -> Path | None:
    """The file of pairs that the manifest's run began with, if it began with any and they lie beside it."""
    if spec.bootstrap is None or spec.bootstrap.pairs is None:
        return None
    found = path.parent / "blobs" / spec.bootstrap.pairs.key
    return found if found.is_file() else None


def compared(original: Path, repeated: Path) -> Comparison | None:
    """The two runs of these directories, candidate by candidate; None where the original is not there any more."""
    if not (original / REGISTRY_FILE).is_file():
        return None
    then, now = (asyncio.run(_candidates(directory)) for directory in (original, repeated))
    other_images = _heldout(original) != _heldout(repeated)
    parts = _PARTS[:1] if other_images else _PARTS
    places = {place for place in then.keys() | now.keys() if place[0] == 0 or not other_images}
    differing = [
        f"cycle {place[0]}, no. {place[1]}: {name} {a!r}, now {b!r}"
        for place in sorted(places)
        for name, a, b in zip(parts, _parts(then.get(place)), _parts(now.get(place)), strict=False)
        if a != b
    ]
    return Comparison(len(places & then.keys() & now.keys()), differing, other_images)


def _heldout(directory: Path) -> object:
    return manifests.of(directory).content.get(heldout.FIELD)


async def _candidates(directory: Path) -> dict[tuple[int, int], Candidate]:
    store = SqliteStore(directory / REGISTRY_FILE)
    try:
        found = (await store.candidates(CandidateQuery())).items
    finally:
        await store.close()
    return {(c.cycle, c.index): c for c in found if c.cycle is not None and c.index is not None}


def _parts(candidate: Candidate | None) -> tuple[object, object, object]:
    """What is to come out the same: the code, what was measured but for the time it took, and the verdict."""
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
