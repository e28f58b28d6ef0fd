"""Programs that spell a network by torch's own aliases and in the other forms that torch takes. See `respellings`."""

import ast
import random
from collections.abc import Iterator

from services.novelty.call_signatures import ALIASES

_BY_NAME = {other: [name for name in ALIASES if ALIASES[name] == other] for other in ALIASES.values()}
_LAYERS = frozenset({"Conv2d", "Linear", "ReLU", "BatchNorm2d"})
_AXES = frozenset({"cat", "stack", "mean", "sum", "amax", "concat", "concatenate"})
_OPERATORS = {ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div"}


def _written(tree: ast.Module, changed: int) -> str | None:
    return ast.unparse(ast.fix_missing_locations(tree)) if changed else None


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, ast.Attribute]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node, node.func


def with_aliases_of_functions(tree: ast.Module, rng: random.Random) -> str | None:
    changed = 0
    for _, called in _calls(tree):
        if isinstance(called.value, ast.Name) and called.value.id == "torch" and called.attr in _BY_NAME:
            called.attr = rng.choice(_BY_NAME[called.attr])
            changed += 1
    return _written(tree, changed)


def with_names_of_numpy(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for call, called in _calls(tree):
        is_of_torch = isinstance(called.value, ast.Name) and called.value.id == "torch"
        if called.attr not in _AXES:
            continue
        if is_of_torch and len(call.args) == 2:
            call.keywords.append(ast.keyword("dim", call.args.pop()))
        for keyword in call.keywords:
            if keyword.arg in ("dim", "keepdim"):
                keyword.arg = {"dim": "axis", "keepdim": "keepdims"}[keyword.arg]
                changed += 1
    return _written(tree, changed)


class _Functions(ast.NodeTransformer):
    def __init__(self, rng: random.Random) -> None:
        self.rng, self.changed = rng, 0

    def visit_BinOp(self, node: ast.BinOp) -> ast.expr:
        self.generic_visit(node)
        name = _OPERATORS.get(type(node.op))
        if name is None or not all(isinstance(part, ast.Name | ast.Call) for part in (node.left, node.right)):
            return node
        self.changed += 1
        called = self.rng.choice([name, *_BY_NAME.get(name, ())])
        return ast.Call(ast.Attribute(ast.Name("torch"), called), [node.left, node.right], [])


def with_functions_for_operators(tree: ast.Module, rng: random.Random) -> str | None:
    """In `forward`, between names and calls."""
    made = _Functions(rng)
    for method in (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "forward"):
        method.body = [made.visit(statement) for statement in method.body]
    return _written(tree, made.changed)


def with_sizes_in_lists(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for call, called in _calls(tree):
        if called.attr not in ("Conv2d", "MaxPool2d", "AvgPool2d", "AdaptiveAvgPool2d", "LayerNorm"):
            continue
        place = 2 if called.attr == "Conv2d" else 0
        if len(call.args) > place and isinstance(size := call.args[place], ast.Constant):
            call.args[place] = ast.List([size] if called.attr == "LayerNorm" else [size, size])
            changed += 1
    return _written(tree, changed)


def with_layers_of_the_package(tree: ast.Module, _: random.Random) -> str | None:
    changed = 0
    for _, called in _calls(tree):
        if isinstance(called.value, ast.Name) and called.value.id == "nn" and called.attr in _LAYERS:
            called.value = ast.parse("nn.modules", mode="eval").body
            changed += 1
    return _written(tree, changed)


def with_constants_in_one_line(tree: ast.Module, _: random.Random) -> str | None:
    """Channels and features that are numbers get names that one line gives them."""
    found: dict[str, ast.expr] = {}
    for call, called in _calls(tree):
        for place, value in enumerate(call.args if called.attr in ("Conv2d", "Linear") else ()):
            if isinstance(value, ast.Constant):
                name = f"SIZE_{value.value}"
                found[name] = value
                call.args[place] = ast.Name(name)
    if len(found) < 2:
        return None
    target = ast.Tuple([ast.Name(name) for name in found])
    place = next(at for at, node in enumerate(tree.body) if isinstance(node, ast.ClassDef))
    tree.body.insert(place, ast.Assign([target], ast.Tuple([*found.values()])))
    return _written(tree, len(found))


BY_TORCH = (
    with_aliases_of_functions,
    with_names_of_numpy,
    with_functions_for_operators,
    with_sizes_in_lists,
    with_layers_of_the_package,
    with_constants_in_one_line,
)
