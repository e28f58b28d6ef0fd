"""A second attempt at half the batch after running out of memory, within the limits of one attempt."""

from typing import Any

from archloop.contracts.values import Evaluation, Outcome
from archloop.protocols.model import Limits, Protocol


def allowance(protocol: Protocol, limits: Limits, first: Evaluation) -> Limits | None:
    """Return the limits of the second attempt; None where there is none.

    A candidate can claim to have run out of memory when it likes, so both attempts together get no more time than one.
    """
    if protocol.on_out_of_memory != "half_batch" or protocol.batch == 1 or not _starved(first):
        return None
    return left(limits, first)


def left(limits: Limits, first: Evaluation) -> Limits | None:
    """Return the limits without the time that an attempt took; None where there is none left."""
    cpu, wall = limits.cpu_seconds - first.cpu_seconds, limits.wall_seconds - first.seconds
    if min(cpu, wall) <= 0:
        return None
    return limits.model_copy(update={"cpu_seconds": cpu, "wall_seconds": wall})


def together(first: Evaluation, second: Evaluation, taken_by: str = "") -> Evaluation:
    """Return the second attempt's evaluation with the costs of both.

    Args:
        first: The attempt that was made before.
        second: The attempt that counts; where it ran out of time, that is told to be what the first had left.
        taken_by: What the first attempt was: by default its batch.

    """
    left_by = taken_by or f"a batch of {first.batch}"
    after = f", which {left_by} had left" if second.outcome is Outcome.TIMEOUT else ""
    return second.model_copy(update={"detail": second.detail + after, **_costs(first, second)})


def _starved(evaluation: Evaluation) -> bool:
    """Return whether a smaller batch may help."""
    return evaluation.outcome is Outcome.OUT_OF_MEMORY and evaluation.stage in ("train", "predict")


def _costs(first: Evaluation, second: Evaluation) -> dict[str, Any]:
    """Return the costs of two attempts."""
    stages = {**first.stage_seconds, **second.stage_seconds}
    return {
        "seconds": first.seconds + second.seconds,
        "cpu_seconds": first.cpu_seconds + second.cpu_seconds,
        "peak_memory_bytes": max(first.peak_memory_bytes or 0, second.peak_memory_bytes or 0),
        "stage_seconds": {s: first.stage_seconds.get(s, 0) + second.stage_seconds.get(s, 0) for s in stages},
    }
