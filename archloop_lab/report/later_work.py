"""The run beside what the paper's authors published since: edits of a parent, a memory of failures, longer training."""

from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from archloop.numerals import UNKNOWN, percent
from archloop_lab.report.primitives import Run
from archloop_lab.report.view import accuracies
from services.registry.records import Candidate

EDITS, MEMORY = "2605.04903", "2603.12091"


class Row(NamedTuple):
    """A published figure, where it stands on arXiv, the run's own, and how their definitions differ."""

    label: str
    published: str
    source: str
    here: str
    definitions: str


class _Kind(NamedTuple):
    """What candidates of one kind came to: shares and accuracies from 0 to 1, None where there are none."""

    valid_rate: float | None
    mean: float | None
    best: float | None


def table(run: Run) -> list[Row]:
    """Compare over all closed cycles; nothing where there are none."""
    if not (closed := {cycle.cycle for cycle in run.summary.closed}):
        return []
    found = [candidate for candidate in run.candidates if candidate.cycle in closed]
    tuned = [] if run.summary.spec.frozen else found
    whole, edits = (_kind([c for c in tuned if (c.parent is None) == alone]) for alone in (True, False))
    return [
        _row("valid rate, whole networks", "50.6 %, peak 74.5 %", whole.valid_rate, _POOLED),
        _row("valid rate, edits", "75.3 %", edits.valid_rate, f"{_DEEPSEEK}; {_UNAPPLIED}"),
        _row("mean first-epoch accuracy, whole networks", "42.3 %", whole.mean, _SIX),
        _row("mean first-epoch accuracy, edits", "65.8 %", edits.mean, f"{_DEEPSEEK}; {_SIX}"),
        _row("best first-epoch accuracy, whole networks", "63.98 %", whole.best, _SPLIT),
        _row("best first-epoch accuracy, edits", "85.5 %", edits.best, f"there Mistral 7B; {_SPLIT}"),
        _remembered(run, found),
        Row("ranks after 1 and 50 epochs", "ρ .926", EDITS, UNKNOWN, _RANKS),
    ]


_POOLED = "there all 22 cycles, 1 100 candidates an LLM, after repair; here as written, trained, above 1.2 × chance"
_DEEPSEEK = "there DeepSeek-Coder 7B"
_UNAPPLIED = "here an edit that does not apply counts too"
_SIX = "there over six data sets; both of valid networks alone"
_SPLIT = "there CIFAR-10 and its test split; here the run's data and a validation split"
_RANKS = "Spearman's, there CIFAR-10 and edits by Mistral 7B; archloop proxy RUN --epochs 50 measures it"


def _row(label: str, published: str, value: float | None, definitions: str) -> Row:
    return Row(label, published, EDITS, percent(value), definitions)


def _remembered(run: Run, found: Sequence[Candidate]) -> Row:
    spec = run.summary.spec
    is_alike = spec.frozen and spec.generation.memory != "none"
    here = percent(_kind(found).best) if is_alike else UNKNOWN
    return Row("best first-epoch accuracy, frozen with a memory", "71.5 %", MEMORY, here, _SPLIT)


def _kind(candidates: Sequence[Candidate]) -> _Kind:
    known, valid = accuracies(candidates), sum(candidate.valid for candidate in candidates)
    rate = valid / len(candidates) if candidates else None
    return _Kind(rate, fmean(known) if known else None, max(known, default=None))
