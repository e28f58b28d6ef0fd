"""Precision and memory format as the protocol wishes, where the network bears them."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from services.evaluator.harness.conditions import PLAIN, Conditions, same_output
from services.evaluator.harness.loader import Normalise
from services.evaluator.harness.task import Task

TASK = Task((3, 8, 8), 4, 16, 1, 0, flip=False, threads=1, mean=(0.5,) * 3, std=(0.2,) * 3, hyperparameters={})
BFLOAT16 = Conditions(bfloat16=True)


class Net(nn.Module):
    """Says in which type its product was computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.seen: list[torch.dtype] = []

    def forward(self, x):
        y = self.layer(x)
        self.seen.append(y.dtype)
        return y


class Inherits(Net):
    pass


@pytest.mark.parametrize("kind", [Net, Inherits])
@pytest.mark.parametrize("call", [
    lambda net, x: net(x), lambda net, x: net.forward(x), lambda net, x: copy.copy(net)(x),
    lambda net, x: torch.func.functional_call(net, dict(net.named_parameters()), (x,)),
    lambda net, x: nn.Sequential(net)(x)])  # fmt: skip
def test_each_forward_pass_is_in_bfloat16_and_gives_float32(kind, call):
    net = kind()
    with BFLOAT16.imposed(net):
        assert call(net, torch.ones(1, 3)).dtype is torch.float32
        assert net.seen == [torch.bfloat16]
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype is torch.float32
    net(torch.ones(1, 3))
    assert net.seen == [torch.bfloat16, torch.float32]
    assert "forward" not in vars(Inherits)


@pytest.mark.parametrize("change", [
    lambda net: torch.optim.SGD(net.parameters(), lr=1).step(),
    lambda net: [p.data.add_(1) for p in net.parameters()],
    lambda net: net.load_state_dict({k: v + 1 for k, v in net.state_dict().items()}),
    lambda net: [p.data.copy_(p + 1) for p in net.parameters()],
    lambda net: nn.init.ones_(net.layer.weight),
    lambda net: torch._foreach_add_([p.data for p in net.parameters()], 1.0),
])  # fmt: skip
def test_changed_weights_are_seen_by_the_next_pass(change):
    net = Net()
    with BFLOAT16.imposed(net):
        before = net(torch.ones(1, 3))
        before.sum().backward()
        change(net)
        assert not torch.equal(net(torch.ones(1, 3)), before)


@pytest.mark.parametrize("output", [lambda y: (y, [y]), lambda y: {"a": y}, lambda y: [y, None, 3]])
def test_an_output_of_many_parts_comes_out_in_float32_too(output):
    net = Net()
    net.__class__ = type("Parts", (Net,), {"forward": lambda self, x: output(self.layer(x))})
    with BFLOAT16.imposed(net):
        found = net(torch.ones(1, 3))
    tensors = [t for t in torch.utils._pytree.tree_leaves(found) if isinstance(t, torch.Tensor)]
    assert {t.dtype for t in tensors} == {torch.float32}


def test_images_and_kernels_lie_in_the_same_format_and_nothing_else_is_touched():
    net = nn.ModuleList([nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3), nn.LazyConv2d(4, 3), nn.ConvTranspose2d(3, 4, 3)])
    net.table = nn.Parameter(torch.zeros(1, 3, 8, 8))
    with Conditions(channels_last=True).imposed(net):
        pass
    kept = [tensor.is_contiguous() for tensor in (net[0].weight, net[1].weight, net[3].weight, net.table)]
    assert kept == [False, True, False, True]
    normalise = Normalise(replace(TASK, resize=16), memory_format=torch.channels_last)
    images = normalise(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_one_wish_is_given_up_at_a_time_and_plain_conditions_come_last():
    both = Conditions(bfloat16=True, channels_last=True)
    assert list(both.weaker()) == [both, Conditions(True, False), Conditions(False, True), PLAIN]
    assert list(BFLOAT16.weaker()) == [BFLOAT16, PLAIN]
    assert list(PLAIN.weaker()) == [PLAIN]


def test_rounding_is_the_same_output_and_another_reading_of_memory_is_not():
    output = torch.randn(2, 10)
    assert same_output(output, output + 1e-5)
    assert not same_output(output, output.flip(1))


def test_a_task_crosses_to_the_child_with_its_device():
    task = replace(TASK, device="cuda", memory_fraction=0.5, bfloat16=True, channels_last=True)
    assert Task.decode(task.encode()) == task
