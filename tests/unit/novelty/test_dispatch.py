"""The tables by which nodes and operations find their methods: what a type checker cannot see of them."""

import inspect
import types
import typing

import pytest

from services.novelty.definitions import Definitions
from services.novelty.normalise import normalise
from services.novelty.operations import Operations
from services.novelty.values import NAMES

TABLES = [*Definitions.READINGS.items(), *Definitions.EXECUTIONS.items()]
BODIES = [
    "import math",
    "from math import pi",
    "y = x",
    "y: int = x",
    "x += 1",
    "for i in range(x): self.f(i)",
    "while x: x = self.f(x)",
    "if x: y = self.f(x)",
    "with self.f(x) as y: pass",
    "try:\n  y = self.f(x)\nexcept ValueError: y = x",
    "try:\n  y = self.f(x)\nexcept* ValueError: y = x",
    "match x:\n  case 1: y = self.f(x)",
    "def f(y): return y",
    "class C: a = 1",
    "nonlocal_ = lambda y: y",
    "y = [x, (x,), {x}, {x: x}]",
    "y = [a for a in x], {a for a in x}, {a: a for a in x}, list(a for a in x)",
    "y = -x + x[1:2]",
    "y = self.f(*x, **x, a=x)",
    "y = (z := x)",
    "y = self.a + x.b",
    "y = [*x]",
    "class C(Module, a=x): b = 1",
    "try:\n  raise x\nexcept ValueError: y = x",
    "global y\ny = x",
    "def f():\n  nonlocal x\n  x = 1",
    "async def f(y):\n  async for i in y: self.f(i)\n  async with y: self.f(y)",
]


@pytest.mark.parametrize(("kind", "method"), TABLES, ids=[kind.__name__ for kind, _ in TABLES])
def test_each_kind_of_node_is_one_that_its_method_takes(kind, method):
    _, node = inspect.signature(method).parameters
    hint = typing.get_type_hints(method)[node]
    assert kind in (typing.get_args(hint) if isinstance(hint, types.UnionType) else [hint])


@pytest.mark.parametrize("body", BODIES)
def test_a_kind_in_the_tables_is_not_written_as_it_stands(body):
    """Its fields would be spelt out after the node's name."""
    lines = "".join(f"        {line}\n" for line in body.splitlines())
    source = f"class Net(Module):\n    def forward(self, x):\n{lines}        return x\n"
    known = {kind.__name__ for kind, _ in TABLES}
    comprehensions = {"ListComp", "SetComp", "DictComp", "GeneratorExp"}  # these steps are called so
    assert not known - comprehensions & set(normalise(source)) & known


def test_every_kind_of_operation_has_a_rule():
    assert Operations._RULES.keys() == NAMES.keys()
