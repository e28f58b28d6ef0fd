"""The versions of the LLM: which continues which, what each was tuned on, who proved it, what it wrote."""

from collections.abc import Collection, Sequence
from typing import NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from archloop.contracts.adapter import AdapterManifest
from archloop.contracts.base import type_of
from archloop.contracts.messages import AdapterActivated, AdapterRejected
from archloop.errors import ArchloopError
from services.registry.acts import listed
from services.registry.control import steering
from services.registry.page import charts
from services.registry.page.charts import Chart
from services.registry.page.library import Entry
from services.registry.page.rendering import page
from services.registry.page.routing import DeskDep, PageRoute, frame, patience
from services.registry.records import Adapter, Cycle, Event, Run
from services.registry.statistics import trainings
from services.registry.statistics.summary import CycleSummary
from services.registry.statistics.trainings import Compared

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_TYPES = (type_of(AdapterActivated), type_of(AdapterRejected))


class Version(NamedTuple):
    """One adapter: what replicas said of it, its manifest where that can be read, and the cycles that it wrote.

    Where answers were compared, also how many different ones it learnt from and rejected.
    """

    adapter: Adapter
    proved_by: Sequence[str]
    refused_by: Sequence[tuple[str, str]]
    manifest: AdapterManifest | None
    wrote: Sequence[CycleSummary]
    loss: Chart | None
    depth: int
    compared: Compared | None


@router.get("/page/runs/{key}/lineage")
async def show(request: Request, desk: DeskDep, key: str) -> Response:
    """Show the run's adapters as a tree, and the networks that are edits of others."""
    entry = await desk.library.find(key)
    summary = (await desk.summaries.read(entry, patience(request))).summary
    cycles, opened = charts.begun(summary), await entry.shelf.store.cycles(entry.run.run_id)
    return page(
        "lineage.html",
        **frame(request),
        entry=entry,
        run=entry.run,
        base=[cycle for cycle in cycles if cycle.adapter is None],
        versions=await _versions(entry, cycles),
        writing=cycles[-1].adapter if cycles and entry.run.finished is None else "",
        revertible=_revertible(entry.run, opened),
        reverts=[act for act in listed(entry.run.acts, opened) if act.verb == "revert"],
        edits=[cycle for cycle in cycles if cycle.edits],
    )


def _revertible(run: Run, cycles: Sequence[Cycle]) -> Collection[str]:
    """Return the versions that may write a later cycle once more."""
    return () if run.spec.frozen or len(cycles) >= run.spec.cycles else steering.versions(run, cycles)


async def _versions(entry: Entry, cycles: Sequence[CycleSummary]) -> list[Version]:
    store = entry.shelf.store
    said = await store.events(run_id=entry.run.run_id, types=_TYPES)
    tuned = entry.run.spec.training.method
    compared = await trainings.compared(store, entry.shelf.blobs, entry.run.run_id) if tuned != "sft" else {}
    found: list[Version] = []
    depths: dict[str, int] = {}
    for adapter in await store.adapters(entry.run.run_id):
        name = adapter.adapter.adapter
        depths[name] = depths.get(adapter.parent or "", -1) + 1
        wrote = [cycle for cycle in cycles if cycle.adapter == name]
        loss = charts.loss([("training loss", adapter.loss_curve)])
        proved, refused = _proved(said, name), _refused(said, name)
        told = await _manifest(entry, adapter)
        pairs = compared.get(adapter.cycle)
        found.append(Version(adapter, proved, refused, told, wrote, loss, depths[name], pairs))
    return found


def _proved(said: Sequence[Event], name: str) -> list[str]:
    activated = type_of(AdapterActivated)
    return [str(e.data["replica"]) for e in said if e.type == activated and e.data["adapter"] == name]


def _refused(said: Sequence[Event], name: str) -> list[tuple[str, str]]:
    rejected = type_of(AdapterRejected)
    found = [e.data for e in said if e.type == rejected and e.data["adapter"] == name]
    return [(str(data["replica"]), str(data["reason"])) for data in found]


async def _manifest(entry: Entry, adapter: Adapter) -> AdapterManifest | None:
    try:
        content = await entry.shelf.blobs.get(adapter.adapter.manifest)
        return AdapterManifest.model_validate_json(content)
    except (ArchloopError, ValidationError):
        return None
