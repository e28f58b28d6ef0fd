"""Forms of calls and values that mean something together: moves to a device, flattening, averaging over places."""

import ast
from collections.abc import Mapping

from services.novelty.binding import Arguments
from services.novelty.call_signatures import FUNCTIONS, LAYERS
from services.novelty.instructions import Node
from services.novelty.names import Value

_MOVES = frozenset({"cuda", "cpu"})


def label_of(pair: ast.expr) -> str:
    """Return the name in a pair of a name and a layer; empty for anything else."""
    match pair:
        case ast.Tuple(elts=[ast.Constant(value=str(name)), _]):
            return name
    return ""


def is_move(node: ast.Call, name: str) -> bool:
    """Say whether a call only moves something to a device."""
    if name != "to" and name not in _MOVES:
        return False
    match node:
        case ast.Call(args=[], keywords=[]):
            return name in _MOVES
        case ast.Call(args=[ast.Attribute(attr=of) | ast.Name(id=of)], keywords=[]) if name in ("to", *_MOVES):
            return "device" in of
        case (
            ast.Call(args=[ast.Constant(value=str(of))], keywords=[])
            | ast.Call(args=[], keywords=[ast.keyword(arg="device", value=ast.Constant(value=str(of)))])
        ) if name == "to":
            return of.partition(":")[0] in _MOVES
    return False


def is_of_torch(base: Value) -> bool:
    """Say whether a value is what a layer or a function of torch's returns."""
    if type(base) is not Node or len(base.parts) < 3:
        return False
    called = base.parts[0]
    layer = called.layer if type(called) is Node else None
    return called in FUNCTIONS if type(called) is str else layer is not None and layer[0] in LAYERS


def is_flattening(base: Value, arguments: Arguments) -> bool:
    """Match `x.view(x.size(0), -1)`, which flattens all dimensions but the batch."""
    match arguments.positional:
        case [Node(parts=(Node(parts=("shape", "(", of, ")")), "[", 0, "]")), -1]:
            return of is base or (of == base and type(of) is str)
        case [Node(layer=("display", [Node(parts=(Node(parts=("shape", "(", of, ")")), "[", 0, "]")), -1]))]:
            return of is base or (of == base and type(of) is str)
    return False


def averaged(given: Mapping[str, Value]) -> Value | None:
    """Return what is pooled to one value per channel and then flattened, which is its mean over places; else None."""
    match given:
        case {"input": Node(parts=("adaptive_avg_pool2d", "(", pooled, 1, ")")), "start_dim": 1, **rest}:
            return pooled if rest in ({}, {"end_dim": -1}) else None
    return None
