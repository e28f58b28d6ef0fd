"""What a file does while it is defined changes the network as much as what it says, and is never an exact copy."""

import pytest

from archloop.contracts.values import Verdict
from services.novelty.compare import compare

NET = """
class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        layers, c = [], in_shape[1]
        for w in WIDTHS:
            layers += [nn.Conv2d(c, w, 3, padding=1), nn.ReLU()]
            c = w
        self.body = nn.Sequential(*layers)
        self.fc = nn.Linear(c, out_shape[0])

    def forward(self, x):
        return self.fc(self.body(x){combined}.mean((2, 3)))
"""
START = "import torch\nfrom torch import nn\n{docstring}\nWIDTHS = [16]\n"
GROWS = "class B:\n    def __init_subclass__(cls, w=8):\n        WIDTHS.append(w)\n"
NAMED = "class D:\n    def __set_name__(self, owner, name):\n        WIDTHS.append(8 * len(name))\n"
KEPT = "def kept(f):\n    WIDTHS.append(f(0))\n    return f\n"
FILLED = "def fill(n, into=WIDTHS):\n    into.extend([32] * n)\n"
PAIRS = {
    "a class body": ("class A:\n    x = 1\n", "class A:\n    WIDTHS.append(64)\n"),
    "a loop in a class body": ("class A:\n    x = 1\n", "class A:\n    for w in (8, 9):\n        WIDTHS.append(w)\n"),
    "a subclass": (f"{GROWS}class A(B):\n    pass\n", f"{GROWS}class A(B, w=64):\n    pass\n"),
    "no subclass": (GROWS, f"{GROWS}class A(B):\n    pass\n"),
    "a name that is told": (f"{NAMED}class A:\n    x = D()\n", f"{NAMED}class A:\n    longer = D()\n"),
    "a decorated method": (
        f"{KEPT}class A:\n    def f(self):\n        return 4\n",
        f"{KEPT}class A:\n    @kept\n    def f(self):\n        return 4\n",
    ),
    "a default that is changed": (FILLED, f"{FILLED}fill(2)\n"),
    "a default that is changed more": (f"{FILLED}fill(1)\n", f"{FILLED}fill(2)\n"),
    "a keyword's default": (
        FILLED.replace("n, into", "n, *, into"),
        FILLED.replace("n, into", "n, *, into") + "fill(3)\n",
    ),
    "the module by its name": ("import sys\n", "import sys\nsys.modules[__name__].WIDTHS = [64]\n"),
    "a seed before a shuffle": (
        "import random\nWIDTHS += [8, 4]\nrandom.seed(0)\nrandom.shuffle(WIDTHS)\n",
        "import random\nWIDTHS += [8, 4]\nrandom.seed(1)\nrandom.shuffle(WIDTHS)\n",
    ),
    "what an exception carries": (
        "try:\n    raise ValueError(8)\nexcept ValueError as e:\n    WIDTHS += e.args\n",
        "try:\n    raise ValueError(64)\nexcept ValueError as e:\n    WIDTHS += e.args\n",
    ),
    "an import that fails": (
        "try:\n    import math\n    WIDTHS += [8]\nexcept ImportError:\n    WIDTHS += [9]\n",
        "try:\n    import nosuch\n    WIDTHS += [8]\nexcept ImportError:\n    WIDTHS += [9]\n",
    ),
    "annotations": (
        "class A:\n    x: 8\nWIDTHS += A.__annotations__.values()\n",
        "class A:\n    x: 64\nWIDTHS += A.__annotations__.values()\n",
    ),
}
OPERATORS = [(" + 1", " - 1"), (" * x", " / x"), ("", ".abs()"), (" + (x > 0)", " + (x < 0)"), (" ** 2", " // 2")]


def verdict(first: str, second: str) -> Verdict | None:
    return compare([("first", first), ("second", second)], 0.85)[1].verdict


@pytest.mark.parametrize("what", PAIRS)
def test_what_runs_at_definition_counts(what: str) -> None:
    first, second = (START.format(docstring="") + code + NET.format(combined="") for code in PAIRS[what])
    assert verdict(first, second) not in {None, Verdict.EXACT_DUPLICATE}
    assert verdict(first, first) is Verdict.EXACT_DUPLICATE


def test_a_docstring_that_is_read_counts() -> None:
    code = "WIDTHS += map(int, __doc__.split())\n" + NET.format(combined="")
    first, second = (START.format(docstring="").replace("import", f'"""{n}"""\nimport', 1) + code for n in (8, 64))
    assert verdict(first, second) is not Verdict.EXACT_DUPLICATE


@pytest.mark.parametrize(("one", "other"), OPERATORS)
def test_operators_count_in_a_file_that_is_taken_as_it_is_written(one: str, other: str) -> None:
    changed = START.format(docstring="") + "globals()['WIDTHS'] = [8]\n"
    assert (
        verdict(changed + NET.format(combined=one), changed + NET.format(combined=other)) is not Verdict.EXACT_DUPLICATE
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("torch.cat([x, x], 1)", "torch.cat((x, x), 1)"),
        ("torch.stack([x, x], dim=1)", "torch.stack((x, x), 1)"),
        ("nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())(x)", "x.mean((2, 3))"),
        ("nn.Flatten()(nn.AdaptiveAvgPool2d((1, 1))(x))", "x.mean((2, 3))"),
        ("torch.flatten(nn.AdaptiveAvgPool2d(1)(x), start_dim=1, end_dim=-1)", "x.mean((2, 3))"),
    ],
)
def test_tensors_in_a_list_or_a_tuple_and_pooling_in_a_sequence_are_the_same(one: str, other: str) -> None:
    nets = [
        f"import torch\nfrom torch import nn\nclass Net(nn.Module):\n    def forward(self, x):\n        return {e}\n"
        for e in (one, other)
    ]
    assert verdict(*nets) is Verdict.EXACT_DUPLICATE
