"""What the command line asks a run to be: its spec, its name and its folder, and the plan of what it takes."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from archloop import presets
from archloop.contracts.spec import RunSpec
from archloop.errors import Conflict, InvalidInput
from archloop_cli import terminal
from archloop_lab import folders, lock
from archloop_lab.needs import ANY, Wanted
from archloop_lab.planning import Missing, Plan
from archloop_lab.run_directory import RunDirectory


def spec_of(base: RunSpec, **overrides: Any) -> RunSpec:
    """Apply to the preset what the command line says otherwise. Raises NotFound, InvalidInput."""
    chosen = base.model_dump() | {k: v for k, v in overrides.items() if v is not None}
    return presets.resolved(chosen, source="command line")


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


def refuse_taken(directory: Path) -> None:
    """Raise Conflict where a run is there, or is just begun; of one that is under way it says by whom."""
    folders.refuse_shared(directory)
    lock.refuse_held(directory)
    refuse_begun(directory)


def refuse_begun(directory: Path) -> None:
    """Raise Conflict where the directory has a manifest."""
    if RunDirectory(directory).manifest_file.exists():
        raise Conflict(
            f"{directory} holds a run already: `archloop resume {directory}` goes on with it, or choose another --out"
        )


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
