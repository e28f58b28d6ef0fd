"""The layers that an attribute of `self` applies, read from its construction in `__init__`."""

import ast
from collections.abc import Iterator, Mapping

from services.novelty.program import Unit, self_name
from services.novelty.trees import children, nodes, walk

Construction = tuple[str, ast.Call]


def constructions(expression: ast.AST) -> list[Construction]:
    """List every call in the expression by the callee's last name, in order of reading."""
    return [(callee_name(node), node) for node in _preorder(expression) if isinstance(node, ast.Call)]


def callee_name(call: ast.Call) -> str:
    """Return `Conv2d` for `nn.Conv2d(…)`; empty if the callee has no name."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def attribute_layers(unit: Unit) -> Mapping[str, list[Construction]]:
    """Map each attribute to the layers that its first assignment constructs."""
    found: dict[str, list[Construction]] = {}
    for function in unit.functions:
        instance = self_name(function)
        for node in nodes(function):
            if isinstance(node, ast.Assign):
                for name in _attributes(node.targets, instance):
                    found.setdefault(name, constructions(node.value))
    return found


def _attributes(targets: list[ast.expr], instance: str) -> Iterator[str]:
    for target in targets:
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == instance:
            yield target.attr


def _preorder(root: ast.AST) -> Iterator[ast.AST]:
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend(reversed(children(node)))


def is_depthwise(call: ast.Call) -> bool:
    """Say whether `groups` is given, and is the number of input channels."""
    groups = _argument(call, "groups", 6)
    channels = _argument(call, "in_channels", 0)
    if groups is None or channels is None:
        return False
    if isinstance(groups, ast.Constant):
        return groups.value != 1 and (not isinstance(channels, ast.Constant) or channels.value == groups.value)
    wanted = ast.dump(channels)
    return any(ast.dump(part) == wanted for part in _preorder(groups))


def pools_to_one(call: ast.Call) -> bool:
    """Say whether a pooling leaves one value per channel: an adaptive one to size 1, or a mean over places."""
    name = callee_name(call).lower()
    sizes = [n.value for n in walk(call) if isinstance(n, ast.Constant) and type(n.value) is int]
    return sizes.count(1) == len(sizes) if "adaptive" in name else sizes != [1]


def _argument(call: ast.Call, name: str, position: int) -> ast.expr | None:
    named = next((keyword.value for keyword in call.keywords if keyword.arg == name), None)
    return named or (call.args[position] if position < len(call.args) else None)
