"""Operators that compute nothing: views, copies, parts, and numbers that are the same everywhere."""

from collections.abc import Sequence

from services.evaluator.harness.dataflow import Edge, Node, Shape
from services.evaluator.harness.operators import Call, counted, table


def _same(call: Call) -> int:
    return call.edge().node


def _reshape(call: Call) -> int:
    """Reshape; a view as another type of number is none."""
    return call.plainly() if "dtype" in call.given else reshaped(call, call.edge(), call.shape)


def reshaped(call: Call, edge: Edge, shape: Shape) -> int:
    """Return the same numbers in the same order; several reshapes become one."""
    origin, node = through("reshape", call, edge)
    return origin.node if node.shape == shape else call.make("reshape", [origin], "", shape)


def _permute(call: Call) -> int:
    rank = len(call.shape)
    return _permuted(call, [counted(dim, rank) for dim in call.given["dims"]])


def _transpose(call: Call) -> int:
    """Swap two dimensions, by default the only ones."""
    order = list(range(len(call.shape)))
    if len(order) > 1:
        first, second = (counted(call.given.get(name, i), len(order)) for i, name in enumerate(("dim0", "dim1")))
        order[first], order[second] = order[second], order[first]
    return _permuted(call, order)


def _permuted(call: Call, order: Sequence[int]) -> int:
    edge = call.edge()
    node = call.graph.nodes[edge.node]
    if node.operator == "permute":
        inner: tuple[int, ...] = node.attributes  # type: ignore[assignment]
        order, edge = [inner[dim] for dim in order], _onward(edge, node)
    return edge.node if list(order) == sorted(order) else call.make("permute", [edge], tuple(order))


def _expand(call: Call) -> int:
    origin, node = through("expand", call, call.edge())
    return origin.node if node.shape == call.shape else call.make("expand", [origin])


def _slice(call: Call) -> int:
    given, size = call.given, call.shape_of()
    dim = counted(given.get("dim", 0), len(size))
    start = given.get("start") or 0
    start = min(max(start + size[dim] if start < 0 else start, 0), size[dim])
    return _part(call, dim, start, call.shape, given.get("step", 1))


def _select(call: Call) -> int:
    size = call.shape_of()
    dim = counted(call.given["dim"], len(size))
    kept = (*size[:dim], 1, *size[dim + 1 :])
    part = _part(call, dim, counted(call.given["index"], size[dim]), kept)
    return reshaped(call, Edge(part, call.edge().gradient), call.shape)


def _split(call: Call) -> list[int]:
    """Cut into consecutive pieces."""
    dim, start, parts = counted(call.given.get("dim", 0), len(call.shape)), 0, []
    for shape in call.shapes:
        parts.append(_part(call, dim, start, shape))
        start += shape[dim]
    return parts


def _unbind(call: Call) -> list[int]:
    size = call.shape_of()
    dim = counted(call.given.get("dim", 0), len(size))
    kept = (*size[:dim], 1, *size[dim + 1 :])
    parts = [_part(call, dim, index, kept) for index in range(size[dim])]
    return [reshaped(call, Edge(part, call.edge().gradient), call.shape) for part in parts]


def _part(call: Call, dim: int, start: int, shape: Shape, step: int = 1) -> int:
    if shape == call.shape_of():
        return call.edge().node
    return call.make("slice", [call.edge()], (dim, start, step), shape)


def _full(call: Call) -> int:
    """Fill with one number, which may also be computed."""
    value = call.given.get("value")
    return (
        call.make("expand", [value])
        if isinstance(value, Edge)
        else call.full(call.given.get("fill_value", call.given.get("value")), call.shape)
    )


def _zeros(call: Call) -> int:
    return call.full(0, call.shape)


def _ones(call: Call) -> int:
    return call.full(1, call.shape)


def _empty(call: Call) -> int:
    return call.make("empty", ())


def _cast(call: Call) -> int:
    """Convert to another type of number; a move to another device changes nothing."""
    return call.edge().node if "dtype" not in call.given else call.make("cast", [call.edge()])


def _copied(call: Call) -> int:
    """Return what is written over a tensor, in the shape of its place."""
    source = call.edge("src")
    node = call.graph.nodes[source.node]
    if node.dtype != call.dtype:
        source = Edge(call.make("cast", [source], "", node.shape), source.gradient)
    return source.node if node.shape == call.shape else call.make("expand", [source])


def _cat(call: Call) -> int:
    dim = counted(call.given.get("dim", 0), len(call.shape))
    parts = list(call.given["tensors"])
    return parts[0].node if len(parts) == 1 else call.make("cat", parts, str(dim))


def through(operator: str, call: Call, edge: Edge) -> tuple[Edge, Node]:
    """Step back over an operator of this kind to its input; other values are returned as they are."""
    node = call.graph.nodes[edge.node]
    if node.operator == operator:
        edge = _onward(edge, node)
        node = call.graph.nodes[edge.node]
    return edge, node


def _onward(edge: Edge, node: Node) -> Edge:
    """Return the edge to the one input of a value; gradients flow if they do on both edges."""
    return Edge(node.inputs[0].node, edge.gradient and node.inputs[0].gradient)


VIEWS = table(
    (_same, "detach alias clone lift lift_fresh lift_fresh_copy positive contiguous"),
    (_reshape, "view reshape _unsafe_view _reshape_alias squeeze unsqueeze unflatten flatten view_copy reshape_copy"),
    (_permute, "permute"),
    (_transpose, "transpose t"),
    (_expand, "expand"),
    (_slice, "slice"),
    (_select, "select"),
    (_split, "split split_with_sizes unsafe_split unsafe_split_with_sizes unsafe_chunk chunk"),
    (_unbind, "unbind"),
    (_full, "full full_like new_full fill"),
    (_zeros, "zeros zeros_like new_zeros zero"),
    (_ones, "ones ones_like new_ones"),
    (_empty, "empty empty_like new_empty empty_strided new_empty_strided empty_permuted"),
    (_cast, "_to_copy"),
    (_copied, "copy"),
    (_cat, "cat"),
)
