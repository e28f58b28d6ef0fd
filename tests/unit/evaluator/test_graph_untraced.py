"""What is followed of a network that does more than call operators, and what leaves no hash of its graph."""

import random

import numpy as np
import pytest
import torch
from torch import nn

from services.evaluator.harness import graph
from tests.unit.evaluator.graphs import SHAPE, WIDTH, chained, conv, hashed, net


@torch.library.custom_op("archloop_test::doubled", mutates_args=())
def doubled(x: torch.Tensor) -> torch.Tensor:
    return x * 2


class Reversed(torch.autograd.Function):
    @staticmethod
    def forward(_context, x):
        return x.clone()

    @staticmethod
    def backward(_context, gradient):
        return -gradient


def branch(self, x):
    return self.c(x) if x.mean() > 0 else self.c(x) * 2


READ, DRAWN = "the program reads numbers", "it draws random numbers otherwise"


def stubborn(self, x):
    y = self.c(x)
    try:
        for _ in range(60_000):
            x = x + 1.5
    except:  # noqa: E722 - as a candidate may
        pass
    return y


UNTRACED = {
    "too many operators, and no end": (stubborn, "more than 50000 operators"),
    "a branch on the images": (branch, READ),
    "a number of them": (lambda s, x: s.c(x) * x.std().item(), READ),
    "by numpy": (lambda s, x: s.c(x) * float(x.numpy().mean()), READ),
    "as a list": (lambda s, x: s.c(x) * x.flatten().tolist()[0], READ),
    "as an array": (lambda s, x: s.c(x) + torch.from_numpy(np.asarray(x).copy()).mean(), READ),
    "a branch on a weight": (lambda s, x: s.c(x) if s.c.bias[0] > 5 else s.c(x) * 2, READ),
    "a branch on a draw": (lambda s, x: s.c(x) if torch.rand(1) < 0.5 else s.c(x) * 2, READ),
    "whether two are equal": (lambda s, x: s.c(x) if torch.equal(x, x * 1.5) else s.c(x) * 2, READ),
    "a draw of Python's": (lambda s, x: s.c(x) * random.random(), DRAWN),
    "a draw of numpy's": (lambda s, x: s.c(x) * np.random.rand(), DRAWN),
    "a backward pass of its own": (lambda s, x: Reversed.apply(s.c(x)) * 1.5, "ReversedBackward"),
    "a backward pass of its own at the end": (lambda s, x: Reversed.apply(s.c(x)), "ReversedBackward"),
    "an operator of its own": (lambda s, x: doubled(s.c(x)) * 2, "archloop_test"),
    "sparse tensors": (lambda s, x: s.c(x) * x.to_sparse().sum(), "layout"),
    "a list that is written to": (
        lambda s, x: (lambda y: (torch._foreach_add_([y], 1.0), y)[1])(s.c(x)),
        "_foreach_add",
    ),
    "too many operators": (lambda s, x: [x := x + 1.5 for _ in range(60_000)][-1], "more than 50000 operators"),
    "a pass that fails": (lambda s, x: s.c(x.flatten()), "RuntimeError"),
    "an exit": (lambda s, x: exit(3), "SystemExit"),
    "an error that cannot be told": (lambda s, x: (_ for _ in ()).throw(Untellable()), "a pass failed"),
    "an error in half a character": (lambda s, x: (_ for _ in ()).throw(ValueError("\ud800")), "ValueError: ?"),
}


class Untellable(Exception):
    def __str__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize("what", UNTRACED)
def test_what_does_not_show_in_a_graph_leaves_none_and_is_named(what):
    call, why = UNTRACED[what]
    found = graph.of(net(call, c=conv()), SHAPE)
    assert found.graph_sha256 is None
    assert why in found.untraced
    found.untraced.encode()


FOLLOWED = {
    "a number that nothing of the network is in": lambda s, x: s.c(x) * torch.arange(3.0)[2].item(),
    "a frozen part without gradients": lambda s, x: torch.no_grad()(s.c)(x),
    "complex numbers": lambda s, x: torch.fft.fft2(s.c(x)).conj().imag,
    "what it writes itself": lambda s, x: s.c(x).index_fill_(1, torch.tensor([0]), 0.0),
    "a dictionary": lambda s, x: {"made": s.c(x), "twice": [s.c(x) * 2]},
}


@pytest.mark.parametrize("what", FOLLOWED)
def test_other_ways_are_followed(what):
    made = net(FOLLOWED[what], c=conv())
    assert hashed(made) == hashed(made)
    assert hashed(made) != hashed(net(lambda s, x: s.c(x), c=conv()))


def test_neither_the_generators_nor_torch_itself_are_changed():
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    made = chained(nn.BatchNorm2d(WIDTH), nn.ReLU())
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = torch.Tensor.numpy, torch.Tensor.tolist, torch.is_grad_enabled()
    hashed(made)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
    assert (torch.Tensor.numpy, torch.Tensor.tolist, torch.is_grad_enabled()) == before


def test_memory_that_is_used_again_is_another_value():
    def wasteful(self, x):
        y = self.c(x)
        for step in range(50):
            torch.full_like(y, step).mul_(2)
            y = y * 1.5
        return y

    def tidy(self, x):
        y = self.c(x)
        for _ in range(50):
            y = y * 1.5
        return y

    assert hashed(net(wasteful, c=conv())) == hashed(net(tidy, c=conv()))
