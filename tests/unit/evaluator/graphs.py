"""Small networks whose forward pass a test writes down, and the hashes of their graphs."""

import copy

from torch import nn

from services.evaluator.harness import graph

SHAPE = (3, 8, 8)
WIDTH = 6


class Called(nn.Module):
    """What `call` makes of the network and the images, with parts by name."""

    def __init__(self, call, **parts: nn.Module) -> None:
        super().__init__()
        self.call = call
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.call(self, x)


def net(call, **parts) -> nn.Module:
    return Called(call, **parts)


def conv(given: int = 3, made: int = WIDTH, **options) -> nn.Conv2d:
    return nn.Conv2d(given, made, 3, **{"padding": 1} | options)


def hashed(made: nn.Module, shape: tuple[int, ...] = SHAPE) -> str:
    found = graph.of(copy.deepcopy(made), shape)
    assert found.graph_sha256, found.untraced
    return found.graph_sha256


def chained(*parts):
    return nn.Sequential(conv(), *parts)
