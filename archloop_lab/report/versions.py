"""The versions of the LLM in the report: what each continues, what it was tuned on, and what it wrote."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from archloop.numerals import UNKNOWN, count, number, percent
from archloop_lab.summary import AnalysedCycle, AnalysedSummary
from services.registry.control.requests import adapter_name


class Training(NamedTuple):
    """How an adapter came about: its manifest's curves and steps, and the seconds of the whole job."""

    steps: int = 0
    loss_curve: tuple[float, ...] = ()
    token_curve: tuple[float, ...] = ()
    seconds: float = 0.0


def lineage(summary: AnalysedSummary, trainings: Mapping[int, Training] = MappingProxyType({})) -> list[dict[str, str]]:
    """List what wrote the cycles: what each version of the LLM was tuned on, how long, and what its cycle came to."""
    made = _made(summary)
    return [_version(cycle, made.get(cycle.adapter or ""), trainings) for cycle in summary.begun]


def parents(summary: AnalysedSummary) -> dict[str, str]:
    """Return by adapter the one that it continues."""
    return {adapter: cycle.adapter for adapter, cycle in _made(summary).items() if cycle.adapter}


def _version(cycle: AnalysedCycle, made: AnalysedCycle | None, trainings: Mapping[int, Training]) -> dict[str, str]:
    """Tell of a cycle's adapter, the one that was made after another one."""
    before = {"adapter": cycle.adapter or "base model", "cycle": str(cycle.cycle)}
    after = {"valid": percent(cycle.valid_rate), "accuracy": number(cycle.mean_accuracy)}
    continues = {"continues": (made.adapter or "base model") if made else ""}
    training = trainings.get(made.cycle, Training()) if made else Training()
    return before | continues | _learnt(made) | _training(training) | after


def _learnt(cycle: AnalysedCycle | None) -> dict[str, str]:
    """Tell what the training after a cycle was given."""
    return {name: count(getattr(cycle, name, None)) for name in ("pairs", "chosen", "rejected")}


def _training(training: Training) -> dict[str, str]:
    """Tell how an adapter came about: steps, tokens and how many of them a second, the loss from first to last."""
    losses, tokens = training.loss_curve, training.token_curve[-1] if training.token_curve else None
    return {
        "steps": count(training.steps or None),
        "tokens": count(tokens),
        "speed": count(tokens / training.seconds if tokens and training.seconds else None),
        "loss": f"{number(losses[0], 2)} → {number(losses[-1], 2)}" if losses else UNKNOWN,
    }


def _made(summary: AnalysedSummary) -> dict[str, AnalysedCycle]:
    """Return by adapter the cycle after which it was made; it continues the one that wrote that."""
    return {adapter_name(summary.run_id, cycle.cycle): cycle for cycle in summary.begun}
