"""Precision and memory format as the protocol says, on the device that is here."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from services.evaluator.harness.accelerator import Accelerator
from services.evaluator.harness.loader import Normalise
from services.evaluator.harness.task import Task

TASK = Task((3, 8, 8), 4, 16, 1, 0, flip=False, threads=1, mean=(0.5,) * 3, std=(0.2,) * 3, hyperparameters={})


@pytest.mark.parametrize(("autocast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_mixed_precision_is_bfloat16_where_asked_for(autocast, dtype):
    at = Accelerator(replace(TASK, autocast=autocast))
    with at.precision():
        assert nn.Conv2d(3, 4, 3)(torch.zeros(2, 3, 8, 8)).dtype is dtype


def test_images_and_weights_lie_in_the_same_format():
    at = Accelerator(replace(TASK, channels_last=True))
    net = at.network(nn.Conv2d(3, 4, 3))
    images = Normalise(replace(TASK, channels_last=True, resize=16))(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert net.weight.is_contiguous(memory_format=torch.channels_last)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_a_task_crosses_to_the_child_with_its_device():
    task = replace(TASK, device="cuda", memory_fraction=0.5, autocast=True, channels_last=True)
    assert Task.decode(task.encode()) == task
