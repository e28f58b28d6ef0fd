"""Prometheus metrics of the running training."""

from prometheus_client import Counter, Gauge

from services.trainer.job import Progress

LOSS = Gauge("archloop_trainer_loss", "Loss of the last step, in nats per completion token, or per preference.")
STEPS = Counter("archloop_trainer_steps_total", "Optimiser steps made.")
TOKENS = Counter("archloop_trainer_tokens_total", "Tokens trained on, padding left out.")
OUT_OF_MEMORY = Counter(
    "archloop_trainer_out_of_memory_total", "Trainings begun again with less at once, for want of memory."
)


class Meter:
    """Turns a job's progress into the metrics, without the tokens from before the checkpoint that it resumed from."""

    def __init__(self) -> None:
        self._last: Progress | None = None

    def take(self, progress: Progress) -> None:
        """Count one more step."""
        before = self._last.tokens if self._last else 0 if progress.step == 1 else progress.tokens
        LOSS.set(progress.loss)
        STEPS.inc()
        TOKENS.inc(progress.tokens - before)
        self._last = progress
