"""The cost of a network, against sums done by hand."""

import pytest
import torch
from torch import nn

from services.evaluator.harness.measures import cost

CONV = 2 * (3 * 3 * 3) * 8 * 8 * 4  # operations: a multiply-add for each weight of each of 8 x 8 x 4 outputs
LINEAR = 2 * (4 * 8 * 8) * 10
SIZE = 4  # bytes of a float32


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Flatten(), nn.Linear(256, 10)).eval()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_it_is_that_of_one_image_whatever_device_it_is_measured_on(device):
    with torch.device(device):
        found = cost(network(), torch.zeros(2, 3, 8, 8))
    assert found.flops == CONV + LINEAR
    assert found.activation_bytes == SIZE * (3 * 8 * 8 + 4 * 8 * 8)


def test_what_two_layers_keep_is_counted_once():
    with torch.device("meta"):
        twice = nn.ModuleList([nn.Linear(16, 5), nn.Linear(16, 5)])
        net = type("Fork", (nn.Module,), {"forward": lambda self, x: self.parts[0](x) + self.parts[1](x)})()
        net.parts = twice
        assert cost(net, torch.zeros(2, 16)).activation_bytes == SIZE * 16


def test_a_network_that_fails_has_none():
    assert cost(nn.Linear(3, 3), torch.zeros(2, 4)) is None
