"""What the processes share in which trainings run: what they report, and how a failure is told."""

import os
import traceback
import warnings
from collections.abc import Callable
from typing import TextIO, TypeVar

import torch

from archloop.errors import ArchloopError
from services.trainer.job import OUT_OF_MEMORY, Failed, Progress, Ready, Tuned

Emit = Callable[[Ready | Progress | Tuned | Failed], None]
Result = TypeVar("Result")


def quiet() -> None:
    """Keep warnings of peft and TRL out of the log, which only their authors can mend."""
    warnings.filterwarnings("ignore", "`(is_)?gradient_checkpointing`", FutureWarning)


def attempt(work: Callable[[], Result]) -> Result | Failed:
    """Return the result of the work, or the kind of its failure."""
    try:
        return work()
    except ArchloopError as error:
        return Failed(code=error.code, retryable=error.retryable, detail=str(error))
    except Exception as error:  # noqa: BLE001 - the service must hear of whatever happened
        if _is_out_of_memory(error):
            detail = f"out of memory; lower training.batch_size or training.max_length ({error})"
            return Failed(code=OUT_OF_MEMORY, retryable=False, detail=detail)
        return Failed(code=type(error).__name__, retryable=True, detail=traceback.format_exc(limit=-8))


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def take_stdout() -> TextIO:
    """Return the pipe for reports; from here on file descriptor 1 is stderr."""
    reports = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return reports


def emitter(stream: TextIO) -> Emit:
    """Return a function that writes each report as one line, at once."""

    def emit(report: Ready | Progress | Tuned | Failed) -> None:
        stream.write(report.model_dump_json() + "\n")
        stream.flush()

    return emit
