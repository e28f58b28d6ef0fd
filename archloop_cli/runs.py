"""`archloop run` and `archloop resume`: drive one run in embedded mode from wherever it is to its end."""

import asyncio
from contextlib import suppress
from functools import partial
from pathlib import Path

from archloop.contracts.spec import RunSpec
from archloop.models import FETCHED
from archloop_cli import asking, confirming, layout, page, terminal
from archloop_cli.embedded import composed
from archloop_cli.guard import DiskFull, Guard
from archloop_cli.layout import Layout
from archloop_cli.logfile import logged
from archloop_cli.progress import Progress, cycle_table
from archloop_lab import base_models, bootstrap_pairs, folders, heldout, lock, manifests, steered
from archloop_lab.needs import ANY, Wanted
from archloop_lab.run_directory import RunDirectory
from services.registry.statistics.summary import Summary, summarise

_POLL_S = 0.4


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
    asking.refuse_taken(directory)
    heldout.here()
    placement = layout.laid_out(spec, wanted)
    if spec.base_model in FETCHED:
        with terminal.working(f"fetching {spec.base_model}, the first time only"):
            base_models.fetched(spec.base_model)
    run = RunDirectory(directory)
    with folders.begun(directory, unless=run.manifest_file.name), lock.held(directory):
        asking.refuse_begun(directory)
        Guard(directory).check_disk(begun=False)
        if found is not None:
            spec = bootstrap_pairs.stored(spec, found, run.blobs)
        if before is not None:
            asyncio.run(steered.bring(spec, before, run.blobs))
        content = manifests.content_of(asking.default_run_id(spec), spec) | layout.recorded(placement, wanted)
        manifests.write(run.manifest_file, content)
        return _go_on(directory, shown=shown)


def resume(directory: Path, *, shown: bool = True) -> Summary:
    """Bring the run in this directory to its end, from wherever it is. Raises NotFound, IntegrityError, Conflict."""
    RunDirectory(directory).manifest()
    with lock.held(directory):
        return _go_on(directory, shown=shown)


def _go_on(directory: Path, *, shown: bool) -> Summary:
    run = RunDirectory(directory)
    stored = run.manifest()
    asking.tell_heldout(heldout.otherwise(stored.content))
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
