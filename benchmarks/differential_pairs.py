"""What the two sides of `differential.py` say of one network, whether that is the same and, if not, why."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

Line = dict[str, Any]
LONGEST_BATCH = 1.0  # CPU seconds; nine networks out of ten take less
TRAINED, NOT_FINITE, ERROR, LIMIT, CRASHED, MISSING = (
    "trained",
    "not finite",
    "error",
    "limit",
    "crashed",
    "missing package",
)
_OURS: Mapping[str, str] = {
    **dict.fromkeys(("ok", "below_chance", "suspect"), TRAINED),
    **dict.fromkeys(("syntax_error", "contract_error", "build_error", "shape_error", "train_error"), ERROR),
    **dict.fromkeys(("timeout", "out_of_memory"), LIMIT),
    "diverged": NOT_FINITE,
    "crashed": CRASHED,
}
_NO_MEMORY = ("can't allocate memory", "std::bad_alloc", "MemoryError")


class Pair(NamedTuple):
    """One network on both sides."""

    name: str
    plain: Line
    ours: Line


class Reason(NamedTuple):
    """Why the sides differ and should; `holds` says of which pairs."""

    title: str
    why: str
    holds: Callable[[Pair], bool]


def read(path: Path) -> dict[str, Line]:
    """By name; empty where there is no such file yet."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {line["name"]: line for line in map(json.loads, lines)}


def plain_word(line: Line) -> str:
    """What became of a network in the plain loop."""
    if "missing" in line:
        return MISSING
    if "error" not in line:
        return TRAINED if line["finite"] else NOT_FINITE
    if any(sign in f"{line['error']} {line['detail']}" for sign in _NO_MEMORY):
        return LIMIT
    return {"Timeout": LIMIT, "Ended": CRASHED, "SystemExit": CRASHED}.get(line["error"], ERROR)


def our_word(line: Line) -> str:
    """What became of it in the evaluator, in the same words; an outcome that has no such word stands for itself."""
    return _OURS.get(line["outcome"], line["outcome"])


def difference(pair: Pair) -> str | None:
    """In what the sides differ, None if in nothing: what became of it, by which error, or how large it was."""
    plain, ours = plain_word(pair.plain), our_word(pair.ours)
    if plain != ours:
        return f"{plain} / {ours}"
    if plain == ERROR and not pair.ours["detail"].startswith(f"{pair.plain['error']}:"):
        return "another error"
    if plain == TRAINED and pair.plain["parameters"] != pair.ours["parameters"]:
        return "another number of parameters"
    return None


def ran(line: Line) -> bool:
    """Whether the plain loop trained it, to answers that can be scored."""
    return plain_word(line) == TRAINED and answers_each_class(line)


def affordable(line: Line) -> bool:
    """Whether a whole epoch of it takes seconds rather than minutes."""
    return ran(line) and line["cpu_seconds"] <= LONGEST_BATCH


def answers_each_class(line: Line) -> bool:
    return bool(line["output"][1:] == [line["classes"]])


def failed_in_training(line: Line) -> bool:
    """Whether it could be built, and then not be trained; most often the images are too small for it."""
    return plain_word(line) == ERROR and line["stage"] in ("train", "predict")


def explanation(pair: Pair) -> Reason | None:
    """The first reason of the list that holds; None is a fault of the evaluator, or of the plain loop."""
    return next((reason for reason in REASONS if reason.holds(pair)), None)


def _other_output(pair: Pair) -> bool:
    trained = plain_word(pair.plain) in (TRAINED, NOT_FINITE)
    return trained and not answers_each_class(pair.plain) and pair.ours["outcome"] == "shape_error"


def _told_before(pair: Pair) -> bool:
    return plain_word(pair.plain) == our_word(pair.ours) == ERROR and pair.ours["stage"] in ("contract", "shape")


def _no_function(pair: Pair) -> bool:
    asked = pair.plain["stage"] == "hyperparameters" and plain_word(pair.plain) == ERROR
    return asked and our_word(pair.ours) in (TRAINED, NOT_FINITE)


def _compiled(pair: Pair) -> bool:
    return pair.plain.get("error") == "InductorError" and our_word(pair.ours) == TRAINED


def _processes(pair: Pair) -> bool:
    return pair.ours["outcome"] == "forbidden" and "may not start processes" in pair.ours["detail"]


REASONS = (
    Reason(
        "output is not one number for each class",
        "LEMUR takes the largest of however many columns there are; a network that answers with others than the "
        "classes has not solved the task, and `shape_error` says so before it is trained",
        _other_output,
    ),
    Reason(
        "wrong on both sides, told before it is trained",
        "the contract and the shapes are checked first; LEMUR meets another consequence of the same fault later",
        _told_before,
    ),
    Reason(
        "supported_hyperparameters is no function",
        "LEMUR's search calls it; a plain set of names says the same, and is taken",
        _no_function,
    ),
    Reason(
        "torch.compile",
        "its compiler needs packages that torch does not require, and processes; the evaluator runs the network as is",
        _compiled,
    ),
    Reason(
        "starts processes",
        "no candidate may: the sandbox holds one process",
        _processes,
    ),
)
