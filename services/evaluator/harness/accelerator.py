"""Where and how precisely a network is trained: device, mixed precision, memory format, as the task says.

The fork server never touches CUDA, for a context does not survive a fork; each child makes its own, which goes with it.
"""

from contextlib import AbstractContextManager
from typing import Any

import torch

from services.evaluator.harness.task import Task


def memory_format(task: Task) -> torch.memory_format:
    """In which weights and images lie alike."""
    return torch.channels_last if task.channels_last else torch.contiguous_format


class Accelerator:
    """The task's device; on a GPU it may use the task's share of the memory and no more."""

    def __init__(self, task: Task) -> None:
        torch.set_num_threads(task.threads)
        self.device = torch.device(task.device)
        self._autocast = task.autocast
        self._format = memory_format(task)
        if self.device.type == "cuda":
            torch.cuda.set_per_process_memory_fraction(task.memory_fraction)

    def precision(self) -> AbstractContextManager[Any]:
        """bfloat16 where the protocol asks for it: it needs no loss scaling, which candidates do not do."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self._autocast)

    def network(self, net: Any) -> Any:
        """In the protocol's memory format."""
        return net.to(memory_format=self._format)
