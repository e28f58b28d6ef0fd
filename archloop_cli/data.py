"""`archloop data`: data sets that do not ship, decoded once into arrays that the evaluator maps."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from archloop.errors import InvalidInput
from archloop_cli import terminal
from archloop_cli.bars import bars

if TYPE_CHECKING:
    from services.evaluator.datasets.prepared import Manifest

app = typer.Typer(no_args_is_help=True, help="Data sets that do not ship.")
Root = Annotated[Path | None, typer.Option(help="Where prepared ones are; ARCHLOOP_EVALUATOR_DATA_DIR by default.")]


@app.command()
def prepare(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="cifar10, cifar100, svhn, or a name for an image folder.")
    ],
    root: Root = None,
    files: Annotated[
        Path | None, typer.Option("--from", help="Folder of the files that were downloaded, or of the images.")
    ] = None,
    download: Annotated[bool, typer.Option(help="Fetch what is missing of a known data set.")] = True,
    side: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Bring the images of a folder to this square.")
    ] = None,
) -> None:
    """Decode a data set once; after an interruption, go on where it was. What is there already is only verified."""
    from services.evaluator.datasets import preparing, sources

    root = _root(root)
    if files is None and name not in sources.names():
        known = f"the folder of its images, for {name} is none of {', '.join(sources.names())}"
        raise InvalidInput("--from", None, known)
    found = (files or root / ".downloads" / name).expanduser().resolve()
    with bars() as advance:
        manifest = preparing.prepare(
            root, name, lambda: sources.source(name, found, download=download, side=side), advance
        )
    terminal.put(_line(manifest))


@app.command("list")
def list_(root: Root = None) -> None:
    """List what is prepared: one line each, with the hash of its images and labels."""
    from services.evaluator.datasets import prepared

    for manifest in prepared.prepared(_root(root)):
        terminal.put(_line(manifest))


def _root(given: Path | None) -> Path:
    from services.evaluator.settings import EvaluatorSettings

    return given or EvaluatorSettings.load().data_dir


def _line(manifest: "Manifest") -> str:
    counts = " + ".join(f"{count} {split}" for split, count in manifest.counts.items())
    shape = " x ".join(map(str, manifest.shape))
    return f"{manifest.name}  {counts}  {shape}  {len(manifest.classes)} classes  sha256 {manifest.sha256}"
