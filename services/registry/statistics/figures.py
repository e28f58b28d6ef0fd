"""What the figures of a run show, once for the report and for the page: titles, series, colours, order.

A colour is the number of one of the palette's; both draw with the same palette.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from archloop.contracts.values import Family, Outcome, Verdict

Threshold = Literal["", "selection", "copies"]
MARKS: Mapping[Threshold, str] = {"selection": "threshold of selection", "copies": "a near copy begins"}
CONTROL = "frozen control"


class Curve(NamedTuple):
    """One number of each cycle; with a `band` its 95 % interval, by this name."""

    key: str
    label: str
    colour: int
    band: str = ""


class Lines(NamedTuple):
    """Curves over cycles, behind them the control's `control`. Of shares the axis has percentages."""

    name: str
    title: str
    caption: str
    axis: str
    curves: tuple[Curve, ...]
    control: str = ""
    shares: bool = True
    threshold: Threshold = ""


class Stack(NamedTuple):
    """Amounts of each cycle on top of each other, as many as are not 0, in the order of `parts` and their colours."""

    name: str
    title: str
    caption: str
    axis: str
    parts: Mapping[str, int]


class Cloud(NamedTuple):
    """A number of every candidate, cycle by cycle, as a point."""

    name: str
    title: str
    caption: str
    axis: str
    threshold: Threshold


_ACCURACY = "validation accuracy, one epoch"
_OUTCOMES = (
    Outcome.OK,
    Outcome.BELOW_CHANCE,
    Outcome.DIVERGED,
    Outcome.TRAIN_ERROR,
    Outcome.SHAPE_ERROR,
    Outcome.BUILD_ERROR,
    Outcome.CONTRACT_ERROR,
    Outcome.SYNTAX_ERROR,
    Outcome.OUT_OF_MEMORY,
    Outcome.TIMEOUT,
    Outcome.SUSPECT,
    Outcome.CRASHED,
    Outcome.FORBIDDEN,
    Outcome.STOPPED,
)
_FAMILIES = (*(family for family in Family if family is not Family.PLAIN), Family.PLAIN)

VALID = Lines(
    "valid",
    "Valid rate",
    "Trained and above chance, of all generated; nothing is repaired.",
    "valid, of all generated",
    (Curve("valid_rate", "valid", 0, "95 % interval, valid"),),
    "valid_rate",
)
ACCURACY = Lines(
    "accuracy",
    "Accuracy of valid candidates",
    "Mean with its interval, median and best of each cycle.",
    _ACCURACY,
    (
        Curve("mean_accuracy", "mean", 0, "95 % interval of the mean"),
        Curve("best_accuracy", "best", 2),
        Curve("median_accuracy", "median", 1),
    ),
    "mean_accuracy",
    shares=False,
    threshold="selection",
)
GOOD_SHARE = Lines(
    "share",
    "Share at or above the threshold",
    "Of the trained, as the paper counts, and of all generated, as the control is counted here.",
    "at or above the threshold",
    (
        Curve("share_ge_threshold_trained", "of trained", 0, "95 % interval, of trained"),
        Curve("share_ge_threshold_generated", "of generated", 1, "95 % interval, of generated"),
    ),
    "share_ge_threshold_generated",
)
NOVELTY_RATE = Lines(
    "novelty-rate",
    "Novelty rate",
    "Of the valid: unlike every earlier valid candidate in scope.",
    "novel, of the valid",
    (Curve("novelty_rate", "novel", 2, "95 % interval, novel"),),
    "novelty_rate",
)
DISTRIBUTION = Cloud(
    "distribution",
    "Accuracy, every valid candidate",
    "A point each; the bar is the median.",
    _ACCURACY,
    "selection",
)
SIMILARITIES = Cloud(
    "similarity",
    "Similarity to what came before",
    "Exact Jaccard similarity to the nearest earlier valid candidate.",
    "Jaccard similarity",
    "copies",
)
OUTCOMES = Stack(
    "outcomes",
    "Outcomes",
    "How every candidate ended.",
    "candidates",
    dict(zip(_OUTCOMES, (*range(2, 13), 0, 1, 13), strict=True)),
)
VERDICTS = Stack(
    "novelty",
    "Verdicts",
    "On the valid candidates.",
    "valid candidates",
    {Verdict.NOVEL: 2, Verdict.NEAR_DUPLICATE: 6, Verdict.EXACT_DUPLICATE: 3},
)
FAMILIES = Stack(
    "families",
    "Structural families",
    "Of the admitted, read from their code.",
    "of the admitted",
    {family: place for place, family in enumerate(_FAMILIES)},
)
SECONDS = Stack(
    "seconds",
    "Where the time goes",
    "Wall seconds from the first to the last event of a step; steps overlap.",
    "wall seconds",
    {"generate": 0, "evaluate": 1, "judge": 2, "train": 3},
)
LOSS = Lines(
    "loss",
    "Training loss",
    "The LLM's own, on the answers, one training after the other.",
    "training loss, nats",
    (),
    shares=False,
)
