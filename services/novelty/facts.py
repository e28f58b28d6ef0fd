"""Facts collected in one pass over the reached code: what is mentioned how often, and what cannot be followed."""

import ast
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.novelty.effects import CHANGING, MUTATING, dotted, root
from services.novelty.trees import statements, walk

NAMING = frozenset({"add_module", "register_module", "register_buffer", "register_parameter"})
"""Methods of a module that give it an attribute, whose name is the first argument."""

WHOLE = frozenset({"parameters", "modules", "children", "buffers", "apply", "requires_grad_", "zero_grad"})
"""Methods of a module that go through all of its layers, in their order."""
_ALIKE = frozenset({"apply", "requires_grad_", "zero_grad"})
_FUNCTIONS = frozenset({ast.FunctionDef, ast.AsyncFunctionDef})
_BY_NAME = frozenset({"getattr", "setattr", "hasattr", "delattr", "get_submodule", "get_parameter", "get_buffer"})
_TABLES = frozenset(
    {"__dict__", "_modules", "_parameters", "_buffers", "state_dict", "attrgetter", "methodcaller"}
    | {"named_modules", "named_children", "named_parameters", "named_buffers"}
)
_REFLECTIVE = frozenset(
    {"exec", "eval", "compile", "globals", "locals", "vars", "inspect", "importlib"}
    | {"__import__", "__doc__", "__annotations__"}
)
_SPECIAL = frozenset(
    {"__name__", "__qualname__", "__doc__", "__annotations__", "__code__", "__closure__", "__globals__"}
    | {"__mro__", "__bases__", "__subclasses__", "_get_name"}
)
_TELLING = _TABLES | _SPECIAL | WHOLE
_QUIET = frozenset({"__init__", "__call__", "__len__"})  # others that change nothing are not read at all
_IN_PLACE = frozenset({"iadd", "isub", "imul", "itruediv", "ifloordiv", "ipow", "imatmul"})


@dataclass
class Facts:
    """`names` and `attributes`: how often each is read; `stores`: how often an attribute is given a value.

    `imports` and `defined` are the names that the file imports and defines, `classes` those of classes among them.
    `foreign`: attributes read from anything but `instances`, which is what methods call their own. `on_classes`: from
    classes of the file. `keywords`: names of arguments of calls that may be the file's own. `mutated`: names whose
    value is changed in place. `shared`: names that functions declare global. `naming`: texts that only name an
    attribute, and `modules` as torch's package. `loops`: where all layers are gone through, each like any other.
    """

    imports: Mapping[str, str]
    defined: Collection[str]
    classes: Collection[str]
    names: Counter[str] = field(default_factory=Counter)
    attributes: Counter[str] = field(default_factory=Counter)
    stores: Counter[str] = field(default_factory=Counter)
    methods: Counter[str] = field(default_factory=Counter)
    strings: Counter[str] = field(default_factory=Counter)
    called: Counter[str] = field(default_factory=Counter)
    shared: set[str] = field(default_factory=set)
    foreign: set[str] = field(default_factory=set)
    on_classes: set[str] = field(default_factory=set)
    instances: set[str] = field(default_factory=set)
    keywords: set[str] = field(default_factory=set)
    mutated: set[str] = field(default_factory=set)
    naming: set[int] = field(default_factory=set)
    loops: set[int] = field(default_factory=set)
    whole: bool = False  # all layers of a module are gone through
    arranged: bool = False  # in a way for which their order may matter
    dynamic: bool = False  # attributes are reached by names that are computed
    reflective: bool = False  # so is anything at all
    ordered: bool = False  # steps may change their operands
    guarded: bool = False  # an exception may be caught
    indexed: bool = False  # an element is given a value, or a dictionary changed
    stateful: bool = False  # calls of what the file defines may change what others see
    nested: bool = False  # functions stand in functions
    open: bool = False  # arguments are given by names that are not spelt out
    walrus: bool = False  # expressions assign

    def is_spelt_out(self, name: str) -> bool:
        """Say whether an attribute's name itself may matter, because texts or computed names reach it."""
        return self.dynamic or name in self.strings

    def is_plain(self, name: str) -> bool:
        """Say whether an attribute is assigned once and read only by its own object."""
        is_read_elsewhere = name in self.foreign or name in self.on_classes
        return self.stores[name] == 1 and not is_read_elsewhere and not self.is_spelt_out(name)

    def read(self, names: Sequence[str]) -> None:
        """Record the names that some code reads or assigns."""
        self.names.update(names)
        self.reflective = self.reflective or not _REFLECTIVE.isdisjoint(names)
        self.dynamic = self.dynamic or not {"attrgetter", "methodcaller"}.isdisjoint(names)

    def settle(self) -> None:
        """Draw the conclusions that need all nodes to have been seen."""
        if any(self.names[name] > self.called[name] for name in _BY_NAME & self.names.keys()):
            self.dynamic = True


def _attribute(found: Facts, node: ast.Attribute) -> None:
    name, owner = node.attr, node.value
    of = owner.id if type(owner) is ast.Name else ""
    if type(node.ctx) is not ast.Load:
        found.stores[name] += 1
        found.stateful = found.stateful or of not in found.instances
        return
    if type(owner) is ast.Attribute and owner.attr == "modules" and root(owner) in found.imports:
        found.naming.add(id(owner))
    found.attributes[name] += 1
    if of in found.classes:
        found.on_classes.add(name)
    elif of not in found.instances:
        found.foreign.add(name)
    if name not in _TELLING:
        return
    if name in _TABLES:
        found.dynamic = True
    elif name in _SPECIAL or (name == "modules" and of == "sys"):
        found.reflective = True
    elif id(node) not in found.naming:
        found.whole = True
        found.arranged = found.arranged or id(node) not in found.loops


def _subscript(found: Facts, node: ast.Subscript) -> None:
    if type(node.ctx) is not ast.Load:
        found.indexed = found.stateful = True
        found.mutated.add(root(node))


def _constant(found: Facts, node: ast.Constant) -> None:
    if type(node.value) is str and id(node) not in found.naming:
        found.strings[node.value] += 1
        found.ordered = found.ordered or node.value == "inplace"


def _function(found: Facts, node: ast.FunctionDef) -> None:
    found.methods[node.name] += 1
    found.nested = found.nested or any(type(s) in _FUNCTIONS for s in statements(node) if s is not node)
    if node.name[:2] == "__" and node.name not in _QUIET:
        found.guarded = True
    if node.name in ("__init_subclass__", "__set_name__"):
        found.reflective = True


def _lambda(found: Facts, _: ast.Lambda) -> None:
    found.nested = True


def _guard(found: Facts, _: ast.AST) -> None:
    found.guarded = True


def _shared(found: Facts, node: ast.Global) -> None:
    found.shared.update(node.names)
    found.stateful = True


def _augmented(found: Facts, node: ast.AugAssign) -> None:
    if type(node.target) is ast.Attribute:
        found.stores[node.target.attr] += 1
        found.attributes[node.target.attr] += 1


def _loop(found: Facts, node: ast.For) -> None:
    counting = (ast.Break, ast.AugAssign, ast.Continue)
    match node.iter:
        case ast.Call(func=ast.Attribute(attr="parameters" | "modules" | "buffers") as called):
            if not any(isinstance(n, counting) for s in node.body for n in walk(s)):
                found.loops.add(id(called))


def _walrus(found: Facts, _: ast.NamedExpr) -> None:
    found.walrus = True


def _call(found: Facts, node: ast.Call) -> None:
    callee = node.func
    called = callee.attr if type(callee) is ast.Attribute else getattr(callee, "id", "")
    if type(callee) is ast.Name:
        found.called[called] += 1
    if called in NAMING or called in _BY_NAME:
        _by_name(found, node, called)
    elif not found.ordered and (
        (called[-1:] == "_" and called[0] != "_" and not _is_initialiser(callee))
        or called in _IN_PLACE
        or any(type(argument) is ast.Constant and argument.value is True for argument in node.args)
    ):
        found.ordered = True
    if called in _ALIKE and type(callee) is ast.Attribute:
        found.loops.add(id(callee))
    elif called == "sum":
        match node.args:
            case [ast.GeneratorExp(generators=[ast.comprehension(iter=of)])] if type(callee) is ast.Name:
                found.loops.add(id(getattr(of, "func", None)))
    if called in MUTATING and type(callee) is ast.Attribute:
        found.mutated.add(root(callee))
        found.indexed = found.indexed or called in CHANGING
    if node.keywords:
        _keywords(found, node, called)


def _keywords(found: Facts, node: ast.Call, called: str) -> None:
    is_known = type(node.func) is ast.Name and called in found.defined
    is_known = is_known or (called != "partial" and root(node.func) in found.imports)
    for keyword in node.keywords:
        name = keyword.arg
        if name is None:
            found.open = True
        elif not is_known:
            found.keywords.add(name)
        if name == "out" or (name == "inplace" and getattr(keyword.value, "value", True)):
            found.ordered = True


def _is_initialiser(callee: ast.expr) -> bool:
    """Say whether the callee is `nn.init.…_`, which changes parameters and no intermediate value."""
    return dotted(callee)[-2:-1] == ["init"]


def _by_name(found: Facts, node: ast.Call, called: str) -> None:
    """Record access by name: a constant name is one more mention of that attribute, any other may be every one."""
    place = 0 if called in NAMING or called.startswith("get_") else 1
    name = node.args[place] if len(node.args) > place else None
    found.guarded = found.guarded or called == "hasattr" or (called == "getattr" and len(node.args) > 2)
    if not isinstance(name, ast.Constant) or not isinstance(name.value, str):
        found.dynamic = found.dynamic or called != "hasattr"
    elif called in NAMING:
        found.stores[name.value] += 1
        found.naming.add(id(name))
    elif called == "setattr":
        found.stores[name.value] += 2
        found.stateful = True


SEEN: Mapping[type, Callable[[Facts, Any], None]] = {
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
    ast.NamedExpr: _walrus,
    ast.For: _loop,
}
"""What records one node of each kind; a call must be seen before its arguments."""
