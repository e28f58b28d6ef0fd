"""Definitions of a program: which of them count, and by what; each pair differs in one line."""

import pytest

from services.novelty.normalise import normalise

HEAD = """
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.checkpoint import checkpoint
"""
NET = """
{above}
class Net(nn.Module):
{members}
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.a = nn.Linear(4, 4)
{layers}
    def forward(self, x):
{lines}
        return self.a(x)
{below}
"""


def tokens(above: str = "", members: str = "", layers: str = "", lines: str = "", below: str = "") -> tuple[str, ...]:
    """The tokens of a network with this above, in and below its class."""
    parts = {
        "members": _indented(members, 4),
        "layers": _indented(layers, 8),
        "lines": _indented(lines, 8),
    }
    return normalise(HEAD + NET.format(above=above, below=below, **parts))


def _indented(text: str, by: int) -> str:
    return "\n".join(" " * by + line for line in text.splitlines())


WIDE = "class Wide(nn.Module):\n    width = 16\n    def forward(self, x):\n        return x * self.width\n"
TWICE = "def twice(self, x):\n    return F.{}(x) + 1\n"
LOOPED = "def twice(self, x):\n    while x.sum() > 1:\n        x = F.{}(x)\n    return x\n"
ONE_LINE = "def both(self, x): return F.{}(x)\n"
DIFFERENT: dict[str, tuple[dict[str, str], str, str]] = {
    "a name of the module that is an attribute of another class too": (
        {
            "above": f"width = {{}}\n{WIDE}",
            "members": "size = [width]",
            "layers": "self.b = Wide()",
            "lines": "x = self.b(x) * self.size[0]",
        },
        "8",
        "9",
    ),
    "a method that is called twice": ({"members": TWICE, "lines": "x = self.twice(self.twice(x))"}, "relu", "gelu"),
    "a method that is called once": ({"members": TWICE, "lines": "x = self.twice(x)"}, "relu", "gelu"),
    "a method that is called twice and cannot be read in place": (
        {"members": LOOPED, "lines": "x = self.twice(self.twice(x))"},
        "relu",
        "gelu",
    ),
    "a method that is handed on": ({"members": LOOPED, "lines": "x = checkpoint(self.twice, x)"}, "relu", "gelu"),
    "a method that is called once and cannot be read in place": (
        {"members": LOOPED, "lines": "x = self.twice(x)"},
        "relu",
        "gelu",
    ),
    "a layer that nothing uses": ({"layers": "self.spare = nn.Linear(3, {})"}, "4", "5"),
    "an element of a list that it has not": (
        {"layers": "self.l = nn.ModuleList([nn.Linear(4, 4), nn.ReLU()])", "lines": "x = self.l[{}](x)"},
        "2",
        "3",
    ),
    "an element of a list": (
        {"layers": "self.l = nn.ModuleList([nn.Linear(4, 4), nn.ReLU()])", "lines": "x = self.l[{}](x)"},
        "0",
        "1",
    ),
    "an element of a list that is spelt out": ({"lines": "l = [x, x + 1]\nx = l[{}]"}, "0", "1"),
    "an element that a list which is spelt out has not": ({"lines": "l = [x, x + 1]\nx = l[{}]"}, "2", "3"),
    "an element at a place that is computed": ({"lines": "l = [x, x + 1]\nx = l[int(x[{}])]"}, "0", "1"),
    "a value of a dictionary that is spelt out": ({"lines": "l = {'a': x, 'b': x + 1}\nx = l['{}']"}, "a", "b"),
    "an element of a dictionary": (
        {"layers": "self.l = nn.ModuleDict({'a': nn.Linear(4, 4), 'b': nn.ReLU()})", "lines": "x = self.l['{}'](x)"},
        "a",
        "b",
    ),
    "an annotated name of the module": ({"above": "width: int = {}\n", "lines": "x = x * width"}, "8", "9"),
    "a function": ({"above": "def f(x):\n    return F.{}(x)\n", "lines": "x = f(f(x))"}, "relu", "gelu"),
    "what a function takes": ({"above": "def f(x, by={}):\n    return x * by\n", "lines": "x = f(f(x))"}, "2", "3"),
    "a class that others are derived from": (
        {
            "above": f"class Base(nn.Module):\n    {ONE_LINE}class Mine(Base):\n    pass\n",
            "layers": "self.b = Mine()",
            "lines": "x = self.b.both(x)",
        },
        "relu",
        "gelu",
    ),
    "an attribute of the class": ({"members": "by = {}", "lines": "x = x * self.by"}, "2", "3"),
    "an attribute of the class that is given anew below": (
        {"members": "by = 2", "lines": "x = x * self.by", "below": "Net.by = {}"},
        "4",
        "5",
    ),
    "a statement of several lines": (
        {"above": "if torch.cuda.is_available():\n    by = {}\nelse:\n    by = 1\n", "lines": "x = x * by"},
        "2",
        "3",
    ),
}
SAME: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "an attribute of the class, or its value": (
        {"members": "by = 2", "lines": "x = x * self.by"},
        {"lines": "x = x * 2"},
    ),
    "a method that is called once, or what it does": (
        {"members": TWICE.format("relu"), "lines": "x = self.twice(x)"},
        {"lines": "x = F.relu(x) + 1"},
    ),
    "a method that nothing calls": ({"members": TWICE.format("relu")}, {}),
    "a method that a later one of its name replaces": (
        {"members": TWICE.format("relu") + TWICE.format("gelu"), "lines": "x = self.twice(x)"},
        {"members": TWICE.format("gelu"), "lines": "x = self.twice(x)"},
    ),
    "a class that nothing uses": ({"above": WIDE}, {}),
    "a number of the module, or its value": ({"above": "by = 2\n", "lines": "x = x * by"}, {"lines": "x = x * 2"}),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_one_line_of_it_makes_another_network(what: str) -> None:
    parts, one, other = DIFFERENT[what]
    first, second = ({name: part.replace("{}", value) for name, part in parts.items()} for value in (one, other))
    assert first != second
    assert tokens(**first) != tokens(**second)
    assert tokens(**first) == tokens(**first)


@pytest.mark.parametrize("what", SAME)
def test_however_it_is_written_the_network_is_the_same(what: str) -> None:
    one, other = SAME[what]
    assert one != other
    assert tokens(**one) == tokens(**other)


def test_a_file_without_a_module_is_one_definition() -> None:
    assert normalise("print('hi')") == ("%M0:",)
