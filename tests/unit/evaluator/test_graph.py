"""Which spellings are the same graph, and which changes another one."""

import pytest
import torch
from torch import nn

from tests.unit.evaluator.graphs import WIDTH, chained, conv, hashed, net

F = nn.functional


def shortcut(self, x):
    return self.b(self.a(x)) + self.a(x)


class Same(nn.Module):
    """A block whose attributes are made in the other order and called otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self.normalise, self.layer = nn.BatchNorm2d(WIDTH), conv()

    def forward(self, images):
        made = self.layer(images)
        made = self.normalise.forward(made)
        return made.relu()


BLOCK = [nn.BatchNorm2d(WIDTH), nn.ReLU()]
POOLED = nn.Sequential(conv(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 4))
HEAD = {"c": conv(), "f": nn.Linear(WIDTH, 4)}
TWO = {"a": conv(), "b": conv()}
GATE = {"c": conv(), "g": nn.Linear(WIDTH, WIDTH)}
DROPPED = {"c": conv(), "d": nn.Dropout(0.3)}


def gated(self, x):
    return torch.sigmoid(self.g(x.mean((2, 3))))


def in_place(self, x):
    y = self.c(x)
    y.add_(1.0)
    y.relu_()
    return y


def written(self, x):
    y = self.c(x)
    out = torch.zeros_like(y)
    out[:] = y
    return out


RESPELLED = {
    "attributes in another order, other names, methods": (chained(*BLOCK), Same()),
    "functions for modules": (
        chained(nn.ReLU(), nn.MaxPool2d(2)),
        net(lambda s, x: F.max_pool2d(F.relu(s.c(x)), 2), c=conv()),
    ),
    "in place": (chained(nn.ReLU()), chained(nn.ReLU(inplace=True))),
    "methods in place": (net(lambda s, x: F.relu(s.c(x) + 1), c=conv()), net(in_place, c=conv())),
    "clamped at 0": (chained(nn.ReLU()), net(lambda s, x: s.c(x).clamp(min=0), c=conv())),
    "hardtanh for relu6": (chained(nn.ReLU6()), net(lambda s, x: s.c(x).clamp(0, 6), c=conv())),
    "silu by hand": (chained(nn.SiLU()), net(lambda s, x: torch.sigmoid(s.c(x)) * s.c(x), c=conv())),
    "mean for a pool to one": (POOLED, net(lambda s, x: s.f(s.c(x).mean([2, 3])), **HEAD)),
    "mean, dimensions from the back": (
        POOLED,
        net(lambda s, x: s.f(torch.mean(s.c(x), (-1, -2), keepdim=True).flatten(1)), **HEAD),
    ),
    "a pool over the whole map": (
        POOLED,
        net(lambda s, x: s.f(F.avg_pool2d(s.c(x), 8).squeeze(-1).squeeze(-1)), **HEAD),
    ),
    "view, reshape, flatten": (
        chained(nn.Flatten()),
        net(lambda s, x: s.c(x).contiguous().view(x.size(0), -1), c=conv()),
    ),
    "views that change nothing": (
        chained(),
        net(lambda s, x: s.c(x).clone().permute(0, 2, 3, 1).permute(0, 3, 1, 2)[:], c=conv()),
    ),
    "the other operand first": (
        net(shortcut, a=conv(), b=conv(WIDTH)),
        net(lambda s, x: s.c(x) + s.d(s.c(x)), c=conv(), d=conv(WIDTH)),
    ),
    "computed twice": (
        net(shortcut, a=conv(), b=conv(WIDTH)),
        net(lambda s, x: (lambda y: s.b(y) + y)(s.a(x)), a=conv(), b=conv(WIDTH)),
    ),
    "independent lines in another order": (
        net(lambda s, x: torch.cat([s.a(x), s.b(x)], 1), **TWO),
        net(lambda s, x: (lambda y: torch.concat([s.b(x), y], dim=-3))(s.a(x)), **TWO),
    ),
    "sum of a list": (net(lambda s, x: s.a(x) + s.b(x), **TWO), net(lambda s, x: sum([s.b(x), s.a(x)]), **TWO)),
    "expanded by hand": (
        net(lambda s, x: s.c(x) * gated(s, s.c(x))[..., None, None], **GATE),
        net(lambda s, x: s.c(x) * gated(s, s.c(x)).view(2, WIDTH, 1, 1).expand_as(s.c(x)), **GATE),
    ),
    "one image after the other": (chained(), net(lambda s, x: torch.vmap(s.c)(x), c=conv())),
    "what nobody uses": (chained(), net(lambda s, x: (s.c(x), s.e(x))[0], c=conv(), e=conv())),
    "dropout as a function": (
        net(lambda s, x: s.d(s.c(x)), **DROPPED),
        net(lambda s, x: F.dropout(s.c(x), 0.3, s.training), c=conv()),
    ),
    "dropout of nothing": (chained(), chained(nn.Dropout(0.0), nn.Identity())),
    "a product and a sum": (
        nn.Sequential(nn.Flatten(), nn.Linear(192, 4)),
        net(lambda s, x: x.flatten(1) @ s.f.weight.t() + s.f.bias, f=nn.Linear(192, 4)),
    ),
    "pieces": (
        net(lambda s, x: s.c(x)[:, :2] * s.c(x)[:, 2:4], c=conv()),
        net(lambda s, x: (lambda p: p[1] * p[0])(s.c(x).chunk(3, dim=1)), c=conv()),
    ),
    "written into zeros": (chained(), net(written, c=conv())),
    "to where and what it is": (chained(), net(lambda s, x: s.c(x.to("cpu")).to(torch.float32), c=conv())),
    "another start": (chained(), nn.Sequential(nn.init.zeros_(conv().weight) is None or conv())),
    "pools of one": (chained(), chained(nn.AvgPool2d(1, 1), nn.MaxPool2d(1))),
    "a mean of one": (
        chained(nn.MaxPool2d(8), nn.Flatten()),
        chained(nn.MaxPool2d(8), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    ),
    "what the stride is anyway": (
        chained(nn.AvgPool2d(2)),
        net(lambda s, x: F.avg_pool2d(s.c(x), (2, 2), stride=2), c=conv()),
    ),
}


@pytest.mark.parametrize("what", RESPELLED)
def test_a_network_spelt_otherwise_is_the_same_graph(what):
    one, other = RESPELLED[what]
    assert hashed(one) == hashed(other)


class Shared(nn.Module):
    def __init__(self, *, shared: bool, between: bool = False) -> None:
        super().__init__()
        self.first = conv(3, 3)
        self.second = self.first if shared else conv(3, 3)

    def forward(self, x):
        return self.second(self.first(x))


def half(call):
    return net(lambda s, x: torch.cat([s.a(x), call(s.b(x))], 1), **TWO)


CHANGED = {
    "width": (conv(), conv(made=WIDTH + 1)),
    "kernel": (conv(), nn.Conv2d(3, WIDTH, 5, padding=2)),
    "depth": (chained(), chained(conv(WIDTH))),
    "stride": (conv(), conv(stride=2)),
    "padding": (conv(), conv(padding=0)),
    "padding of another kind": (conv(), conv(padding_mode="reflect")),
    "dilation": (conv(), conv(padding=2, dilation=2)),
    "groups": (chained(conv(6, 6)), chained(conv(6, 6, groups=2))),
    "bias": (conv(), conv(bias=False)),
    "activation": (chained(nn.ReLU()), chained(nn.GELU())),
    "its slope": (chained(nn.LeakyReLU(0.1)), chained(nn.LeakyReLU(0.2))),
    "weights shared": (Shared(shared=True), Shared(shared=False)),
    "weights of a branch shared": (
        net(lambda s, x: s.a(x) * 2 + s.b(x).abs(), **TWO),
        net(lambda s, x: s.a(x) * 2 + s.a(x).abs(), a=conv()),
    ),
    "dropout": (chained(nn.Dropout(0.3)), chained()),
    "dropout rate": (chained(nn.Dropout(0.3)), chained(nn.Dropout(0.4))),
    "dropout of whole maps": (chained(nn.Dropout(0.3)), chained(nn.Dropout2d(0.3))),
    "dropout twice": (chained(nn.Dropout(0.3)), chained(nn.Dropout(0.3), nn.Dropout(0.3))),
    "dropout always": (chained(nn.Dropout(0.3)), net(lambda s, x: F.dropout(s.c(x), 0.3), c=conv())),
    "pooling": (chained(nn.MaxPool2d(2)), chained(nn.AvgPool2d(2))),
    "a pool of one with a stride": (chained(nn.MaxPool2d(1, 2)), chained()),
    "size of a pool": (chained(nn.MaxPool2d(2)), chained(nn.MaxPool2d(4))),
    "normalisation": (chained(nn.BatchNorm2d(WIDTH)), chained(nn.GroupNorm(2, WIDTH))),
    "groups of a normalisation": (chained(nn.GroupNorm(3, WIDTH)), chained(nn.GroupNorm(2, WIDTH))),
    "momentum of a normalisation": (chained(nn.BatchNorm2d(WIDTH)), chained(nn.BatchNorm2d(WIDTH, momentum=0.2))),
    "epsilon": (chained(nn.BatchNorm2d(WIDTH)), chained(nn.BatchNorm2d(WIDTH, eps=1e-3))),
    "normalised by the batch in evaluation": (
        chained(nn.BatchNorm2d(WIDTH)),
        chained(nn.BatchNorm2d(WIDTH, track_running_stats=False)),
    ),
    "order of a concatenation": (half(torch.relu), net(lambda s, x: torch.cat([torch.relu(s.b(x)), s.a(x)], 1), **TWO)),
    "order of layers": (chained(nn.ReLU(), nn.BatchNorm2d(WIDTH)), chained(nn.BatchNorm2d(WIDTH), nn.ReLU())),
    "a shortcut": (net(shortcut, a=conv(), b=conv(WIDTH)), net(lambda s, x: s.b(s.a(x)), a=conv(), b=conv(WIDTH))),
    "where a shortcut begins": (
        net(lambda s, x: s.b(s.a(x)) + x, a=conv(3, 3), b=conv(3, 3)),
        net(lambda s, x: s.b(s.a(x)) + s.a(x), a=conv(3, 3), b=conv(3, 3)),
    ),
    "sum for product": (net(lambda s, x: s.a(x) + s.b(x), **TWO), net(lambda s, x: s.a(x) * s.b(x), **TWO)),
    "which is subtracted": (
        net(lambda s, x: s.a(x) - s.b(x).relu(), **TWO),
        net(lambda s, x: s.b(x).relu() - s.a(x), **TWO),
    ),
    "a factor": (net(lambda s, x: s.a(x) * 2, a=conv()), net(lambda s, x: s.a(x) * 3, a=conv())),
    "a constant's content": (
        net(lambda s, x: s.c(x) * torch.tensor([1.0, 2.0] * 4), c=conv()),
        net(lambda s, x: s.c(x) * torch.tensor([1.0, 3.0] * 4), c=conv()),
    ),
    "gradients stopped": (
        net(shortcut, a=conv(), b=conv(WIDTH)),
        net(lambda s, x: s.b(s.a(x).detach()) + s.a(x), a=conv(), b=conv(WIDTH)),
    ),
    "gradients stopped by data": (
        net(shortcut, a=conv(), b=conv(WIDTH)),
        net(lambda s, x: s.b(s.a(x).data) + s.a(x), a=conv(), b=conv(WIDTH)),
    ),
    "frozen": (conv(), conv().requires_grad_(requires_grad=False)),
    "only in training": (chained(), net(lambda s, x: s.c(x).tanh() if s.training else s.c(x), c=conv())),
    "only in evaluation": (chained(), net(lambda s, x: s.c(x) if s.training else s.c(x).tanh(), c=conv())),
    "a second output in training": (
        net(lambda s, x: (s.a(x), s.b(x)) if s.training else s.a(x), **TWO),
        net(lambda s, x: s.a(x), **TWO),
    ),
    "dimension of a mean": (net(lambda s, x: s.c(x).mean(2), c=conv()), net(lambda s, x: s.c(x).mean(3), c=conv())),
    "dimension of a softmax": (chained(nn.Softmax(1)), chained(nn.Softmax(2))),
    "which part": (net(lambda s, x: s.c(x)[:, :3], c=conv()), net(lambda s, x: s.c(x)[:, 3:], c=conv())),
    "transposed": (conv(3, 3), nn.ConvTranspose2d(3, 3, 3, padding=1)),
    "permuted before a reshape": (chained(nn.Flatten()), net(lambda s, x: s.c(x).transpose(1, 2).flatten(1), c=conv())),
    "heads": (
        net(lambda s, x: s.m(*(x.flatten(2),) * 3)[0], m=nn.MultiheadAttention(64, 2)),
        net(lambda s, x: s.m(*(x.flatten(2),) * 3)[0], m=nn.MultiheadAttention(64, 4)),
    ),
    "both ways": (
        net(lambda s, x: s.l(x.flatten(2))[0], l=nn.LSTM(64, 4)),
        net(lambda s, x: s.l(x.flatten(2))[0], l=nn.LSTM(64, 4, bidirectional=True)),
    ),
    "part written over": (
        net(written, c=conv()),
        net(lambda s, x: (lambda y: (y[:, 0].zero_(), y)[1])(s.c(x)), c=conv()),
    ),
}


@pytest.mark.parametrize("what", CHANGED)
def test_a_real_change_is_another_graph(what):
    one, other = CHANGED[what]
    assert hashed(one) != hashed(other)


def test_a_parameter_that_is_yet_to_be_shaped_is_like_one_that_was():
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(4))
    assert hashed(lazy) == hashed(nn.Sequential(nn.Flatten(), nn.Linear(192, 4)))


def test_it_is_the_same_each_time_and_of_the_input_shape():
    assert hashed(chained(*BLOCK)) == hashed(chained(*BLOCK))
    assert hashed(conv()) != hashed(conv(), (3, 16, 16))
