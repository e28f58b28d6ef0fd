"""The structural family of an architecture: the first of `PRECEDENCE` whose mark its reached code bears.

attention       MultiheadAttention or another of torch's attentions, or a softmax over a matrix product
squeeze_excite  a sigmoid of something pooled to one value per channel, multiplied onto features
gated           a sigmoid or tanh of a convolution, multiplied onto another branch (x · sigmoid(x) is none); GLU
dense           a concatenation of a value with something computed from it
inception       a concatenation of two or more branches beside each other
depthwise       a convolution with as many groups as input channels
residual        an addition of two paths from one value
plain           none of these
"""

import ast
from collections import deque
from collections.abc import Iterator, Mapping

from archloop.contracts.values import Family
from services.novelty.interpreter import Interpreter
from services.novelty.layers import attribute_layers, callee_name, is_depthwise
from services.novelty.program import ALWAYS, Function, Program, Unit
from services.novelty.trees import nodes
from services.novelty.values import Traits

PRECEDENCE = (
    Family.ATTENTION,
    Family.SQUEEZE_EXCITE,
    Family.GATED,
    Family.DENSE,
    Family.INCEPTION,
    Family.DEPTHWISE,
    Family.RESIDUAL,
    Family.PLAIN,
)

_ATTENTION = frozenset(
    {
        "MultiheadAttention",
        "scaled_dot_product_attention",
        "Transformer",
        "TransformerEncoder",
        "TransformerEncoderLayer",
        "TransformerDecoderLayer",
    }
)
_PASSES = 2


def family(program: Program) -> Family:
    """Return the family of a program that has been read."""
    marks = set(_constructed(program)) | _interpreted(program)
    return next((name for name in PRECEDENCE if name in marks), Family.PLAIN)


def _constructed(program: Program) -> Iterator[Family]:
    """Yield the marks that single calls bear."""
    for call in (node for unit in program.units.values() for node in _nodes(unit) if isinstance(node, ast.Call)):
        name = callee_name(call)
        if name in _ATTENTION:
            yield Family.ATTENTION
        elif name in ("GLU", "glu"):
            yield Family.GATED
        elif is_depthwise(call):
            yield Family.DEPTHWISE


def _nodes(unit: Unit) -> Iterator[ast.AST]:
    for root in unit.members if isinstance(unit.node, ast.ClassDef) else [unit.node]:
        yield from nodes(root)


def _interpreted(program: Program) -> set[str]:
    """Collect the marks seen by following tensors: twice, the second time knowing what own modules return."""
    found: set[str] = set()
    functions = _applied(program)
    layers = {id(unit): attribute_layers(unit) for unit, _ in functions if isinstance(unit.node, ast.ClassDef)}
    returns: dict[str, Traits] = {}
    for _ in range(_PASSES):
        learnt: dict[str, Traits] = {}
        for unit, function in functions:
            interpreter = Interpreter(layers.get(id(unit)), returns)
            interpreter.run(function)
            found |= interpreter.found
            learnt[_called(unit, function)] = interpreter.returned
        returns = learnt
    return found


def _called(unit: Unit, function: Function) -> str:
    """Return the name under which a function is applied to tensors; for a module's, that of its class."""
    if isinstance(unit.node, ast.ClassDef) and function.name in ALWAYS:
        return unit.node.name
    return function.name


def _applied(program: Program) -> list[tuple[Unit, Function]]:
    """Return the functions applied to tensors: every `forward`, what it mentions, and so on."""
    everything = [(unit, function) for unit in program.units.values() for function in unit.functions]
    queue = deque(pair for pair in everything if pair[1].name in ALWAYS[1:])
    waiting: Mapping[str, list[tuple[Unit, Function]]] = _by_name(everything)
    seen: dict[int, tuple[Unit, Function]] = {}
    while queue:
        unit, function = queue.popleft()
        if id(function) not in seen:
            seen[id(function)] = unit, function
            mentions = {getattr(n, "attr", getattr(n, "id", "")) for n in nodes(function)}
            queue.extend(pair for name in sorted(mentions & waiting.keys()) for pair in waiting[name])
    return list(seen.values())


def _by_name(functions: list[tuple[Unit, Function]]) -> dict[str, list[tuple[Unit, Function]]]:
    named: dict[str, list[tuple[Unit, Function]]] = {}
    for unit, function in functions:
        if function.name not in ALWAYS:
            named.setdefault(function.name, []).append((unit, function))
    return named
