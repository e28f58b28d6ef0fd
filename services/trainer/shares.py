"""Division of the pairs of one step: among processes, and into batches that fit into memory.

What a step sees never changes by it, so that a training comes to the same on any machine, up to rounding.
"""

from archloop.contracts.adapter import BatchShape
from archloop.contracts.training import TrainingSpec
from services.trainer.job import TrainingRefused


def among(spec: TrainingSpec, processes: int) -> BatchShape:
    """Give each process an equal share, in batches of at most `batch_size`. Raises TrainingRefused."""
    share, rest = divmod(spec.effective_batch, processes)
    if rest:
        raise TrainingRefused(
            f"training.batch_size x training.accumulation: a step of {spec.effective_batch} pairs cannot be shared "
            f"equally by {processes} processes; choose a multiple of {processes}"
        )
    return _shape(share, spec.batch_size, processes)


def smaller(shape: BatchShape) -> BatchShape | None:
    """Return half as many pairs at once, twice as often, or the nearest numbers with the same product.

    None if single pairs did not fit.
    """
    if shape.batch_size == 1:
        return None
    return _shape(shape.batch_size * shape.accumulation, shape.batch_size // 2, shape.processes)


def _shape(share: int, at_most: int, processes: int) -> BatchShape:
    batch = next(size for size in range(min(at_most, share), 0, -1) if share % size == 0)
    return BatchShape(batch_size=batch, accumulation=share // batch, processes=processes)
