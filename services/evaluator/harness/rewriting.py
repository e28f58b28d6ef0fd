"""Operators that are the same by other names: each call becomes its value in one form.

An operator that is in no table stands for itself.
"""

from collections.abc import Sequence
from typing import Any

import torch

from services.evaluator.harness.dataflow import Edge, Shape
from services.evaluator.harness.operators import Call, Rewrite, counted, table
from services.evaluator.harness.views import VIEWS, reshaped, through


def rewritten(call: Call) -> int | list[int]:
    """Return the value of a call; a list where it has several results, each a value of its own."""
    rewrite = _TABLE.get(call.name)
    return _usual(call) if rewrite is None else rewrite(call)


def _usual(call: Call) -> int:
    """Return the value with dimensions counted from the front, and a set of them sorted."""
    dims, tensors = call.given.get("dim"), "self" in call.given and isinstance(call.given["self"], Edge)
    if dims is None or not tensors:
        return call.plainly()
    rank = len(call.shape_of())
    if isinstance(dims, list | tuple):
        return call.plainly({"dim": sorted(counted(dim, rank) for dim in dims)})
    return call.plainly({"dim": counted(dims, rank)})


def _add(call: Call) -> int:
    return _weighted(call, "add") if call.given.get("alpha", 1) != 1 else _pointwise(call, "add", neutral=0)


def _sub(call: Call) -> int:
    return _weighted(call, "sub") if call.given.get("alpha", 1) != 1 else _pointwise(call, "sub", neutral=0)


def _rsub(call: Call) -> int:
    """Subtract in the reverse order."""
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
    """Combine two operands; one that is only repeated to the shape of the other needs no repetition."""
    other, node = call.given["other"], call.graph.nodes[call.edge().node]
    if not isinstance(other, Edge) and other == neutral and (node.shape, node.dtype) == (call.shape, call.dtype):
        return call.edge().node
    return _operated(call, name, [call.edge(), call.edge("other")])


def _operated(call: Call, name: str, operands: list[Edge]) -> int:
    bare = [through("expand", call, edge) for edge in operands]
    if all(edge is operand for operand, (edge, _) in zip(operands, bare, strict=True)):
        return call.make(name, operands)
    shape: Shape = torch.broadcast_shapes(*(node.shape for _, node in bare))  # type: ignore[no-untyped-call]
    return call.make(name, operands if shape != call.shape else [edge for edge, _ in bare])


def _affine(product: str, left: str, right: str) -> Rewrite:
    """Split an operator that is a product and a sum into both."""

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
    """Bound the values; a lower bound of 0 alone is relu. `relu6` and `hardtanh` are bounded, too."""

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
    """Reduce over some dimensions; keeping them with length one is a reshape of the result."""
    size = call.shape_of()
    dims = call.given.get("dim")
    over = range(len(size)) if dims is None or dims == [] else [dims] if isinstance(dims, int) else dims
    return _reduction(call, [counted(dim, len(size)) for dim in over])


def _reduction(call: Call, over: Sequence[int]) -> int:
    """Reduce over these dimensions; a reduction of one number that keeps its type is that number."""
    size, node = call.shape_of(), call.graph.nodes[call.edge().node]
    if all(size[dim] == 1 for dim in over) and node.dtype == call.dtype:
        return reshaped(call, call.edge(), call.shape)
    shape = tuple(length for dim, length in enumerate(size) if dim not in over)
    name = "mean" if call.name == "avg_pool2d" else call.name
    made = call.make(name, [call.edge()], tuple(sorted(over)), shape)
    return reshaped(call, Edge(made, call.edge().gradient), call.shape)


def _pool(call: Call) -> int:
    """Pool; the stride defaults to the kernel's size.

    An average over a whole map is a mean, and a pool of one pixel changes nothing.
    """
    kernel, size = list(call.given["kernel_size"]), call.shape_of()
    padding = any(call.given.get("padding", [0]))
    if set(kernel) == {1} and call.shape == size and not padding and not call.given.get("divisor_override"):
        return call.edge().node
    if (
        call.name == "avg_pool2d"
        and kernel == list(size[-2:])
        and not padding
        and not call.given.get("divisor_override")
    ):
        return _reduction(call, [len(size) - 2, len(size) - 1])
    return call.plainly({"stride": call.given.get("stride") or kernel})


def _adaptive(call: Call) -> int:
    """Pool to a given size; to the size of the input it changes nothing."""
    return call.edge().node if call.shape == call.shape_of() else call.plainly()


_TABLE = VIEWS | table(
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
)
