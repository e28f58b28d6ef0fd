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


def test_a_network_that_fails_has_no_costs_but_a_reason():
    found = cost(nn.Linear(3, 3), torch.zeros(2, 4))
    assert (found.flops, found.activation_bytes) == (None, None)
    assert "shapes cannot be multiplied" in found.uncounted


class Calls(nn.Module):
    """Whatever is done with the images, and parameters that autograd has to follow."""

    def __init__(self, call, *parts: nn.Module) -> None:
        super().__init__()
        self.call, self.parts = call, nn.ModuleList(parts)
        self.weight = nn.Parameter(torch.zeros(6, 6))

    def forward(self, x):
        return self.call(self, x)


SEQUENCE = torch.zeros(2, 5, 6)
F = nn.functional
STEPS, WIDE = 5, 8
BY_HAND = {
    "lstm": (lambda s, x: s.parts[0](x)[0], nn.LSTM(6, WIDE, batch_first=True), STEPS * 2 * 4 * WIDE * (6 + WIDE)),
    "lstm, two layers, both ways": (
        lambda s, x: s.parts[0](x)[0],
        nn.LSTM(6, WIDE, 2, batch_first=True, bidirectional=True),
        STEPS * 2 * 4 * WIDE * 2 * ((6 + WIDE) + (2 * WIDE + WIDE)),
    ),
    "gru": (lambda s, x: s.parts[0](x)[0], nn.GRU(6, WIDE, batch_first=True), STEPS * 2 * 3 * WIDE * (6 + WIDE)),
    "rnn": (lambda s, x: s.parts[0](x)[0], nn.RNN(6, WIDE, batch_first=True), STEPS * 2 * WIDE * (6 + WIDE)),
    "lstm cell": (lambda s, x: s.parts[0](x[:, 0])[0], nn.LSTMCell(6, WIDE), 2 * 4 * WIDE * (6 + WIDE)),
    "attention": (
        lambda s, x: F.scaled_dot_product_attention(*(x @ s.weight,) * 3),
        nn.Identity(),
        2 * STEPS * 6 * 6 + 2 * 2 * STEPS * STEPS * 6,
    ),
    "attention of many heads": (
        lambda s, x: s.parts[0](x, x, x, need_weights=False)[0],
        nn.MultiheadAttention(6, 3, batch_first=True),
        2 * STEPS * 6 * 18 + 2 * 2 * STEPS * STEPS * 6 + 2 * STEPS * 6 * 6,
    ),
    "einsum": (lambda s, x: torch.einsum("bsi,ij->bsj", x, s.weight), nn.Identity(), 2 * STEPS * 6 * 6),
    "one vector": (lambda s, x: torch.stack([s.weight @ row for row in x[:, 0]]), nn.Identity(), 2 * 6 * 6),
    "grouped convolution": (lambda s, x: s.parts[0](x.mT), nn.Conv1d(6, 6, 1, groups=3), 2 * STEPS * 6 * 2),
    "pointwise": (
        lambda s, x: F.hardswish(F.gelu(x).softmax(-1).cumsum(1) * s.weight[0]).sort(1)[0].abs_(),
        nn.LayerNorm(6),
        0,
    ),
}


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize("what", BY_HAND)
def test_every_product_counts_whichever_kernel_computes_it(what, device):
    call, part, expected = BY_HAND[what]
    with torch.device(device):
        net = Calls(call, part).eval().to(device)
        assert cost(net, SEQUENCE.to(device))[::2] == (expected, "")


@pytest.mark.parametrize(
    ("call", "named"),
    [(lambda s, x: torch.fft.fft2(x * s.weight[0]).real, "_fft"),
     (lambda s, x: torch.cdist(x, x * s.weight[0]), "_cdist"),
     (lambda s, x: torch.linalg.solve(s.weight + torch.eye(6), x.mT), "linalg"),
     (lambda s, x: F.bilinear(x, x, s.weight[None]), "_trilinear"),
     (lambda s, x: torch.sparse.mm(torch.eye(6).to_sparse(), x[0].mT * s.weight[0, 0]), "_sparse"),
     (lambda s, x: torch.ops.archloop_test.own(x), "archloop_test")],
)  # fmt: skip
def test_what_torch_has_no_count_for_leaves_none_and_is_named(call, named):
    found = cost(Calls(call).eval(), SEQUENCE)
    assert found.flops is None
    assert named in found.uncounted


@torch.library.custom_op("archloop_test::own", mutates_args=())
def own(x: torch.Tensor) -> torch.Tensor:
    return x @ x.mT


def test_parameters_without_memory_are_left_out_and_sparse_ones_make_it_unknown():
    lazy = Calls(lambda s, x: x @ s.weight, nn.LazyLinear(3)).eval()
    assert cost(lazy, SEQUENCE).flops == 2 * STEPS * 6 * 6
    sparse = Calls(lambda s, x: torch.sparse.mm(s.sp * s.weight[0, 0], x[0].mT)).eval()
    sparse.register_buffer("sp", torch.eye(6).to_sparse())
    assert cost(sparse, SEQUENCE).activation_bytes is None
