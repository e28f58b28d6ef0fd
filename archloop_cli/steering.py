"""Commands that steer a run, in its directory or at a deployment's registry, while it goes on or before it does."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from archloop import sources
from archloop.errors import ArchloopError, InvalidInput, NotFound
from archloop_cli import terminal, walking
from archloop_cli.looking import Run, Url, opened
from archloop_lab import lock
from archloop_lab.run_directory import RunDirectory

Candidates = Annotated[list[str], typer.Option(metavar="CANDIDATE", help="CYCLE/INDEX or id; may be repeated.")]


def pause(run: Run, registry: Url = None) -> None:
    """Have a run ask for nothing new; what is under way ends and is counted."""
    _do(run, registry, [{"verb": "pause"}])
    terminal.say(f"{run} is paused; `archloop resume {run}` lets it go on")


def cancel(run: Run, registry: Url = None) -> None:
    """End a run now, also within a cycle; what is not settled by then is not counted."""
    _do(run, registry, [{"verb": "cancel"}])
    terminal.say(f"{run} is cancelled")


def resumed(run: str, registry: str | None) -> bool:
    """Take back a pause; return whether a run goes on by that alone: at a registry, or in another process.

    Raises NotFound, Conflict, Refused.
    """
    if registry is None and not asyncio.run(_is_paused(run)):
        return False
    _do(run, registry, [{"verb": "resume"}])
    terminal.say(f"{run} is not paused any more")
    return registry is not None or lock.is_held(Path(run))


async def _is_paused(run: str) -> bool:
    if not RunDirectory(Path(run)).registry_file.is_file():
        return False
    try:
        async with opened(run, None) as (known, _):
            return any(each.status == "paused" for each in await known.runs())
    except NotFound:  # killed before anything of it was on record
        return False


def steer(
    run: Run,
    changes: Annotated[
        list[str] | None, typer.Argument(metavar="NAME=VALUE…", help="candidates=32, generation.temperature=0.7, …")
    ] = None,
    pin: Candidates = [],  # noqa: B006 - typer copies it
    ban: Candidates = [],  # noqa: B006
    release: Candidates = [],  # noqa: B006
    submit: Annotated[list[Path], typer.Option(metavar="FILE", help="A network of one's own; may be repeated.")] = [],  # noqa: B006
    revert: Annotated[
        str | None, typer.Option(metavar="ADAPTER", help="One that wrote an earlier cycle, or the base model's name.")
    ] = None,
    comment: Annotated[str, typer.Option(help="Why, for who reads the acts.")] = "",
    registry: Url = None,
) -> None:
    """Change what a run asks for from its next cycle on: settings, exemplars, networks of one's own, the adapter."""
    from archloop.contracts.values import SourceCode

    wanted: list[dict[str, Any]] = [{"verb": "change", "changes": _changes(changes)}] if changes else []
    for verb, names in (("pin", pin), ("ban", ban), ("release", release)):
        wanted += [{"verb": verb, "candidate": name} for name in names]
    wanted += [{"verb": "submit", "code": SourceCode.inline(_network(path))} for path in submit]
    wanted += [{"verb": "revert", "adapter": revert}] if revert is not None else []
    if not wanted:
        raise InvalidInput("NAME=VALUE…", "", "at least one change, or --pin, --ban, --release, --submit or --revert")
    _do(run, registry, [each | {"comment": comment} for each in wanted])
    terminal.say(f"{run}: its next cycle takes it up")


def _network(path: Path) -> str:
    """Read a network. Raises InvalidInput that names the file."""
    try:
        text = sources.of_file(walking.read(path))
    except sources.UndecodableSource as error:
        raise InvalidInput("--submit", str(path), f"a network in Python; {error}") from error
    if not text.strip():
        raise InvalidInput("--submit", str(path), "a network in Python; the file is empty")
    return text


def _changes(given: Sequence[str]) -> dict[str, Any]:
    """Read NAME=VALUE pairs as the nested fields of a spec. Raises InvalidInput for what is no such pair."""
    from archloop.validation import parsed

    found: dict[str, Any] = {}
    for each in given:
        name, sign, value = each.partition("=")
        if not (name and sign and value):
            raise InvalidInput("NAME=VALUE…", each, "NAME=VALUE, for instance generation.temperature=0.7")
        section, _, field = name.partition(".")
        inner = found.setdefault(section, {}) if field else found
        if not isinstance(inner, dict) or (field or section) in inner:
            raise InvalidInput("NAME=VALUE…", each, "each name once")
        inner[field or section] = _value(name, value, parsed)
    return found


def _value(name: str, value: str, parsed: Any) -> Any:
    return value.split(",") if name == "generation.families" else parsed(value, name)


def _do(run: str, registry: str | None, acts: Sequence[dict[str, Any]]) -> None:
    """Put the acts on record, one after the other, once all names are known.

    Raises NotFound, Conflict, InvalidInput, Refused; what was on record by then is told with it.
    """
    from archloop.contracts.acts import Act
    from archloop.validation import checked
    from archloop_lab.walks import named

    made = [checked(Act, each, "steer") for each in acts]

    async def act() -> None:
        async with opened(run, registry) as (known, run_id):
            places = {each.candidate: await named(known, run_id, each.candidate) for each in made if each.candidate}
            for done, each in enumerate(made):
                about = {"candidate": places[each.candidate].candidate_id} if each.candidate else {}
                try:
                    await known.steer(run_id, each.model_copy(update=about))
                except ArchloopError as error:
                    if done:
                        error.add_note(f"on record before it: {', '.join(before.verb for before in made[:done])}")
                    raise

    asyncio.run(act())
