"""Errors of training jobs."""

from archloop.errors import ArchloopError, Unavailable

OUT_OF_MEMORY = "out_of_memory"


class TrainingRefused(ArchloopError):
    """The same job would fail again: its settings, its pairs or its parent must change."""

    code = "training_refused"


class TrainingInterrupted(Unavailable):
    """The training process died, hung or was stopped; the same job may succeed later."""

    code = "training_interrupted"
