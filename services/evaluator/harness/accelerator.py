"""The device on which a network is trained, as the task says.

The fork server never touches CUDA, for a context does not survive a fork; each child makes its own, which goes with it.
"""

import torch

from services.evaluator.harness.task import Task


def acquired(task: Task) -> torch.device:
    """The task's device; of a GPU's memory the task's share may be used and no more."""
    torch.set_num_threads(task.threads)
    device = torch.device(task.device)
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(task.memory_fraction)
    return device
