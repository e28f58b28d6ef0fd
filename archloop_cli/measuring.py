"""Commands that score networks: other protocols, more epochs, other seeds, and files that no run wrote."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from archloop_cli import terminal
from archloop_cli.bars import bars
from archloop_cli.options import LARGEST_SEED, MOST, Json, finite, without_effect


def transfer(
    directory: Annotated[Path, typer.Argument(metavar="RUN")],
    protocols: Annotated[str, typer.Option(help="Names with commas between: cifar100,svhn.")],
    top: Annotated[int | None, typer.Option(min=1, max=MOST, help="The best so many only.")] = None,
) -> None:
    """Score a run's architectures under other protocols."""
    from archloop_lab import transfer as transfers

    with bars() as advance:
        page = transfers.transfer(directory, protocols.split(","), top, advance)
    terminal.put(page)


def proxy(
    directory: Annotated[Path, typer.Argument(metavar="RUN")],
    epochs: Annotated[
        list[int], typer.Option(min=2, max=10_000, help="Compare one epoch with so many; may be repeated.")
    ] = [5],  # noqa: B006
    seeds: Annotated[
        list[int], typer.Option("--seed", min=0, max=LARGEST_SEED, help="And with another seed; may be repeated.")
    ] = [1],  # noqa: B006
    sample: Annotated[int, typer.Option(min=4, max=MOST, help="So many of the valid candidates.")] = 32,
) -> None:
    """Measure how well one epoch ranks networks: against more epochs, and between seeds."""
    from archloop_lab import proxy as proxies

    with bars() as advance:
        page = proxies.proxy(directory, epochs, seeds, sample, advance)
    terminal.put(page)


def evaluate(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…")],
    protocol: Annotated[str, typer.Option(help="How they are scored.")] = "shapes",
    as_json: Json = False,
) -> None:
    """Score architectures in the sandbox: one line a file."""
    from archloop_cli import scoring

    asyncio.run(scoring.evaluate(files, protocol, as_json=as_json))


def novelty(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH…", help="Files, or folders of .py files.")],
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, callback=finite)] = 0.85,
    graph: Annotated[
        bool, typer.Option("--graph", help="Build them in the sandbox, and compare the graphs that run too.")
    ] = False,
    protocol: Annotated[str, typer.Option(help="With --graph: for images of its shape.")] = "shapes",
    as_json: Json = False,
) -> None:
    """Judge architectures against each other, in the order given: one line a file."""
    from archloop_cli import scoring

    if not graph:
        without_effect(context, "without --graph", "protocol")
    raise typer.Exit(scoring.novelty(paths, threshold, protocol if graph else None, as_json=as_json))
