"""The device on which a network is trained, as the task says.

The fork server never touches CUDA, because a context does not survive a fork; each child makes its own.
"""

import torch

from services.evaluator.harness.task import Task


def acquired(task: Task) -> torch.device:
    """Return the task's device, after bounding this process to its share of a GPU's memory."""
    torch.set_num_threads(task.threads)
    device = torch.device(task.device)
    if device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(task.memory_fraction)
    return device
