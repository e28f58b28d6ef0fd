"""What one look through the reached code tells: what is mentioned how often, and what keeps it from being followed."""

import ast
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from services.novelty.trees import statements

NAMING = frozenset({"add_module", "register_module", "register_buffer", "register_parameter"})
"""Methods of a module that give it an attribute, whose name is the first argument."""

MUTATING = frozenset(
    {
        "append",
        "extend",
        "insert",
        "pop",
        "remove",
        "clear",
        "sort",
        "reverse",
        "update",
        "add",
        "setdefault",
        "popitem",
    }
)
"""Methods that change a list, a dictionary or a set."""

_FUNCTIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef})
_BY_NAME = frozenset({"getattr", "setattr", "hasattr", "delattr", "get_submodule", "get_parameter", "get_buffer"})
_TABLES = frozenset(
    {"__dict__", "_modules", "_parameters", "_buffers", "named_modules", "named_children", "state_dict"}
)
_REFLECTIVE = frozenset({"exec", "eval", "compile", "globals", "locals", "vars", "__import__", "inspect", "importlib"})


@dataclass
class Facts:
    """`names` and `attributes`: how often each is read; `stores`: how often an attribute is given a value.

    `dynamic`: attributes are reached by names that are computed. `reflective`: so is anything at all. `ordered`: steps
    may change their operands. `guarded`: an exception may be caught. `indexed`: an element is given a value.
    `nested`: functions stand in functions. `shared`: names that functions declare global. `foreign`: attributes read
    from anything but `instances`, which is what methods call their own. `naming`: texts that only name an attribute.
    """

    names: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    strings: set[str] = field(default_factory=set)
    shared: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    dynamic: bool = False
    reflective: bool = False
    ordered: bool = False
    guarded: bool = False
    indexed: bool = False
    nested: bool = False
    naming: set[int] = field(default_factory=set)

    def see(self, node: ast.AST) -> None:
        """Take note of one node; of a call before its arguments."""
        seen = _SEEN.get(type(node))
        if seen is not None:
            seen(self, node)

    def is_spelt_out(self, name: str) -> bool:
        """Whether an attribute's name itself may matter."""
        return self.dynamic or name in self.strings

    def is_plain(self, name: str) -> bool:
        """Whether an attribute has one value for good, and only its own object reads it."""
        return self.stores[name] == 1 and name not in self.foreign and not self.is_spelt_out(name)


def _name(found: Facts, node: ast.Name) -> None:
    found.names[node.id] += 1
    if node.id in _REFLECTIVE:
        found.reflective = True


def _attribute(found: Facts, node: ast.Attribute) -> None:
    name = node.attr
    if type(node.ctx) is ast.Load:
        found.attributes[name] += 1
        if type(node.value) is not ast.Name or node.value.id not in found.instances:
            found.foreign.add(name)
        if name in _TABLES:
            found.dynamic = True
    else:
        found.stores[name] += 1


def _subscript(found: Facts, node: ast.Subscript) -> None:
    found.indexed = found.indexed or type(node.ctx) is not ast.Load


def _constant(found: Facts, node: ast.Constant) -> None:
    if type(node.value) is str and id(node) not in found.naming:
        found.strings.add(node.value)


def _function(found: Facts, node: ast.FunctionDef) -> None:
    found.methods[node.name] += 1
    found.nested = found.nested or any(type(s) in _FUNCTIONS for s in statements(node) if s is not node)


def _lambda(found: Facts, _: ast.Lambda) -> None:
    found.nested = True


def _guard(found: Facts, _: ast.AST) -> None:
    found.guarded = True


def _shared(found: Facts, node: ast.Global) -> None:
    found.shared.update(node.names)


def _augmented(found: Facts, node: ast.AugAssign) -> None:
    if type(node.target) is ast.Attribute:
        found.stores[node.target.attr] += 1
        found.attributes[node.target.attr] += 1


def _call(found: Facts, node: ast.Call) -> None:
    callee = node.func
    called = callee.attr if type(callee) is ast.Attribute else getattr(callee, "id", "")
    if called in NAMING or called in _BY_NAME:
        _by_name(found, node, called)
    elif type(callee) is ast.Attribute and called.endswith("_") and called[0] != "_" and not _is_initialiser(callee):
        found.ordered = True
    for keyword in node.keywords:
        if keyword.arg == "out" or (keyword.arg == "inplace" and getattr(keyword.value, "value", True)):
            found.ordered = True


def _is_initialiser(callee: ast.Attribute) -> bool:
    """`nn.init.…_`, which changes parameters and nothing that is computed meanwhile."""
    return getattr(callee.value, "attr", getattr(callee.value, "id", "")) == "init"


def _by_name(found: Facts, node: ast.Call, called: str) -> None:
    """A constant name is one more mention or value of that attribute; any other could be every attribute."""
    place = 0 if called in NAMING or called.startswith("get_") else 1
    name = node.args[place] if len(node.args) > place else None
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        found.dynamic = found.dynamic or called != "hasattr"
    elif called in NAMING:
        found.stores[name.value] += 1
        found.naming.add(id(name))
    elif called == "setattr":
        found.stores[name.value] += 2


_SEEN: Mapping[type, Callable[[Facts, Any], None]] = {
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Subscript: _subscript,
    ast.Constant: _constant,
    ast.Call: _call,
    ast.Lambda: _lambda,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.Try: _guard,
    ast.With: _guard,
    ast.Global: _shared,
    ast.Nonlocal: _shared,
    ast.AugAssign: _augmented,
}
