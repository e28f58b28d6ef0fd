"""Which operators are the same by other names: each call as the value that it makes, in one form.

What is not in the table below stands for itself.
"""

from collections.abc import Sequence
from typing import Any

import torch

from services.evaluator.harness.dataflow import Edge, Node, Shape
from services.evaluator.harness.operators import Call, Rewrite, counted


def rewritten(call: Call) -> int | list[int]:
    """The value of a call; a list where several tensors came out and each is a value of its own."""
    rewrite = _TABLE.get(call.name)
    return _usual(call) if rewrite is None else rewrite(call)


def _usual(call: Call) -> int:
    """Dimensions from the front; of a set of them the order says nothing."""
    dims, tensors = call.given.get("dim"), "self" in call.given and isinstance(call.given["self"], Edge)
    if dims is None or not tensors:
        return call.plainly()
    rank = len(call.shape_of())
    if isinstance(dims, list | tuple):
        return call.plainly({"dim": sorted(counted(dim, rank) for dim in dims)})
    return call.plainly({"dim": counted(dims, rank)})


def _same(call: Call) -> int:
    return call.edge().node


def _reshape(call: Call) -> int:
    """A view as another type of number is none."""
    return call.plainly() if "dtype" in call.given else _reshaped(call, call.edge(), call.shape)


def _reshaped(call: Call, edge: Edge, shape: Shape) -> int:
    """The same numbers in the same order: by whichever steps, it is one."""
    origin, node = _through("reshape", call, edge)
    return origin.node if node.shape == shape else call.make("reshape", [origin], "", shape)


def _permute(call: Call) -> int:
    rank = len(call.shape)
    return _permuted(call, [counted(dim, rank) for dim in call.given["dims"]])


def _transpose(call: Call) -> int:
    """Two dimensions in each other's place, by default the only ones."""
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
    origin, node = _through("expand", call, call.edge())
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
    return _reshaped(call, Edge(part, call.edge().gradient), call.shape)


def _split(call: Call) -> list[int]:
    """Pieces one after the other."""
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
    return [_reshaped(call, Edge(part, call.edge().gradient), call.shape) for part in parts]


def _part(call: Call, dim: int, start: int, shape: Shape, step: int = 1) -> int:
    if shape == call.shape_of():
        return call.edge().node
    return call.make("slice", [call.edge()], (dim, start, step), shape)


def _full(call: Call) -> int:
    """One number everywhere, also one that is computed."""
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
    """To another type of number; to another place is no change."""
    return call.edge().node if "dtype" not in call.given else call.make("cast", [call.edge()])


def _copied(call: Call) -> int:
    """What is written over something is what it was, in the shape of its place."""
    source = call.edge("src")
    node = call.graph.nodes[source.node]
    if node.dtype != call.dtype:
        source = Edge(call.make("cast", [source], "", node.shape), source.gradient)
    return source.node if node.shape == call.shape else call.make("expand", [source])


def _add(call: Call) -> int:
    return _weighted(call, "add") if call.given.get("alpha", 1) != 1 else _pointwise(call, "add", neutral=0)


def _sub(call: Call) -> int:
    return _weighted(call, "sub") if call.given.get("alpha", 1) != 1 else _pointwise(call, "sub", neutral=0)


def _rsub(call: Call) -> int:
    """The other way round."""
    if call.given.get("alpha", 1) != 1:
        return call.plainly()
    return _operated(call, "sub", [call.edge("other"), call.edge()])


def _mul(call: Call) -> int:
    return _pointwise(call, "mul", neutral=1)


def _div(call: Call) -> int:
    return call.plainly() if call.given.get("rounding_mode") else _pointwise(call, "div", neutral=1)


def _weighted(call: Call, name: str) -> int:
    return call.make(name, [call.edge(), call.edge("other")], f"alpha={call.given['alpha']}")


def _pointwise(call: Call, name: str, neutral: int) -> int:
    """Two operands; what only repeats one to the shape of the other happens by itself."""
    other, node = call.given["other"], call.graph.nodes[call.edge().node]
    if not isinstance(other, Edge) and other == neutral and (node.shape, node.dtype) == (call.shape, call.dtype):
        return call.edge().node
    return _operated(call, name, [call.edge(), call.edge("other")])


def _operated(call: Call, name: str, operands: list[Edge]) -> int:
    bare = [_through("expand", call, edge) for edge in operands]
    if all(edge is operand for operand, (edge, _) in zip(operands, bare, strict=True)):
        return call.make(name, operands)
    shape: Shape = torch.broadcast_shapes(*(node.shape for _, node in bare))  # type: ignore[no-untyped-call]
    return call.make(name, operands if shape != call.shape else [edge for edge, _ in bare])


def _affine(product: str, left: str, right: str) -> Rewrite:
    """A product and a sum in one operator."""

    def rewrite(call: Call) -> int:
        if call.given.get("alpha", 1) != 1 or call.given.get("beta", 1) != 1:
            return call.plainly()
        made = call.make(product, [call.edge(left), call.edge(right)])
        return _operated(call, "add", [Edge(made, call.edge(left).gradient or call.edge(right).gradient), call.edge()])

    return rewrite


def _silu(call: Call) -> int:
    gate = call.make("sigmoid", [call.edge()])
    return call.make("mul", [call.edge(), Edge(gate, call.edge().gradient)])


def _clamp(low: str, high: str) -> Rewrite:
    """Below at 0 and not above it is the same as relu; `relu6` and `hardtanh` are clamped, too."""

    def rewrite(call: Call) -> int:
        bounds: list[Any] = [call.given.get(low), call.given.get(high)]
        if call.name == "hardtanh":
            bounds = [call.given.get(low, -1), call.given.get(high, 1)]
        if any(isinstance(bound, Edge) for bound in bounds):
            return call.plainly()
        if bounds == [0, None]:
            return call.make("relu", [call.edge()])
        ends = ["" if bound is None else float(bound) for bound in bounds]
        return call.make("clamp", [call.edge()], str(ends))

    return rewrite


def _threshold(call: Call) -> int:
    return call.make("relu", [call.edge()]) if call.given["threshold"] == call.given["value"] == 0 else call.plainly()


def _reduced(call: Call) -> int:
    """Over which dimensions; that they are kept with length one is a reshape of the result."""
    size = call.shape_of()
    dims = call.given.get("dim")
    over = range(len(size)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    return _reduction(call, [counted(dim, len(size)) for dim in over])


def _reduction(call: Call, over: Sequence[int]) -> int:
    shape = tuple(length for dim, length in enumerate(call.shape_of()) if dim not in over)
    name = "mean" if call.name == "avg_pool2d" else call.name
    made = call.make(name, [call.edge()], tuple(sorted(over)), shape)
    return _reshaped(call, Edge(made, call.edge().gradient), call.shape)


def _pool(call: Call) -> int:
    """The stride is the kernel's size where none is given; the mean of a whole map is a mean."""
    kernel, size = list(call.given["kernel_size"]), call.shape_of()
    padding = any(call.given.get("padding", [0]))
    if (
        call.name == "avg_pool2d"
        and kernel == list(size[-2:])
        and not padding
        and not call.given.get("divisor_override")
    ):
        return _reduction(call, [len(size) - 2, len(size) - 1])
    return call.plainly({"stride": call.given.get("stride") or kernel})


def _adaptive(call: Call) -> int:
    """To as many numbers as there are."""
    return call.edge().node if call.shape == call.shape_of() else call.plainly()


def _cat(call: Call) -> int:
    dim = counted(call.given.get("dim", 0), len(call.shape))
    parts = list(call.given["tensors"])
    return parts[0].node if len(parts) == 1 else call.make("cat", parts, str(dim))


def _through(operator: str, call: Call, edge: Edge) -> tuple[Edge, Node]:
    """Past a step of this kind to what it was done to."""
    node = call.graph.nodes[edge.node]
    if node.operator == operator:
        edge = _onward(edge, node)
        node = call.graph.nodes[edge.node]
    return edge, node


def _onward(edge: Edge, node: Node) -> Edge:
    """To the one value that another is made of: gradients flow if they did on both ways."""
    return Edge(node.inputs[0].node, edge.gradient and node.inputs[0].gradient)


def _table(*rows: tuple[Rewrite, str]) -> dict[str, Rewrite]:
    return {name: rewrite for rewrite, names in rows for name in names.split()}


_TABLE = _table(
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
    (_add, "add"),
    (_sub, "sub"),
    (_rsub, "rsub"),
    (_mul, "mul"),
    (_div, "div"),
    (_affine("mm", "mat1", "mat2"), "addmm"),
    (_affine("bmm", "batch1", "batch2"), "baddbmm"),
    (_silu, "silu"),
    (_clamp("min", "max"), "clamp clamp_min clamp_max"),
    (_clamp("min_val", "max_val"), "hardtanh"),
    (_threshold, "threshold"),
    (_reduced, "mean sum amax amin"),
    (_pool, "avg_pool2d max_pool2d_with_indices"),
    (_adaptive, "_adaptive_avg_pool2d"),
    (_cat, "cat"),
)
