"""The `archloop` command. Each command is a few lines: it parses, calls, prints."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from archloop import __version__, presets
from archloop.contracts.spec import RunSpec
from archloop_cli import (
    confirming,
    data,
    doctor,
    environment,
    lemur,
    looking,
    measuring,
    model,
    parked,
    steering,
    terminal,
)
from archloop_cli.bars import bars
from archloop_cli.options import Json, check_run, run_name, without_effect
from archloop_lab import files
from archloop_lab.needs import Wanted
from archloop_lab.run_directory import RunDirectory

app = typer.Typer(no_args_is_help=True, rich_markup_mode="rich", help=__doc__)
app.add_typer(parked.app, name="parked")
app.add_typer(model.app, name="model")
app.add_typer(data.app, name="data")
app.add_typer(lemur.app, name="lemur")

Service = Literal["generator", "evaluator", "novelty", "trainer", "registry"]
Shown = Annotated[bool, typer.Option("--page/--no-page", help="Show it in a browser too, on this machine only.")]


@app.callback()
def archloop(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Run, look at and compare closed loops in which a code LLM designs neural networks."""


@app.command()
def run(
    context: typer.Context,
    preset: Annotated[str, typer.Option(help="A shipped preset, or a preset file.")] = "demo",
    cycles: Annotated[int | None, typer.Option(help="Instead of the preset's.")] = None,
    candidates: Annotated[int | None, typer.Option(help="Per cycle, instead of the preset's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Everything is derived from it.")] = None,
    protocol: Annotated[str | None, typer.Option(help="How candidates are scored.")] = None,
    base_model: Annotated[
        str | None, typer.Option("--model", help="A model that ships or can be fetched, a folder, or a hub id.")
    ] = None,
    pairs: Annotated[Path | None, typer.Option(help="JSON lines of prompt and completion to tune on first.")] = None,
    budget: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="End at tokens=…, wall_seconds=…, candidates=… and others.")
    ] = [],  # noqa: B006 - typer copies it
    frozen: Annotated[bool, typer.Option("--frozen", help="Never tune the LLM: the control run.")] = False,
    out: Annotated[Path | None, typer.Option(help="Directory of the run; runs/… by default.")] = None,
    server: Annotated[str | None, typer.Option(help="URL of a deployment's registry, to run there.")] = None,
    name: Annotated[str | None, typer.Option(callback=run_name, help="Name of the run at the server.")] = None,
    devices: Annotated[
        str, typer.Option(help="auto, cpu, or GPUs by number: 0,1. On this machine, for LLM, evaluators and trainer.")
    ] = "auto",
    backend: Annotated[
        str, typer.Option(help="What serves the LLM: auto, vllm, tgi, or cpu, our own server on any device.")
    ] = "auto",
    manifest: Annotated[
        Path | None, typer.Option("--from-manifest", help="Do again what the run of this manifest.json did.")
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Say what it does, takes and lacks, and start nothing.")] = False,
    shown: Shown = True,
    as_json: Json = False,
) -> None:
    """Run the closed loop and report: on this machine, with no servers, or at a deployment."""
    from archloop_cli import asking
    from archloop_lab import bootstrap_pairs, planning, reproduction

    check_run(context, plan=plan, manifest=manifest)
    wanted = asking.wanted(devices, backend, server)
    spec = asking.spec_of(
        asking.recorded(manifest) if manifest else presets.load(preset),
        cycles=cycles,
        candidates=candidates,
        seed=seed,
        protocol=protocol,
        base_model=base_model,
        frozen=frozen or None,
        budget=asking.limits(budget) or None,
    )
    pairs = pairs or (reproduction.pairs(manifest, spec) if manifest else None)
    spec = bootstrap_pairs.expected(spec) if pairs else spec
    if plan:
        raise typer.Exit(asking.show_plan(planning.plan(spec, pairs, wanted)))
    run_id = name or asking.default_run_id(spec)
    directory = out or asking.fresh_directory(run_id)
    if server:
        _drive_there(server, run_id, spec, directory, pairs)
    else:
        _drive_here(spec, directory, pairs, wanted, manifest, shown=shown)
    _conclude(directory, as_json)
    if manifest and not server:
        _compare(manifest.parent, directory)


def _drive_there(server: str, run_id: str, spec: RunSpec, directory: Path, pairs: Path | None) -> None:
    from archloop_cli import remote

    remote.drive(server, run_id, spec, directory, pairs)


def _drive_here(
    spec: RunSpec, directory: Path, pairs: Path | None, wanted: Wanted, manifest: Path | None, *, shown: bool
) -> None:
    from archloop_cli import runs

    before = RunDirectory(manifest.parent) if manifest else None
    runs.start(spec, directory, pairs, wanted, before=before, shown=shown)


def _compare(before: Path, again: Path) -> None:
    """Say what came out otherwise than in the run before; exit with 1 where anything did."""
    from archloop_lab import reproduction

    if found := reproduction.compared(before, again):
        for line in found.differing:
            terminal.say(line, mark="differs", style="red")
        if not found.differing:
            terminal.say(str(found))
        raise typer.Exit(int(bool(found.differing)))


@app.command()
def resume(
    directory: Annotated[Path, typer.Argument(metavar="RUN", help="Its directory; with --registry, its name.")],
    registry: looking.Url = None,
    shown: Shown = True,
    as_json: Json = False,
) -> None:
    """Go on with a run that was interrupted, however it was, or paused."""
    from archloop_cli import runs

    if steering.resumed(str(directory), registry):
        return
    runs.resume(directory, shown=shown)
    _conclude(directory, as_json)


@app.command()
def study(
    context: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A shipped study, or a study file.")],
    out: Annotated[Path | None, typer.Option(help="Directory of the study; studies/NAME by default.")] = None,
    at_once: Annotated[int, typer.Option(min=1, max=256, help="Runs at a time; one keeps two cores busy.")] = 1,
    plan: Annotated[bool, typer.Option("--plan", help="Say what runs take and lack, and start nothing.")] = False,
) -> None:
    """Run variants with several seeds, and report what differs; an interrupted study goes on."""
    from archloop_cli import asking
    from archloop_lab.study import studies

    if plan:
        without_effect(context, "with --plan, which starts nothing", "out", "at_once")
        raise typer.Exit(asking.show_plans(studies.plans(file)))
    directory = out or Path("studies") / Path(file).stem
    with bars() as advance:
        studies.run(file, directory, at_once, advance)
    terminal.say(f"report: {directory / 'report.html'}")


for _command in (
    *(measuring.transfer, measuring.proxy, confirming.confirm),
    *(looking.runs, looking.candidates, looking.show, looking.diff, looking.lineage, looking.adapters),
    *(looking.queues, looking.services),
    *(looking.acts, steering.pause, steering.cancel, steering.steer),
):
    app.command()(_command)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(metavar="RUN")],
    control: Annotated[Path | None, typer.Option(help="Directory of a frozen run to show beside it.")] = None,
) -> None:
    """Write a run's summary.json, its report and the tables beside it anew."""
    from archloop_lab import lock, run_report

    run = RunDirectory(directory)
    run.manifest()
    with lock.held(directory):
        asyncio.run(run_report.write(run, RunDirectory(control) if control else None))
    terminal.put(run.report_file)


@app.command()
def page(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="RUN…", help="Or a folder of them; runs/ by default.")
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="On this machine only; 0 is any that is free.")] = 8300,
) -> None:
    """Look at runs in a browser, finished or under way; Ctrl-C ends it."""
    from archloop_cli import page as pages

    pages.serve(runs or [], port)


app.command()(measuring.evaluate)
app.command()(measuring.novelty)


@app.command("doctor")
def diagnose(as_json: Json = False) -> None:
    """Check what this machine offers: sandbox, model, disk, GPUs and what would run on them."""
    raise typer.Exit(doctor.diagnose(as_json=as_json))


@app.command()
def serve(service: Annotated[Service, typer.Argument(help="Its settings are ARCHLOOP_<SERVICE>_… .")]) -> None:
    """Run one service as a process of its own, on the broker and the stores that its settings name."""
    os.execv(sys.executable, [sys.executable, "-m", f"services.{service}"])  # noqa: S606


@app.command()
def env(
    file: Annotated[Path, typer.Argument(help="Where compose reads it.")] = Path(".env"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file; servers keep the old secrets.")] = False,
) -> None:
    """Write the secrets of a compose deployment, made at random, into a file that only you read."""
    environment.write(file, replace=force)
    terminal.say(f"wrote {file}")


@app.command()
def version() -> None:
    """Print the version."""
    terminal.put(__version__)


def _conclude(directory: Path, as_json: bool) -> None:
    if as_json:
        terminal.put_json(files.read_json(RunDirectory(directory).summary_file))
    terminal.say(f"report: {directory / 'report.html'}")
