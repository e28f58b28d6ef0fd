"""What is recorded of the code that `Net` reaches: by each kind of statement, and by its nearest harmless relative."""

import pytest

from services.novelty.facts import Facts
from services.novelty.reach import read

NET = """
import sys
import torch
from functools import partial
from torch import nn


def mine(x, **options):
    return x


class Block(nn.Module):
    width = 4


class Net(nn.Module):
    def __init__(self, in_shape, out_shape, prm, device):
        super().__init__()
        self.a = nn.Linear(3, 4)

    def forward(self, x):
{lines}
        return self.a(x)
"""
FLAGS = (
    *("whole", "arranged", "dynamic", "reflective", "ordered", "guarded", "indexed", "stateful", "nested", "open"),
    "walrus",
)


def facts(*lines: str) -> Facts:
    """The facts of a network with these lines in `forward`."""
    return read(NET.format(lines="\n".join(f"        {line}" for line in lines or ("pass",)))).facts


def flags(*lines: str) -> set[str]:
    found = facts(*lines)
    return {name for name in FLAGS if getattr(found, name)}


SEEN: dict[str, set[str]] = {
    # nothing to note
    "pass": set(),
    "y = x[0]": set(),
    "y = self.a.weight": set(),
    "y = torch.nn.modules.Linear(3, 4)": set(),
    "y = [p for p in self.order]": set(),
    # layers gone through, each like any other or not
    "y = sum(p.sum() for p in self.parameters())": {"whole"},
    "y = sum(m.sum() for m in self.modules())": {"whole"},
    "y = max(p.sum() for p in self.parameters())": {"whole", "arranged"},
    "y = mine.sum(p.sum() for p in self.parameters())": {"whole", "arranged"},
    "y = sum([p.sum() for p in self.parameters()])": {"whole", "arranged"},
    "y = list(self.children())": {"whole", "arranged"},
    "y = list(self.buffers())": {"whole", "arranged"},
    "self.apply(mine)": {"whole"},
    "self.requires_grad_(False)": {"whole", "ordered"},
    "self.zero_grad()": {"whole"},
    "y = self.apply": {"whole", "arranged"},
    "for p in self.parameters(): mine(p)": {"whole"},
    "for p in self.buffers(): mine(p)": {"whole"},
    "for p in self.modules(): mine(p)": {"whole"},
    "for p in self.children(): mine(p)": {"whole", "arranged"},
    "for p in self.parameters(): break": {"whole", "arranged"},
    "for p in self.parameters(): continue": {"whole", "arranged"},
    "for p in self.parameters(): x += p": {"whole", "arranged"},
    # attributes by names that are computed
    "y = getattr(self, x)": {"dynamic"},
    "y = getattr(self, 'a')": set(),
    "y = getattr(self, 'a', None)": {"guarded"},
    "y = getattr": {"dynamic"},
    "y = [getattr(self, 'a'), getattr]": {"dynamic"},
    "y = self.get_submodule(x)": {"dynamic"},
    "y = self.get_submodule('a')": set(),
    "y = self.get_parameter(x)": {"dynamic"},
    "y = self.get_buffer(x)": {"dynamic"},
    "y = hasattr(self, x)": {"guarded"},
    "y = hasattr(self, 'a')": {"guarded"},
    "setattr(self, 'q', x)": {"stateful"},
    "setattr(self, x, x)": {"dynamic"},
    "delattr(self, x)": {"dynamic"},
    "self.register_buffer('q', x)": set(),
    "self.register_buffer(x, x)": {"dynamic"},
    "self.register_parameter(x, x)": {"dynamic"},
    "self.register_module(x, x)": {"dynamic"},
    "self.add_module(x, x)": {"dynamic"},
    "self.add_module()": {"dynamic"},
    **{
        f"y = self.{table}": {"dynamic"}
        for table in (
            *("__dict__", "_modules", "_parameters", "_buffers", "state_dict", "named_modules", "named_children"),
            *("named_parameters", "named_buffers", "attrgetter", "methodcaller"),
        )
    },
    "y = attrgetter(x)": {"dynamic"},
    "y = methodcaller(x)": {"dynamic"},
    # anything at all
    **{
        f"y = {name}": {"reflective"}
        for name in (
            *("exec", "eval", "compile", "globals", "locals", "vars", "inspect", "importlib", "__import__"),
            *("__doc__", "__annotations__"),
        )
    },
    **{
        f"y = self.{name}": {"reflective"}
        for name in (
            *("__name__", "__qualname__", "__doc__", "__annotations__", "__code__", "__closure__", "__globals__"),
            *("__mro__", "__bases__", "__subclasses__", "_get_name"),
        )
    },
    "y = sys.modules": {"reflective"},
    # operands changed
    "x.relu_()": {"ordered"},
    "x._relu()": set(),
    "x._relu_()": set(),
    "nn.init.ones_(x)": set(),
    "nn.init.ones_(x, True)": {"ordered"},
    "mine.init(x).ones_(x)": {"ordered"},
    **{f"y = operator.{name}(x, x)": {"ordered"} for name in ("iadd", "isub", "imul", "itruediv", "ifloordiv")},
    **{f"y = operator.{name}(x, x)": {"ordered"} for name in ("ipow", "imatmul")},
    "y = operator.add(x, x)": set(),
    "y = nn.ReLU(True)": {"ordered"},
    "y = nn.ReLU(False)": set(),
    "y = nn.ReLU(1)": set(),
    "y = nn.ReLU(inplace=True)": {"ordered"},
    "y = nn.ReLU(inplace=False)": set(),
    "y = nn.ReLU(inplace=x)": {"ordered"},
    "y = nn.Linear(3, 4, bias=True)": set(),
    "y = torch.add(x, x, out=x)": {"ordered"},
    "y = 'inplace'": {"ordered"},
    "y = 'in place'": set(),
    # exceptions, elements, state, scopes
    "with mine(x): pass": {"guarded"},
    "x[0] = 1": {"indexed", "stateful"},
    "del x[0]": {"indexed", "stateful"},
    "x.append(1)": set(),
    "x.insert(0, 1)": set(),
    "x.update(a)": {"indexed"},
    "x.pop()": {"indexed"},
    "append(1)": set(),
    "pop()": set(),
    "self.t = 1": set(),
    "x.t = 1": {"stateful"},
    "x.t += 1": {"stateful"},
    "del x.t": {"stateful"},
    "global g": {"stateful"},
    "y = lambda: 1": {"nested"},
    "def inner(): pass": {"nested"},
    "async def inner(): pass": {"nested"},
    "mine(**x)": {"open"},
    "mine(*x)": set(),
    "(y := x)": {"walrus"},
}
# An attribute that is given a value after `__init__` makes the order of steps matter, which is told apart from this.
ORDERED_TOO = {"self.t = 1", "x.t = 1", "x.t += 1", "del x.t"}


@pytest.mark.parametrize("line", SEEN)
def test_a_line_is_noted_for_what_it_may_do_and_for_nothing_else(line: str) -> None:
    assert flags(line) - ({"ordered"} if line in ORDERED_TOO else set()) == SEEN[line]


def test_exceptions_that_may_be_caught_are_noted() -> None:
    assert flags("try:", "    mine(x)", "except ValueError:", "    pass") == {"guarded"}


METHODS = {
    "__getattr__": {"guarded"},
    "__enter__": {"guarded"},
    "__eq__": {"guarded"},
    "__init_subclass__": {"guarded", "reflective"},
    "__set_name__": {"guarded", "reflective"},
    "__call__": set(),
    "__len__": set(),
    "helper": set(),
    "_helper": set(),
    "init_subclass": set(),
}


@pytest.mark.parametrize("name", METHODS)
def test_methods_that_python_calls_by_itself_are_noted(name: str) -> None:
    source = NET.format(lines="        pass") + f"\n    def {name}(self, *given):\n        return self.a\n"
    found = read(source).facts
    assert {flag for flag in FLAGS if getattr(found, flag)} == METHODS[name]
    assert found.methods[name] == name.startswith("__")  # the others are never called, so they are not reached


def test_what_is_read_stored_and_named_is_counted() -> None:
    found = facts("self.b = self.a", "self.c.d = self.a", "x.e = 1", "self.add_module('f', x)", "setattr(self, 'g', 1)")
    assert {name: found.stores[name] for name in "bcdefg"} == {"b": 1, "c": 0, "d": 1, "e": 1, "f": 1, "g": 2}
    assert (found.attributes["a"], found.attributes["c"], found.attributes["e"]) == (3, 1, 0)
    assert "f" not in found.strings
    assert found.strings["g"] == 1


def test_an_augmented_attribute_is_read_and_stored() -> None:
    plain, more = facts("self.n = 1"), facts("self.n += 1")
    assert (plain.stores["n"], plain.attributes["n"]) == (1, 0)
    assert (more.stores["n"], more.attributes["n"]) == (2, 1)


def test_whose_attribute_it_is_is_told_apart() -> None:
    found = facts("y = Block.width, x.height, self.depth, mine(x).length")
    assert found.on_classes == {"width"}
    assert {"height", "length"} <= found.foreign
    assert not {"width", "depth", "a"} & found.foreign


KEYWORDS = {
    "y = nn.Linear(3, out_features=4)": set(),
    "y = torch.nn.functional.relu(x, inplace=False)": set(),
    "y = mine(x, way=1)": set(),
    "y = partial(mine, way=1)": {"way"},
    "y = self.a(x, way=1)": {"way"},
    "y = x.mean(dim=1)": {"dim"},
    "y = unknown(way=1)": {"way"},
    "y = mine(x, **x)": set(),
}


@pytest.mark.parametrize("line", KEYWORDS)
def test_names_of_arguments_count_where_the_file_may_define_them(line: str) -> None:
    assert facts(line).keywords == KEYWORDS[line]


MUTATED = {
    "x.append(1)": {"x"},
    "x.kept.pop()": {"x"},
    "x['a'].update(b=1)": {"x"},
    "x[0] = 1": {"x"},
    "x.kept[0] = 1": {"x"},
    "y = x[0]": set(),
    "append(x)": set(),
    "y = x.mean()": set(),
}


@pytest.mark.parametrize("line", MUTATED)
def test_what_is_changed_in_place_is_known_by_name(line: str) -> None:
    assert facts(line).mutated == MUTATED[line]


def test_names_that_functions_share_are_known() -> None:
    assert facts("global g, h").shared == {"g", "h"}


def test_calls_by_name_are_counted() -> None:
    called = facts("mine(x)", "mine(mine(x))", "x.mine()").called
    assert called["mine"] == 3


@pytest.mark.parametrize(
    ("lines", "plain"),
    [
        (("y = self.a",), True),
        (("self.a = 1",), False),
        (("y = x.a",), False),
        (("y = getattr(self, 'a')",), False),
        (("y = getattr(self, x)",), False),
        (("y = 'a'",), False),
        (("y = 'b'",), True),
    ],
)
def test_an_attribute_is_plain_that_is_given_once_and_read_by_its_own_object_alone(
    lines: tuple[str, ...], plain: bool
) -> None:
    assert facts(*lines).is_plain("a") is plain


def test_an_attribute_of_a_class_is_not_plain() -> None:
    assert not facts("y = Block.width", "self.width = 1").is_plain("width")
    assert facts("y = self.width", "self.width = 1").is_plain("width")
