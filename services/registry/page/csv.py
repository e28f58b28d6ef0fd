"""Candidates as CSV (RFC 4180) that a spreadsheet shows and does not compute."""

import csv
import io
from collections.abc import Iterable

from archloop.sanitising import plain
from services.registry.records import Candidate

COLUMNS = (
    *("candidate_id", "cycle", "index", "outcome", "stage", "detail", "accuracy", "test_accuracy", "parameters"),
    *("flops", "seconds", "verdict", "similarity", "nearest", "family", "admitted", "adapter", "parent", "problem"),
    *("prompt_tokens", "completion_tokens", "code_sha256"),
)
# OWASP: a cell that begins so is a formula to a spreadsheet, which may call programs and servers.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def line(cells: Iterable[object]) -> str:
    """Write a line; text is one line, without control and bidi characters, and no formula."""
    text = io.StringIO(newline="")
    csv.writer(text).writerow([_cell(cell) for cell in cells])
    return text.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    if not isinstance(value, str):
        return int(value) if isinstance(value, bool) else value
    shown = plain(value)
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA) else shown


def row(candidate: Candidate) -> list[object]:
    """Return a candidate's cells, in the order of COLUMNS."""
    evaluation, judgement, usage = candidate.evaluation, candidate.judgement, candidate.usage
    known = {
        **{name: getattr(candidate, name) for name in COLUMNS if hasattr(candidate, name)},
        **({name: getattr(evaluation, name) for name in COLUMNS if hasattr(evaluation, name)} if evaluation else {}),
        **({name: getattr(judgement, name) for name in COLUMNS if hasattr(judgement, name)} if judgement else {}),
        **({name: getattr(usage, name) for name in COLUMNS if hasattr(usage, name)} if usage else {}),
    }
    outcome = evaluation.outcome.value if evaluation else "lost" if candidate.lost else None
    known |= {"outcome": outcome, "code_sha256": candidate.code_sha256}
    return [known.get(name) for name in COLUMNS]
