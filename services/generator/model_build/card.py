"""The model card: what the model is and what it learnt from."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from archloop.contracts.values import Family
from services.generator.model_build.corpus import Kinds
from services.generator.model_build.training import BATCH

_ENVIRONMENT = Environment(  # noqa: S701 — Markdown, of our own data
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
)


class Round(NamedTuple):
    """One round of training: so many answers of these kinds, and steps."""

    answers: int
    steps: int
    kinds: Kinds


class BuildReport(NamedTuple):
    """Arguments and results of a build.

    `bytes` are those of the whole folder, `loss` in nats per token at the end. Tokens are means over the answers of the
    first round.
    """

    seed: int
    copying: int
    rounds: tuple[Round, ...]
    parameters: int
    vocabulary: int
    bytes: int
    loss: float
    tokens_per_prompt: float
    tokens_per_answer: float


def write(report: BuildReport, measured: Mapping[float, float]) -> str:
    """Return the card as Markdown with the metadata that the hub reads."""
    return _ENVIRONMENT.get_template("card.md.j2").render(
        report=report,
        batch=BATCH,
        families=list(Family),
        measured=measured,
    )
