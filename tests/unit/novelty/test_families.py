import pytest

from archloop.contracts.values import Family
from services.novelty.families import PRECEDENCE, family
from services.novelty.reach import read
from services.novelty.values import NOTHING, Values


def written(layers: str, steps: str, helpers: str = "") -> str:
    init = "".join(f"        {line}\n" for line in layers.split("; "))
    forward = "".join(f"        {line}\n" for line in steps.split("; "))
    return (
        f"import torch\nimport torch.nn as nn\nimport torch.nn.functional as F\n{helpers}\n"
        "class Net(nn.Module):\n    def __init__(self, in_shape, out_shape, prm, device):\n        super().__init__()\n"
        f"{init}    def forward(self, x):\n{forward}"
    )


GATE_MODULE = """
class Excite(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc = nn.Linear(c, c)
    def forward(self, x):
        return torch.sigmoid(self.fc(x.mean((2, 3))))[..., None, None]
"""
DENSE_LIST = "fs = [x]; for layer in self.layers:; \tfs.append(layer(torch.cat(fs, 1))); return torch.cat(fs, 1)"
EXTENDED = "fs = [x]; for f in self.layers:; \tfs.extend([f(torch.cat(fs, 1))]); return torch.cat(fs, 1)"
BRANCH_LIST = "o = []; for b in self.bs:; \to.append(b(x)); return torch.cat(o, 1)"
GATE = "self.g = nn.Sequential(nn.Conv2d(8, 8, 1), nn.Sigmoid())"
EXCITE = "x = self.a(x); w = torch.sigmoid(self.f(x.mean((2, 3)))); return x * w[:, :, None, None]"
IN_PLACE = "w = F.adaptive_avg_pool2d(x, 1); x = x * F.hardsigmoid(self.a(w)); return x + self.b(x)"
CONV = "self.a = nn.Conv2d(8, 8, 3); self.b = nn.Conv2d(8, 8, 3)"
CASES: dict[str, tuple[str, str, str]] = {
    "chain": ("plain", CONV, "x = F.relu(self.a(x)); return self.b(x)"),
    "size arithmetic": ("plain", CONV, "n = x.size(0) + x.size(1); return self.a(x).view(n, -1)"),
    "noise": ("plain", CONV, "x = x + torch.randn_like(x); return self.a(x)"),
    "swish": ("plain", CONV, "x = self.a(x); x = x * torch.sigmoid(x); return self.b(x)"),
    "sums in __init__": ("plain", CONV + "; c = 8; c = c + c; self.c = nn.Linear(c, c)", "return self.a(x)"),
    "skip": ("residual", CONV, "return x + self.a(x)"),
    "projected skip": ("residual", CONV, "y = self.a(x); y += self.b(x); return y"),
    "torch.add": ("residual", CONV, "return torch.add(self.a(x), x)"),
    "skip in a loop": ("residual", "self.layers = nn.ModuleList()", "for f in self.layers:; \tx = x + f(x); return x"),
    "skip while": ("residual", CONV, "while x.sum() > 1:; \tx = x + self.a(x); return x"),
    "skip of a turn before": ("residual", CONV, "y = 0; for n in range(3):; \tz = y + self.a(x); \ty = x; return z"),
    "no skip in a loop": ("plain", "self.layers = nn.ModuleList()", "for f in self.layers:; \tx = f(x); return x"),
    "depthwise": ("depthwise", "self.a = nn.Conv2d(8, 16, 3, groups=8)", "return self.a(x)"),
    "depthwise by name": ("depthwise", "c = 8; self.a = nn.Conv2d(c, c * 2, 3, groups=c)", "return self.a(x)"),
    "grouped only": ("plain", "self.a = nn.Conv2d(8, 8, 3, groups=2)", "return self.a(x)"),
    "one group": ("plain", "self.a = nn.Conv2d(8, 8, 3, groups=1)", "return self.a(x)"),
    "branches": ("inception", CONV, "return torch.cat([self.a(x), self.b(x)], 1)"),
    "branch list": ("inception", "self.bs = nn.ModuleList()", "return torch.cat([b(x) for b in self.bs], dim=1)"),
    "branch loop": ("inception", "self.bs = nn.ModuleList()", BRANCH_LIST),
    "branches added too": ("inception", CONV, "return x + torch.cat((self.a(x), self.b(x)), 1)"),
    "one part": ("plain", CONV, "return torch.cat([self.a(x)], 1)"),
    "growing": ("dense", CONV, "x = torch.cat([x, self.a(x)], 1); return x"),
    "growing list": ("dense", "self.layers = nn.ModuleList()", DENSE_LIST),
    "growing list, extended": ("dense", "self.layers = nn.ModuleList()", EXTENDED),
    "list of one": ("plain", CONV, "o = [self.a(x)]; return torch.cat([o.pop()], 1)"),
    "gate": ("gated", CONV, "return self.a(x) * torch.sigmoid(self.b(x))"),
    "tanh gate": ("gated", CONV, "return torch.tanh(self.a(x)) * self.b(x)"),
    "chunked gate": ("gated", CONV, "a, b = self.a(x).chunk(2, 1); return a * b.sigmoid()"),
    "glu": ("gated", CONV, "return F.glu(self.a(x), 1)"),
    "sequential gate": ("gated", CONV + "; " + GATE, "return self.a(x) * self.g(x)"),
    "excite": ("squeeze_excite", CONV + "; self.f = nn.Linear(8, 8)", EXCITE),
    "excite in place": ("squeeze_excite", CONV, IN_PLACE),
    "spatial mean": ("gated", CONV, "return x * torch.sigmoid(self.a(x.mean(1, keepdim=True)))"),
    "softmax head": ("plain", CONV, "return F.softmax(self.a(x).flatten(1), dim=1)"),
    "products": ("attention", CONV, "q, k = self.a(x), self.b(x); w = F.softmax(q @ k / 4, -1); return w @ q"),
    "a layer named softmax": (
        "attention",
        CONV + "; self.softmax = nn.Conv2d(8, 8, 3)",
        "q, k = self.a(x), self.softmax(x); w = F.softmax(q @ k / 4, -1); return w @ q",
    ),
    "bmm": ("attention", CONV, "e = torch.bmm(self.a(x), self.b(x)); return e.softmax(dim=-1)"),
    "softmax module": ("attention", CONV + "; self.s = nn.Softmax(-1)", "return self.s(torch.einsum('ij,jk', x, x))"),
    "multihead": ("attention", "self.m = nn.MultiheadAttention(8, 2)", "return x + self.m(x, x, x)[0]"),
}


@pytest.mark.parametrize(("expected", "layers", "steps"), CASES.values(), ids=CASES)
def test_a_hand_written_example_is_of_its_family(expected, layers, steps):
    assert family(read(written(layers, steps.replace("\t", "    ")))) == expected


def test_a_gate_made_by_a_module_of_the_file_is_seen_where_it_is_used():
    source = written(
        "self.e = Excite(8); self.a = nn.Conv2d(8, 8, 3)", "x = self.a(x); return x * self.e(x)", GATE_MODULE
    )
    assert family(read(source)) == "squeeze_excite"


def test_a_method_that_forward_calls_is_followed():
    source = (
        written("self.a = nn.Conv2d(8, 8, 3)", "return self.body(x)")
        + "    def body(self, y):\n        return y + self.a(y)\n"
    )
    assert family(read(source)) == "residual"


def test_loops_within_loops_are_followed_for_a_bounded_time():
    depth = 40
    loops = "; ".join("\t" * level + f"for n{level} in range(2):" for level in range(depth))
    steps = f"{loops}; {chr(9) * depth}x = x + self.a(x); return x"
    assert family(read(written("self.a = nn.Conv2d(8, 8, 3)", steps.replace("\t", "    ")))) == "residual"


def test_beyond_their_limit_values_are_nothing():
    values = Values(2)
    first = values.source()
    assert not values.exhausted
    second = values.derived([first])
    assert second.ancestry != first.ancestry
    assert values.exhausted
    assert values.derived([second]) is NOTHING


def test_code_that_net_never_reaches_has_no_family():
    unused = "class Unused(nn.Module):\n    def forward(self, x):\n        return torch.cat([x, self.f(x)], 1)\n"
    assert family(read(written("self.a = nn.Conv2d(8, 8, 3)", "return self.a(x)", unused))) == "plain"


def test_of_several_marks_the_first_in_order_gives_the_name():
    both = written("self.a = nn.Conv2d(8, 8, 3, groups=8)", "return x + self.a(x)")
    assert family(read(both)) == "depthwise"
    assert PRECEDENCE.index(Family.DEPTHWISE) < PRECEDENCE.index(Family.RESIDUAL)


def test_seed_networks_are_of_the_family_that_their_author_meant(seed_net):
    wrong = [(name, seed) for name in Family for seed in range(25) if family(read(seed_net(seed, name))) != name]
    assert len(wrong) <= 0.02 * 25 * len(Family), wrong
