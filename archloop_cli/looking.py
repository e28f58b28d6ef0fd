"""Commands that look at runs, in their directories or at a deployment's registry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from pydantic import BaseModel

from archloop.errors import NotFound
from archloop_cli import terminal
from archloop_cli.options import MOST, CliSettings, JsonLines, finite

T = TypeVar("T")
Run = Annotated[str, typer.Argument(metavar="RUN", help="Its directory; with --registry, its name.")]
Name = Annotated[str, typer.Argument(metavar="CANDIDATE", help="CYCLE/INDEX, its id, or the beginning of that.")]
Deployment = Annotated[str, typer.Option("--registry", metavar="URL", help="A deployment's registry.")]
Url = Annotated[str | None, typer.Option("--registry", metavar="URL", help="A deployment's registry, to look there.")]


@asynccontextmanager
async def opened(run: str, url: str | None) -> AsyncIterator[tuple[Any, str]]:
    """Open the registry and tell the run's name there, with the token of the command's settings."""
    from archloop_lab import registries

    async with registries.opened(run, url, CliSettings.load().token) as found:
        yield found


def _read(run: str, url: str | None, ask: Callable[[Any, str], Awaitable[T]]) -> T:
    """Ask the registry of the run, told its name there."""

    async def read() -> T:
        async with opened(run, url) as (known, run_id):
            return await ask(known, run_id)

    return asyncio.run(read())


def runs(
    directories: Annotated[
        list[str] | None, typer.Argument(metavar="RUN…", help="Directories; runs/* if none.")
    ] = None,
    registry: Url = None,
    as_json: JsonLines = False,
) -> None:
    """List runs, latest first: how they go, and how large they are."""
    found = asyncio.run(_runs(directories or [], registry))
    rows = [
        (each.run_id, each.status, f"{each.created:%F %T}", f"{each.spec.cycles} x {each.spec.candidates}", each.reason)
        for each in found
    ]
    _put(("run", "status", "created", "cycles x candidates", "reason"), rows, found, as_json)


async def _runs(directories: list[str], registry: str | None) -> list[Any]:
    if registry is not None:
        async with opened("", registry) as (remote, _):
            return list(await remote.runs())
    found: list[Any] = []
    for each in directories or [str(path.parent) for path in sorted(Path("runs").glob("*/registry.sqlite"))]:
        async with opened(each, None) as (local, _):
            found += await local.runs()
    if not found:
        raise NotFound("run directory (one with a registry.sqlite)", "runs/*")
    return sorted(found, key=lambda run: run.created, reverse=True)


def candidates(
    run: Run,
    registry: Url = None,
    cycle: Annotated[int | None, typer.Option(min=0, help="Of this cycle only.")] = None,
    outcome: Annotated[str | None, typer.Option(help="With this outcome only: ok, timeout, …")] = None,
    verdict: Annotated[str | None, typer.Option(help="With this verdict only: novel, …")] = None,
    family: Annotated[str | None, typer.Option(help="Of this family only.")] = None,
    min_accuracy: Annotated[float | None, typer.Option(min=0.0, max=1.0, callback=finite)] = None,
    code: Annotated[
        str | None, typer.Option(help="With each of these words in its code, or one that begins so.")
    ] = None,
    error: Annotated[
        str | None, typer.Option(help="With each of these words in its error, or one that begins so.")
    ] = None,
    sort: Annotated[str, typer.Option(help="index, accuracy or similarity; -accuracy is the best first.")] = "index",
    limit: Annotated[int, typer.Option(min=1, max=MOST, help="So many at most.")] = 100,
    as_json: JsonLines = False,
) -> None:
    """List a run's candidates: what became of each."""
    from archloop.validation import checked
    from archloop_lab.walks import place
    from services.registry.records import CandidateQuery

    asked: dict[str, object] = {
        "cycle": cycle,
        "outcome": outcome,
        "verdict": verdict,
        "family": family,
        "min_accuracy": min_accuracy,
    }
    asked |= {"code": code, "error": error}
    query = checked(CandidateQuery, asked | {"sort": sort, "limit": limit}, "candidates")

    found = _read(run, registry, lambda known, run_id: known.found(query.model_copy(update={"run_id": run_id})))
    _put(
        ("candidate", "id", *_MEASURED), [(place(c), c.candidate_id[:8], *_measured(c)) for c in found], found, as_json
    )


_MEASURED = ("outcome", "accuracy", "verdict", "family", "admitted", "parent")


def _measured(c: Any) -> tuple[object, ...]:
    from archloop_cli.listing import share

    outcome = c.evaluation.outcome.value if c.evaluation else "lost" if c.lost else f"awaits {c.awaits}"
    judged = (c.judgement.verdict.value, c.judgement.family.value) if c.judgement else (None, None)
    accuracy = share(c.evaluation.accuracy if c.evaluation else None)
    return outcome, accuracy, *judged, "yes" if c.admitted else "no", c.parent and c.parent[:8]


def show(
    run: Run,
    candidate: Name,
    registry: Url = None,
    as_json: JsonLines = False,
) -> None:
    """Show one candidate whole: what was measured, and its code."""
    from archloop_cli.listing import cell
    from archloop_lab.walks import named, place

    async def ask(known: Any, run_id: str) -> tuple[Any, str]:
        found = await named(known, run_id, candidate)
        return found, await known.code(found.candidate_id) if found.code_sha256 else ""

    found, code = _read(run, registry, ask)
    if as_json:
        terminal.put_json(found.model_dump(mode="json") | {"code": code})
        return
    measured = zip(_MEASURED, _measured(found), strict=True)
    detail = found.evaluation.detail if found.evaluation else found.problem
    for name, value in (("candidate", place(found)), ("id", found.candidate_id), *measured, ("detail", detail)):
        terminal.put(f"{name + ':':<10} {cell(value)}")
    terminal.put("")
    terminal.put_lines(code.rstrip("\n"))


def diff(run: Run, before: Name, after: Name, registry: Url = None, as_json: JsonLines = False) -> None:
    """Show what differs between the code of two candidates, as a unified diff."""
    from archloop_lab.walks import difference, named, place

    async def ask(known: Any, run_id: str) -> tuple[list[Any], list[str]]:
        found = [await named(known, run_id, each) for each in (before, after)]
        return found, [await known.code(each.candidate_id) for each in found]

    found, codes = _read(run, registry, ask)
    lines = list(difference(codes[0], codes[1], (place(found[0]), place(found[1]))))
    if as_json:
        names = {"before": found[0].candidate_id, "after": found[1].candidate_id}
        terminal.put_json(names | {"diff": lines})
        return
    for line in lines:
        terminal.put_styled(line, {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], ""))


def lineage(run: Run, candidate: Name, registry: Url = None, as_json: JsonLines = False) -> None:
    """Show what a candidate is an edit of, up to the first, and the edits that were made of it."""
    from archloop_cli.listing import cell
    from archloop_lab.walks import lineage as walked
    from archloop_lab.walks import named, place

    async def ask(known: Any, run_id: str) -> list[Any]:
        return list(await walked(known, await named(known, run_id, candidate)))

    steps = _read(run, registry, ask)
    first = min(step.depth for step in steps)
    for step in steps:
        if as_json:
            terminal.put_json(step.candidate.model_dump(mode="json") | {"depth": step.depth})
        else:
            mark = "* " if step.depth == 0 else "  "
            told = "  ".join(map(cell, (place(step.candidate), *_measured(step.candidate)[:4])))
            terminal.put(f"{mark}{'  ' * (step.depth - first)}{told}")


def adapters(run: Run, registry: Url = None, as_json: JsonLines = False) -> None:
    """List the versions of the LLM: what each was tuned on, and which one it continues."""
    found = _read(run, registry, lambda known, run_id: known.adapters(run_id))
    rows = [
        (a.adapter.adapter, a.cycle, a.parent, a.pair_count, *_loss(a.loss_curve), f"{a.seconds:.0f}") for a in found
    ]
    _put(("adapter", "cycle", "continues", "pairs", "first loss", "last loss", "seconds"), rows, found, as_json)


def _loss(curve: tuple[float, ...]) -> tuple[str, str]:
    return (f"{curve[0]:.3f}", f"{curve[-1]:.3f}") if curve else ("", "")


def queues(
    registry: Deployment,
    as_json: JsonLines = False,
) -> None:
    """List a deployment's queues: how many messages wait, who takes them, and how many are parked."""
    found = _read("", registry, lambda known, _: known.queues())
    rows = [(q.queue, q.waiting, q.in_hand, q.consumers, q.parked, ", ".join(q.missing)) for q in found]
    _put(("queue", "waiting", "in hand", "consumers", "parked", "missing"), rows, found, as_json)


def services(
    registry: Deployment,
    as_json: JsonLines = False,
) -> None:
    """List a deployment's processes: where each is, its version and sandbox, what it has in hand, its GPUs."""
    found = _read("", registry, lambda known, _: known.services())
    heads = ("service", "host", "process", "version", "sandbox", "in hand", "GPUs busy")
    _put(heads, [_process(each) for each in found], found, as_json)


def _process(there: Any) -> tuple[Any, ...]:
    held = ", ".join(f"{queue} {count}" for queue, count in there.in_hand.items())
    busy = ", ".join(f"{use.gpu.label} {'–' if use.busy is None else f'{use.busy:.0%}'}" for use in there.gpus)
    return there.service, there.host, there.process, there.version, there.sandbox_level or "", held, busy


def acts(run: Run, registry: Url = None, as_json: JsonLines = False) -> None:
    """List what people did to a run: who, when, what, and which cycle took it up."""
    found = _read(run, registry, lambda known, run_id: known.acts(run_id))
    rows = [(each.number, f"{each.at:%F %T}", each.who, each, each.cycle) for each in found]
    _put(("number", "when", "who", "what", "cycle"), rows, found, as_json)


def _put(head: tuple[str, ...], rows: Iterable[tuple[object, ...]], found: Iterable[BaseModel], as_json: bool) -> None:
    from archloop_cli import listing

    if not as_json:
        listing.put(head, rows)
        return
    for each in found:
        terminal.put_json(each.model_dump(mode="json"))
