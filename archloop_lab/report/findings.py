"""What the numbers say, in words: did it work, against the control, against the paper, at what cost."""

from collections.abc import Sequence
from typing import NamedTuple

from archloop.numerals import UNKNOWN, count, duration, number, percent
from archloop_lab import confirmation
from archloop_lab.report.contrast import ACCURACIES, comparable, contrast, groups
from archloop_lab.report.primitives import Run
from services.registry.records import Candidate
from services.registry.statistics.contrasts import SHARES, Contrast

_MEASURES = ("valid_rate", "mean_accuracy", "share_ge_threshold_generated")
_INTERVAL = "95 % interval "
_COMPARED = (*SHARES, *ACCURACIES)
_SAME = ("protocol", "base_model", "candidates", "seed", "generation", "novelty", "adapter")


class Line(NamedTuple):
    """A row of the table of differences from the control."""

    label: str
    here: str
    control: str
    difference: str
    better: bool | None


class Cost(NamedTuple):
    """Something that was spent, in all and for each admitted architecture."""

    label: str
    total: str
    each: str


def label(key: str, threshold: float) -> str:
    """Return what people call a measure."""
    good = f"share ≥ {percent(threshold).replace('.0', '')}"
    names = {
        "share_ge_threshold_generated": f"{good} of generated",
        "share_ge_threshold_trained": f"{good} of trained",
        "mean_accuracy": "mean accuracy of the valid",
        "median_accuracy": "median accuracy of the valid",
    }
    return names.get(key, key.replace("_", " "))


def progress(run: Run) -> list[str]:
    """Write a sentence on each headline measure, from the first closed cycle to the last; none below two cycles."""
    found = groups(run.summary, run.candidates)
    if len(found) < 2:
        return []
    first, last = min(found), max(found)
    threshold = run.summary.spec.selection.threshold
    measures = [key for key in _MEASURES if comparable(key, found[last], found[first])]
    changes = [contrast(key, found[last], found[first]) for key in measures]
    return [_sentence(label(c.key, threshold), c, first, last) for c in changes if c.difference is not None]


def _sentence(name: str, change: Contrast, first: int, last: int) -> str:
    went = f"from {change.form(change.other)} in cycle {first} to {change.form(change.value)} in cycle {last}"
    verb = "rose" if (change.difference or 0) > 0 else "fell"
    if change.interval is not None and not change.certain:
        return f"The {name} went {went}: {change.words(_INTERVAL)}, which may be chance."
    return f"The {name} {verb} {went}: {change.words(_INTERVAL)}."


def confirmed(run: Run) -> list[str]:
    """Say what the best came to on other seeds, beside the control's where that was confirmed too; or nothing."""
    found = run.summary.confirmation
    if found is None:
        return []
    lines = confirmation.sentences(found)
    if run.control is not None and (other := run.control.summary.confirmation) is not None:
        floors = [each.floor for each in (found, other)]
        floor = None if None in floors else max(each for each in floors if each is not None)
        value = found.best.mean - other.best.mean
        lines.append(f"The control's best reaches {other.best.mean:.3f}: {confirmation.difference(value, floor)}.")
    return lines


def against_control(run: Run) -> tuple[int, list[Line]]:
    """Compare the last closed cycle that both have; 0 and nothing where there is no such cycle."""
    if run.control is None:
        return 0, []
    these, those = groups(run.summary, run.candidates), groups(*run.control)
    if not (shared := these.keys() & those.keys()):
        return 0, []
    last, threshold = max(shared), run.summary.spec.selection.threshold
    compared = [key for key in _COMPARED if comparable(key, these[last], those[last])]
    contrasts = [contrast(key, these[last], those[last]) for key in compared]
    return last, [_line(label(c.key, threshold), c) for c in contrasts]


def _line(name: str, c: Contrast) -> Line:
    return Line(name, c.form(c.value), c.form(c.other), c.words(_INTERVAL), c.better)


def unlike(run: Run) -> list[str]:
    """List the fields of their specs in which the control differs from the run, tuning aside."""
    if run.control is None:
        return []
    here, there = (summary.spec.model_dump() for summary in (run.summary, run.control.summary))
    found = [name for name in _SAME if here[name] != there[name]]
    return found if there["frozen"] else ["frozen", *found]


def costs(run: Run) -> list[Cost]:
    """Set tokens and seconds against what came of them."""
    totals, admitted = run.summary.totals, run.summary.totals.admitted
    trained = sum(training.seconds for training in run.trainings.values())
    spent = [
        ("tokens read and written by the LLM", totals.tokens, count),
        ("cost by the token prices", totals.cost or None, lambda value: number(value, 2)),
        ("evaluator, seconds in which candidates ran", totals.evaluator_seconds, duration),
        ("trainer, seconds of all trainings", trained or None, duration),
        ("wall clock, from the request to the end", run.summary.seconds, duration),
    ]
    return [
        Cost(name, form(value), form(value / admitted) if admitted else UNKNOWN)
        for name, value, form in spent
        if value is not None
    ]


def stages(candidates: Sequence[Candidate]) -> dict[str, float]:
    """Sum the seconds of all evaluations by stage, in the order in which stages are first met."""
    found: dict[str, float] = {}
    for evaluation in (candidate.evaluation for candidate in candidates if candidate.evaluation):
        for stage, seconds in evaluation.stage_seconds.items():
            found[stage] = found.get(stage, 0) + seconds
    return found
