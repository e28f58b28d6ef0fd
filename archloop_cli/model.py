"""`archloop model`: the small language model that ships with the project, and how it is made."""

from pathlib import Path
from typing import Annotated

import typer

from archloop_cli.bars import bars

app = typer.Typer(no_args_is_help=True, help="The small language model that ships with the project.")


@app.callback()
def models() -> None:
    """The small language model that ships with the project."""


@app.command()
def build(
    out: Annotated[Path, typer.Option(help="Folder for weights, tokenizer and model card.")] = Path(
        "archloop/models/tiny"
    ),
    seed: Annotated[int, typer.Option(help="Of corpus, initial weights and batches.")] = 0,
) -> None:
    """Write the seed networks, train tokenizer and model on them, measure, and save: minutes on two cores."""
    from services.generator.model_build import build as build_model

    with bars() as advance:
        print(build_model(out, seed=seed, progress=advance))
