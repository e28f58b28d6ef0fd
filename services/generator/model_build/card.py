"""The model card: what the model is, what it learnt from, and which errors that has on purpose."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from archloop.contracts.values import Family
from services.generator.model_build.corpus import Example
from services.generator.model_build.training import BATCH

_ENVIRONMENT = Environment(  # noqa: S701 — Markdown, of our own data
    loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, keep_trailing_newline=True
)


class BuildReport(NamedTuple):
    """Arguments and results of a build: `bytes` of the whole folder, `loss` in nats per token at the end."""

    seed: int
    steps: int
    files: int
    parameters: int
    vocabulary: int
    bytes: int
    loss: float
    tokens_per_prompt: float
    tokens_per_file: float


def write(report: BuildReport, examples: Sequence[Example], measured: Mapping[float, float]) -> str:
    """Return the card as Markdown with the metadata that the hub reads."""
    sound = [e.seed for e in examples if not e.seed.defects]
    return _ENVIRONMENT.get_template("card.md.j2").render(
        report=report,
        batch=BATCH,
        families=list(Family),
        defective=1 - len(sound) / len(examples),
        clean=sum(not seed.weak_choices for seed in sound) / len(sound),
        defects=_shares((e.seed.defects for e in examples), len(examples)),
        weak_choices=_shares((sorted(e.seed.weak_choices) for e in examples), len(examples)),
        measured=measured,
    )


def _shares(found: Iterable[Iterable[str]], total: int) -> list[tuple[str, float]]:
    counted = Counter(str(name) for names in found for name in names)
    return [(name, count / total) for name, count in counted.most_common()]
