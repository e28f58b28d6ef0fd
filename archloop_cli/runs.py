"""`archloop run` and `archloop resume`: drive one run in embedded mode from wherever it is to its end."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from archloop import presets, protocols, templates
from archloop.blobs.directory import DirectoryBlobs
from archloop.contracts.spec import RunSpec
from archloop.errors import Conflict, IntegrityError, InvalidInput, NotFound
from archloop.models import FETCHED
from archloop_cli import bootstrap, heldout, lock, manifests, places, terminal
from archloop_cli.embedded import REGISTRY_FILE, composed
from archloop_cli.guard import DiskFull, Guard
from archloop_cli.logfile import logged
from archloop_cli.model import fetched
from archloop_cli.outputs import manifest, write_json
from archloop_cli.progress import Progress, cycle_table
from services.registry.pairs import text_of
from services.registry.records import CandidateQuery
from services.registry.sqlite import SqliteStore
from services.registry.summary import Summary, summarise

MANIFEST = manifests.FILE
SUMMARY = "summary.json"
_POLL_S = 0.4


def spec_of(base: RunSpec, **overrides: Any) -> RunSpec:
    """The preset with what the command line says otherwise. Raises NotFound, InvalidInput."""
    chosen = base.model_dump() | {k: v for k, v in overrides.items() if v is not None}
    spec = presets.checked(chosen, source="command line")
    protocols.load(spec.protocol)
    templates.known(spec.generation.template)
    return spec


def limits(given: Sequence[str]) -> dict[str, str]:
    """A budget as the command line has it, NAME=VALUE. Raises InvalidInput for what is no such pair."""
    pairs = [each.partition("=") for each in given]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise InvalidInput("--budget", f"{name}{sign}{value}", "NAME=VALUE, for instance tokens=1000000")
    return {name: value for name, _, value in pairs}


def default_run_id(spec: RunSpec) -> str:
    """Readable, and the same for the same request."""
    return f"{spec.preset}-s{spec.seed}" + ("-frozen" if spec.frozen else "")


def fresh_directory(run_id: str) -> Path:
    """The first of runs/ID, runs/ID-2, … that is not there yet."""
    names = itertools.chain([run_id], (f"{run_id}-{n}" for n in itertools.count(2)))
    return next(path for name in names if not (path := Path("runs") / name).exists())


def start(spec: RunSpec, directory: Path, pairs: Path | None = None) -> Summary:
    """Begin a run in a new directory, on `pairs` first if there are any. Raises Conflict where a run is there.

    What can be wrong is looked at before anything is written.
    """
    lines = bootstrap.read(pairs) if pairs is not None else None
    if lines is None:
        bootstrap.require(spec)
    refuse_taken(directory)
    heldout.here()
    if spec.base_model in FETCHED:
        with terminal.working(f"fetching {spec.base_model}, the first time only"):
            fetched(spec.base_model)
    with places.begun(directory, unless=MANIFEST), lock.held(directory):
        _refuse_begun(directory)
        Guard(directory).check_disk(begun=False)
        if lines is not None:
            spec = bootstrap.stored(spec, lines, directory)
        manifests.write(directory, manifest(default_run_id(spec), spec))
        return _go_on(directory)


def refuse_taken(directory: Path) -> None:
    """Raises Conflict where a run is there, or is just begun; of one that is under way it says by whom."""
    lock.refuse_held(directory)
    _refuse_begun(directory)


def _refuse_begun(directory: Path) -> None:
    if (directory / MANIFEST).exists():
        raise Conflict(
            f"{directory} holds a run already: `archloop resume {directory}` goes on with it, or choose another --out"
        )


def resume(directory: Path) -> Summary:
    """Bring the run in this directory to its end, from wherever it is. Raises NotFound, IntegrityError, Conflict."""
    manifests.of(directory)
    with lock.held(directory):
        return _go_on(directory)


def report(directory: Path, control: Path | None = None) -> None:
    """Write the report of the run in this directory anew. Raises NotFound, IntegrityError, Conflict."""
    manifests.of(directory)
    with lock.held(directory):
        asyncio.run(report_on(directory, control))


def stored_run(directory: Path) -> tuple[str, RunSpec]:
    """Name and spec of the run that a directory holds. Raises NotFound, IntegrityError."""
    stored = manifests.of(directory)
    return stored.run_id, stored.spec


def _go_on(directory: Path) -> Summary:
    stored = manifests.of(directory)
    heldout.tell(stored.content)
    Guard(directory).check_disk()
    try:
        with logged(directory / "log.jsonl"):
            return asyncio.run(_drive(stored.run_id, stored.spec, directory))
    except KeyboardInterrupt as end:
        end.add_note(f"nothing recorded is lost: `archloop resume {directory}` goes on")
        raise
    except Exception as error:
        if (full := _full(error)) is not None and full is not error:
            raise full from None
        raise


def _full(error: BaseException | None) -> DiskFull | None:
    """The guard's word, where closing what was open failed for the same reason."""
    while error is not None and not isinstance(error, DiskFull):
        error = error.__context__
    return error


async def _drive(run_id: str, spec: RunSpec, directory: Path) -> Summary:
    terminal.say(f"{run_id}: {spec.cycles} cycles × {spec.candidates} candidates on {spec.protocol}, in {directory}")
    progress = Progress(run_id, spec)
    async with composed(directory, spec.base_model) as loop:
        await manifests.agreed(directory, loop.store)
        await loop.request(run_id, spec)
        async with progress.following(partial(summarise, loop.store, run_id)) as refresh:
            guard = Guard(directory, frozenset(parked.id for parked in await loop.bus.parked()))
            while (reason := await loop.finished(run_id)) is None:
                await asyncio.sleep(_POLL_S)
                await guard.check(loop)
                await refresh()
    summary = await report_on(directory)
    terminal.draw(cycle_table(summary, title=f"{run_id}: {reason}"))
    return summary


async def report_on(directory: Path, control: Path | None = None) -> Summary:
    """Write summary.json and the report from what is recorded, finished or not; `control` is a frozen run's folder."""
    from archloop_cli import analysis, controls, report

    store = SqliteStore(directory / REGISTRY_FILE)
    try:
        run_id, _, content = await manifests.agreed(directory, store)
        summary = await summarise(store, run_id)
        page = await store.candidates(CandidateQuery(run_id=run_id))
        candidates = [candidate.model_dump(mode="json") for candidate in page.items if candidate.submission is None]
        blobs = DirectoryBlobs(directory / "blobs")
        codes = await _codes(store, blobs, report.showcase(candidates))
        trainings = await _trainings(store, blobs, run_id)
        found = await analysis.of_run(store, blobs, run_id)
    finally:
        await store.close()
    beside = await controls.read(control) if control else None
    told = found.within(summary.model_dump(mode="json"))
    write_json(directory / SUMMARY, told)
    report.write(
        told,
        candidates,
        directory / "report.html",
        codes=codes,
        manifest=content,
        control=beside,
        trainings=trainings,
        memorized=found.nearest,
    )
    return summary


async def _codes(store: SqliteStore, blobs: DirectoryBlobs, candidate_ids: Sequence[str]) -> dict[str, str]:
    sources = {name: await store.source(name) for name in candidate_ids}
    return {name: await text_of(source.code, blobs) for name, source in sources.items() if source is not None}


async def _trainings(store: SqliteStore, blobs: DirectoryBlobs, run_id: str) -> dict[int, dict[str, Any]]:
    """What the manifests of the run's adapters say, and how long each took; a damaged one says nothing."""
    found = {}
    for adapter in await store.adapters(run_id):
        with contextlib.suppress(NotFound, IntegrityError):
            manifest = json.loads(await blobs.get(adapter.adapter.manifest))
            found[adapter.cycle] = {**manifest, "seconds": adapter.seconds}
    return found
