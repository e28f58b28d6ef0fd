"""`archloop run` and `archloop resume`: drive one run in embedded mode from wherever it is to its end."""

import asyncio
import itertools
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from rich.table import Table

from archloop import presets, protocols, templates
from archloop.contracts.spec import RunSpec
from archloop.errors import Conflict, InvalidInput
from archloop.models import FETCHED
from archloop_cli import confirming, layout, page, terminal
from archloop_cli.embedded import composed
from archloop_cli.guard import DiskFull, Guard
from archloop_cli.layout import Layout
from archloop_cli.logfile import logged
from archloop_cli.progress import Progress, cycle_table
from archloop_lab import base_models, bootstrap_pairs, folders, heldout, lock, manifests, steered
from archloop_lab.needs import ANY, Wanted
from archloop_lab.planning import Missing, Plan
from archloop_lab.run_directory import RunDirectory
from services.registry.statistics.summary import Summary, summarise

_POLL_S = 0.4


def spec_of(base: RunSpec, **overrides: Any) -> RunSpec:
    """Apply to the preset what the command line says otherwise. Raises NotFound, InvalidInput."""
    chosen = base.model_dump() | {k: v for k, v in overrides.items() if v is not None}
    spec = presets.checked(chosen, source="command line")
    protocols.load(spec.protocol)
    templates.known(spec.generation.template)
    return spec


def limits(given: Sequence[str]) -> dict[str, str]:
    """Read a budget as the command line has it, NAME=VALUE. Raises InvalidInput for what is no such pair."""
    pairs = [each.partition("=") for each in given]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise InvalidInput("--budget", f"{name}{sign}{value}", "NAME=VALUE, for instance tokens=1000000")
    named = {name: value for name, _, value in pairs}
    if len(named) < len(pairs):
        raise InvalidInput("--budget", " ".join(given), "each limit once")
    return named


def wanted(devices: str, backend: str, server: str | None) -> Wanted:
    """Read `--devices` and `--backend`, which are of this machine. Raises InvalidInput."""
    made = Wanted.of(devices, backend)
    if server is not None and made != ANY:
        given = "--devices" if devices != "auto" else "--backend"
        raise InvalidInput(given, devices if devices != "auto" else backend, "none with --server, which has its own")
    return made


def default_run_id(spec: RunSpec) -> str:
    """Name a run readably, and the same for the same request."""
    return f"{spec.preset}-s{spec.seed}" + ("-frozen" if spec.frozen else "")


def fresh_directory(run_id: str) -> Path:
    """Return the first of runs/ID, runs/ID-2, … that is not there yet."""
    names = itertools.chain([run_id], (f"{run_id}-{n}" for n in itertools.count(2)))
    return next(path for name in names if not (path := Path("runs") / name).exists())


def start(
    spec: RunSpec,
    directory: Path,
    pairs: Path | None = None,
    wanted: Wanted = ANY,
    *,
    before: RunDirectory | None = None,
    shown: bool = True,
) -> Summary:
    """Begin a run in a new directory, on `pairs` first if there are any. Raises Conflict where a run is there.

    `before` is the run that is done again, with the networks that people gave it.
    What can be wrong, or does not fit this machine, is looked at before anything is written.
    """
    found = bootstrap_pairs.read(pairs) if pairs is not None else None
    if found is None:
        bootstrap_pairs.require(spec)
    refuse_taken(directory)
    heldout.here()
    placement = layout.laid_out(spec, wanted)
    if spec.base_model in FETCHED:
        with terminal.working(f"fetching {spec.base_model}, the first time only"):
            base_models.fetched(spec.base_model)
    run = RunDirectory(directory)
    with folders.begun(directory, unless=run.manifest_file.name), lock.held(directory):
        _refuse_begun(directory)
        Guard(directory).check_disk(begun=False)
        if found is not None:
            spec = bootstrap_pairs.stored(spec, found, run.blobs)
        if before is not None:
            asyncio.run(steered.bring(spec, before, run.blobs))
        content = manifests.content_of(default_run_id(spec), spec) | layout.recorded(placement, wanted)
        manifests.write(run.manifest_file, content)
        return _go_on(directory, shown=shown)


def refuse_taken(directory: Path) -> None:
    """Raise Conflict where a run is there, or is just begun; of one that is under way it says by whom."""
    folders.refuse_shared(directory)
    lock.refuse_held(directory)
    _refuse_begun(directory)


def _refuse_begun(directory: Path) -> None:
    if RunDirectory(directory).manifest_file.exists():
        raise Conflict(
            f"{directory} holds a run already: `archloop resume {directory}` goes on with it, or choose another --out"
        )


def resume(directory: Path, *, shown: bool = True) -> Summary:
    """Bring the run in this directory to its end, from wherever it is. Raises NotFound, IntegrityError, Conflict."""
    RunDirectory(directory).manifest()
    with lock.held(directory):
        return _go_on(directory, shown=shown)


def report(directory: Path, control: Path | None = None) -> None:
    """Write the report of the run in this directory anew. Raises NotFound, IntegrityError, Conflict."""
    from archloop_lab import run_report

    RunDirectory(directory).manifest()
    with lock.held(directory):
        asyncio.run(run_report.write(RunDirectory(directory), RunDirectory(control) if control else None))


def show_plan(made: Plan) -> int:
    """Print what a run will do and take; 1 where something is missing."""
    for title, lines in (("what it does", made.steps), ("what it takes", made.costs), ("where", made.places)):
        table = Table(title=title, title_justify="left", show_header=False, box=None)
        for line in lines:
            table.add_row(*line)
        terminal.show(table)
    return _show_missing(made.missing)


def show_plans(made: Mapping[str, Plan]) -> int:
    """Print what one run of each variant will take; 1 where something is missing."""
    table = Table(title="what a run takes, by variant", title_justify="left", show_header=False, box=None)
    for variant, plan in made.items():
        for title, cost in plan.costs:
            table.add_row(variant, title, cost)
    terminal.show(table)
    return _show_missing(dict.fromkeys(each for plan in made.values() for each in plan.missing))


def _show_missing(missing: Collection[Missing]) -> int:
    for each in missing:
        terminal.put(f"missing {each.what}: {each.how}")
    if not missing:
        terminal.put("nothing is missing")
    return int(bool(missing))


def recorded(path: Path) -> RunSpec:
    """Read the spec of a manifest's run, and say what is otherwise here. Raises NotFound, IntegrityError."""
    from archloop_lab import reproduction

    found = reproduction.recorded(path)
    for line in found.unlike:
        terminal.say(line, mark="unlike then", style="yellow")
    tell_heldout(found.other_images)
    return found.spec


def tell_heldout(line: str | None) -> None:
    """Say so where a manifest's run was scored on other images than are held out here."""
    if line is not None:
        terminal.say(line, mark="other held-out images", style="yellow")


def _go_on(directory: Path, *, shown: bool) -> Summary:
    run = RunDirectory(directory)
    stored = run.manifest()
    tell_heldout(heldout.otherwise(stored.content))
    Guard(directory).check_disk()
    placement = layout.laid_out(stored.spec, layout.asked_for(stored.content))
    layout.say(placement)
    try:
        with logged(run.log_file):
            return asyncio.run(_drive(stored.run_id, Layout(placement, stored.spec, directory), run, shown=shown))
    except KeyboardInterrupt as end:
        end.add_note(f"nothing recorded is lost: `archloop resume {directory}` goes on")
        raise
    except Exception as error:
        if (full := _full(error)) is not None and full is not error:
            raise full from None
        with suppress(OSError):  # the folder may be gone
            Guard(directory).check_disk()  # what fails for want of room says so in many ways
        raise


def _full(error: BaseException | None) -> DiskFull | None:
    """Find the guard's error behind another one, where closing what was open failed for the same reason."""
    while error is not None and not isinstance(error, DiskFull):
        error = error.__context__
    return error


async def _drive(run_id: str, laid_out: Layout, run: RunDirectory, *, shown: bool) -> Summary:
    from archloop_lab import run_report  # it takes seconds to import

    spec = laid_out.spec
    terminal.say(f"{run_id}: {spec.cycles} cycles × {spec.candidates} candidates on {spec.protocol}, in {run.path}")
    reason = await _over(run_id, run) or await _brought_to_its_end(run_id, laid_out, run, shown=shown)
    if spec.confirm is not None:
        await confirming.at_the_end(run, spec.confirm, laid_out.evaluator)
    summary = await run_report.write(run)
    terminal.draw(cycle_table(summary, title=f"{run_id}: {reason}"))
    return summary


async def _over(run_id: str, run: RunDirectory) -> str | None:
    """Return why the run ended, if it did: nothing need be started for it then. Raises IntegrityError."""
    async with run.rows() as store:
        await run.agreed(store)
        recorded = await store.run(run_id)
    return recorded.reason if recorded is not None else None


async def _brought_to_its_end(run_id: str, laid_out: Layout, run: RunDirectory, *, shown: bool) -> str:
    progress = Progress(run_id, laid_out.spec)
    async with composed(run.path, laid_out) as loop, page.beside(loop.api, run_id, shown=shown):
        await loop.request(run_id, laid_out.spec)
        async with progress.following(partial(summarise, loop.store, run_id)) as refresh:
            guard = Guard(run.path, frozenset(parked.id for parked in await loop.bus.parked()))
            while (reason := await loop.finished(run_id)) is None:
                await asyncio.sleep(_POLL_S)
                await guard.check(loop)
                await refresh()
    return reason
