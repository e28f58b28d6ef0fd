"""What people did to a run: kept in its manifest, and done again with it."""

from collections.abc import Mapping, Sequence
from typing import Any

from archloop.blobs import programs
from archloop.blobs.port import Blobs
from archloop.contracts.acts import Act, ActSpec
from archloop.contracts.spec import RunSpec
from archloop.validation import checked
from archloop_lab import manifests
from archloop_lab.run_directory import Records, RunDirectory
from services.registry.acts import listed
from services.registry.records import Cycle, Run

FIELD = "acts"
_WITHOUT_EFFECT = frozenset({"pause", "resume"})  # on what a run comes to


async def keep(directory: RunDirectory, records: Records, run_id: str) -> None:
    """Write into the manifest what people did to the run, if they did anything."""
    run = await records.store.run(run_id)
    if run is None or not run.acts:
        return
    cycles, content = await records.store.cycles(run_id), dict(directory.manifest().content)
    acts = [await _by_reference(each.act, records.blobs) for each in run.acts]
    content[FIELD] = [
        {"at": each.at.isoformat(), "cycle": cycle, "act": act.model_dump(mode="json")}
        for each, cycle, act in zip(run.acts, _taken_up(run, cycles), acts, strict=True)
    ]
    manifests.write(directory.manifest_file, {name: value for name, value in content.items() if name != manifests.SEAL})


def again(spec: RunSpec, manifest: Mapping[str, Any], source: str) -> RunSpec:
    """Return the spec of a run in which people's acts of the manifest's are planned. Raises InvalidInput."""
    acts = [{"cycle": each.get("cycle"), "act": each.get("act")} for each in manifest.get(FIELD, ())]
    planned = [checked(ActSpec, each, f"{source}: acts") for each in acts if each["cycle"] is not None]
    told = [each for each in planned if each.act.verb not in _WITHOUT_EFFECT]
    return spec.model_copy(update={"steering": (*spec.steering, *told)})


def ends_in(spec: RunSpec) -> int | None:
    """Return the cycle before which the run is to end; None where nobody cancelled it."""
    return min((each.cycle for each in spec.steering if each.act.verb == "cancel"), default=None)


async def bring(spec: RunSpec, source: RunDirectory, blobs: Blobs) -> None:
    """Copy the networks that people gave the run from where it was done before. Raises NotFound, IntegrityError."""
    for each in spec.steering:
        if each.act.code is not None:
            await programs.referred(blobs, await programs.text_of(each.act.code, source.blobs))


def _taken_up(run: Run, cycles: Sequence[Cycle]) -> list[int | None]:
    """Return which cycle took each act up; of a cancel, the first that was not closed any more."""
    closed = sum(cycle.closed is not None for cycle in cycles)
    return [closed if each.verb == "cancel" else each.cycle for each in listed(run.acts, cycles)]


async def _by_reference(act: Act, blobs: Blobs) -> Act:
    if act.code is None or act.code.text is None:
        return act
    return act.model_copy(update={"code": await programs.referred(blobs, act.code.text)})
