"""Torch's own aliases, and what torch takes in several forms: what the reader calls one spelling computes the same."""

import pytest
import torch
import torch.nn.functional
from torch import nn

from services.novelty.call_signatures import ALIASES, LAYERS, canonical
from services.novelty.normalise import normalise

HEAD = "import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n"
APPLIED = "return self.a(x)"
ADDED = "for k in {}:\n    x = x + k\nreturn x"
CONV = "self.a = nn.Conv2d(3, 3, 3, padding=1)"


def program(forward: str, init: str = CONV, head: str = "") -> str:
    body, made = ("\n".join(f"        {line}" for line in text.split("\n")) for text in (forward, init))
    return (
        f"{HEAD}{head}\n\nclass Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n{made}\n\n"
        f"    def forward(self, x):\n{body}\n"
    )


def computed(source: str) -> torch.Tensor:
    names: dict[str, type[nn.Module]] = {}
    torch.manual_seed(3)
    exec(source, names)
    made = names["Net"]()
    return made(torch.arange(96.0).view(2, 3, 4, 4).sin())


FORWARD = {
    "concat": ("y = self.a(x)\nreturn torch.cat([x, y], 1)", "y = self.a(x)\nreturn torch.concat((x, y), dim=1)"),
    "concatenate": ("return torch.cat([x, x], 2)", "return torch.concatenate([x, x], axis=2)"),
    "cat by axis": ("return torch.cat((x, x), -1)", "return torch.cat([x, x], axis=-1)"),
    "stack by axis": ("return torch.stack((x, x), 1)", "return torch.stack([x, x], axis=1)"),
    "mean by axis": ("return self.a(x).mean((2, 3))", "return torch.mean(self.a(x), axis=[2, 3])"),
    "keepdims": ("return self.a(x).mean(1, True)", "return self.a(x).mean(axis=1, keepdims=True)"),
    "one dimension in a list": ("return self.a(x).sum([1])", "return torch.sum(self.a(x), dim=1)"),
    "the largest by axis": ("return self.a(x).amax((2, 3))", "return torch.amax(self.a(x), axis=[2, 3])"),
    "a method that adds": ("return self.a(x) + x", "return self.a(x).add(x)"),
    "adding once": ("y = self.a(x)\nreturn y + x", "y = self.a(x)\nreturn torch.add(y, x, alpha=1)"),
    "adding to a function's result": ("return F.relu(x) + x", "return x.relu().add(x)"),
    "multiply": ("return self.a(x) * x", "return torch.multiply(self.a(x), x)"),
    "a method that multiplies": ("return self.a(x) * 2", "return self.a(x).multiply(2)"),
    "subtract": ("return self.a(x) - x", "return self.a(x).subtract(x)"),
    "divide": ("return self.a(x) / 2", "return torch.divide(self.a(x), 2)"),
    "true divide": ("return self.a(x) / 2", "return self.a(x).true_divide(2)"),
    "power": ("return self.a(x) ** 2", "return torch.pow(self.a(x), 2)"),
    "a method's power": ("return self.a(x) ** 2", "return self.a(x).pow(exponent=2)"),
    "negation": ("return -self.a(x)", "return torch.neg(self.a(x))"),
    "a negative": ("return -self.a(x)", "return self.a(x).negative()"),
    "product of matrices": ("y = self.a(x)\nreturn y @ x", "y = self.a(x)\nreturn y.matmul(x)"),
    "clip": ("return self.a(x).clamp(0, 1)", "return torch.clip(self.a(x), min=0, max=1)"),
    "absolute": ("return torch.abs(self.a(x))", "return self.a(x).absolute()"),
    "swapaxes": ("return self.a(x).transpose(1, 2)", "return self.a(x).swapaxes(1, 2)"),
    "swapdims": ("return torch.transpose(x, 1, 3)", "return torch.swapdims(x, 1, 3)"),
    "moveaxis": ("return x.movedim(1, -1)", "return torch.moveaxis(x, 1, -1)"),
    "flattening by reshape": (
        "y = self.a(x)\nreturn y.flatten(1)",
        "y = self.a(x)\nreturn torch.reshape(y, [y.size(0), -1])",
    ),
    "size by name": ("y = self.a(x)\nreturn y.flatten(1)", "y = self.a(x)\nreturn y.view(y.size(dim=0), -1)"),
    "sizes of a pooling": ("return F.avg_pool2d(x, (2, 1))", "return F.avg_pool2d(x, [2, 1], stride=[2, 1])"),
    "a list to go through": (ADDED.format("[1, 2, 3]"), ADDED.format("(1, 2, 3)")),
    "a list in a comprehension": ("return sum([x * k for k in [1, 2]])", "return sum([x * k for k in (1, 2)])"),
    "a range from zero": (
        "for k in range(3):\n    x = x * k\nreturn x",
        "for k in range(0, 3):\n    x = x * k\nreturn x",
    ),
    "a range by one": ("return x[range(1, 2)]", "return x[range(1, 2, 1)]"),
    "counting from zero": (
        "for k, _ in enumerate(x):\n    x = x + k\nreturn x",
        "for k, _ in enumerate(x, start=0):\n    x = x + k\nreturn x",
    ),
}
MADE = {
    "sizes in a list": (
        "self.a = nn.Conv2d(3, 3, (3, 5), padding=(1, 2))",
        "self.a = nn.Conv2d(3, 3, [3, 5], 1, [1, 2])",
    ),
    "sizes of a stride": ("self.a = nn.Conv2d(3, 3, 3, (2, 1))", "self.a = nn.Conv2d(3, 3, 3, stride=[2, 1])"),
    "sizes to pool to": ("self.a = nn.AdaptiveAvgPool2d((2, 1))", "self.a = nn.AdaptiveAvgPool2d([2, 1])"),
    "one size to norm": ("self.a = nn.LayerNorm(4)", "self.a = nn.LayerNorm([4])"),
    "sizes to norm": ("self.a = nn.LayerNorm((4, 4))", "self.a = nn.LayerNorm([4, 4])"),
    "the package of layers": (CONV, "self.a = nn.modules.Conv2d(3, 3, 3, padding=1)"),
    "the module of a layer": (CONV, "self.a = torch.nn.modules.conv.Conv2d(3, 3, 3, padding=1)"),
    "a tuple of layers": (
        "self.b = nn.ModuleList([nn.ReLU(), nn.Tanh()])\nself.a = self.b[1]",
        "self.b = nn.ModuleList(modules=(nn.ReLU(), nn.Tanh()))\nself.a = self.b[1]",
    ),
}
IMPORTED = {
    "a layer of its module": (
        program(APPLIED),
        program(APPLIED, "self.a = Conv2d(3, 3, 3, padding=1)", "from torch.nn.modules.conv import Conv2d"),
    ),
    "a function by another name": (
        program("return F.relu(self.a(x))"),
        program("return act(self.a(x))", head="from torch.nn.functional import relu as act"),
    ),
    "the functions by another name": (
        program("return F.silu(self.a(x))"),
        program("return fn.silu(self.a(x))", head="from torch.nn import functional as fn"),
    ),
    "an alias that is imported": (
        program("return torch.cat((x, x), 1)"),
        program("return join([x, x], 1)", head="from torch import concat as join"),
    ),
    "constants in one line": (
        program(APPLIED, "self.a = nn.Conv2d(C, H, 3)", "C = 3\nH = 8"),
        program(APPLIED, "self.a = nn.Conv2d(C, H, 3)", "C, H = 3, 8"),
    ),
    "constants in brackets": (
        program(APPLIED, "self.a = nn.Conv2d(3, 8, 3, bias=False)"),
        program(APPLIED, "self.a = nn.Conv2d(C, H, 3, bias=B)", "[C, H, B] = (3, 8, False)"),
    ),
}
SAME = {
    **{what: (program(one), program(other)) for what, (one, other) in FORWARD.items()},
    **{what: (program(APPLIED, one), program(APPLIED, other)) for what, (one, other) in MADE.items()},
    **IMPORTED,
}


@pytest.mark.parametrize("what", SAME)
def test_forms_that_are_one_to_torch_are_one_network(what: str) -> None:
    one, other = SAME[what]
    assert normalise(one) == normalise(other)
    assert torch.equal(computed(one), computed(other))


OTHER = {
    "along another axis": ("return torch.cat((x, x), 1)", "return torch.cat((x, x), axis=2)"),
    "kept dimensions": ("return x.mean(axis=1)", "return x.mean(axis=1, keepdims=True)"),
    "added twice": ("return torch.add(self.a(x), x)", "return torch.add(self.a(x), x, alpha=2)"),
    "operands of a difference": ("return self.a(x).subtract(x)", "return x.subtract(self.a(x))"),
    "operands of a power": ("return torch.pow(self.a(x), 2)", "return torch.pow(2, self.a(x))"),
    "rounded": ("return torch.divide(self.a(x), 2)", "return torch.divide(self.a(x), 2, rounding_mode='floor')"),
    "clipped elsewhere": ("return self.a(x).clip(0, 1)", "return self.a(x).clip(1, 0)"),
    "stacked or joined": ("return torch.cat((x, x), 1)", "return torch.row_stack((x, x))"),
    "axes swapped": ("return x.swapaxes(1, 2)", "return x.swapaxes(1, 3)"),
    "an axis moved or swapped": ("return torch.moveaxis(x, 1, 3)", "return torch.swapaxes(x, 1, 3)"),
    "flattened by another's size": (
        "y = self.a(x)\nreturn torch.reshape(y, (y.size(0), -1))",
        "y = self.a(x)\nreturn torch.reshape(y, (x.size(1), -1))",
    ),
    "a range from one": (ADDED.format("range(1, 3)"), ADDED.format("range(3, 3)")),
    "a range by two": (ADDED.format("range(0, 3, 2)"), ADDED.format("range(0, 3)")),
    "a range down": (ADDED.format("range(0, 3, 1)"), ADDED.format("range(0, -3, -1)")),
    "counted from one": (
        "for k, _ in enumerate(x, 1):\n    x = x + k\nreturn x",
        "for k, _ in enumerate(x):\n    x = x + k\nreturn x",
    ),
    "a set that grows": (
        "s = {4}\nn = len(s)\ns.add(3)\nreturn x * n",
        "s = {4}\ns.add(3)\nn = len(s)\nreturn x * n",
    ),
    "a set whose growth is read": (
        "s = {4}\nn = len(s)\ny = s.add(3)\nreturn x * n",
        "s = {4}\ny = s.add(3)\nn = len(s)\nreturn x * n",
    ),
}
OTHER_MADE = {
    "a rectangle turned": ("self.a = nn.Conv2d(3, 3, [3, 1])", "self.a = nn.Conv2d(3, 3, [1, 3])"),
    "normed over more": ("self.a = nn.LayerNorm([4])", "self.a = nn.LayerNorm([4, 4])"),
    "a list in another order": (
        "self.b = nn.ModuleList((nn.ReLU(), nn.Tanh()))\nself.a = self.b[1]",
        "self.b = nn.ModuleList([nn.Tanh(), nn.ReLU()])\nself.a = self.b[1]",
    ),
}
DIFFERENT = {
    **{what: (program(one), program(other)) for what, (one, other) in OTHER.items()},
    **{what: (program(APPLIED, one), program(APPLIED, other)) for what, (one, other) in OTHER_MADE.items()},
    "constants swapped": (
        program(APPLIED, "self.a = nn.Conv2d(3, C * H * H, 3)", "C, H = 3, 8"),
        program(APPLIED, "self.a = nn.Conv2d(3, C * H * H, 3)", "C, H = 8, 3"),
    ),
    "constants changed afterwards": (
        program(APPLIED, "self.a = nn.Conv2d(3, H, 3)", "C, H = 3, 8\nH += 1"),
        program(APPLIED, "self.a = nn.Conv2d(3, H, 3)", "C, H = 3, 8"),
    ),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_computes_something_else_is_another_network(what: str) -> None:
    one, other = DIFFERENT[what]
    assert normalise(one) != normalise(other)
    here, there = computed(one), computed(other)
    assert here.shape != there.shape or not torch.equal(here, there)


def test_a_layer_has_one_name_wherever_it_is_taken_from() -> None:
    homes = {name: getattr(nn, name).__module__ for name in LAYERS}
    there = {name: home for name, home in homes.items() if home.startswith("torch.nn.modules.")}
    names = {name: {canonical(f"{h}.{name}") for h in (home, "torch.nn.modules")} for name, home in there.items()}
    assert names == {name: {canonical(f"torch.nn.{name}")} for name in there}
    assert len(there) > 50


def test_layers_of_other_packages_keep_theirs() -> None:
    assert canonical("torch.ao.nn.quantized.Conv2d") != canonical("torch.nn.quantized.modules.Conv2d") != "Conv2d"
    assert canonical("numpy.concatenate") == "numpy.concatenate"
    assert canonical("other.concat") == "other.concat"


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_an_alias_is_torchs_own(name: str) -> None:
    given = {
        "cat": ([torch.ones(2), torch.zeros(1)],),
        "vstack": ([torch.ones(2), torch.zeros(2)],),
        "transpose": (torch.arange(6.0).view(2, 3), 0, 1),
        "movedim": (torch.arange(6.0).view(1, 2, 3), 0, 2),
        "clamp": (torch.arange(6.0), 1, 3),
        "outer": (torch.arange(3.0), torch.arange(2.0)),
        "trapezoid": (torch.arange(3.0), torch.arange(3.0)),
    }
    pair = (torch.tensor([0.25, 0.5, 1.5]), torch.tensor([0.5, 0.5, 0.75]))
    arguments = given.get(ALIASES[name], pair[: 1 if len(LONE & {ALIASES[name]}) else 2])
    one, other = getattr(torch, name)(*arguments), getattr(torch, ALIASES[name])(*arguments)
    assert torch.equal(torch.nan_to_num(one, 7.0), torch.nan_to_num(other, 7.0))


LONE = frozenset({"abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "trunc", "neg"})
