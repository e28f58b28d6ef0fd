"""One call of an operator, with its arguments by name and in one form."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch

from services.evaluator.harness.dataflow import Dataflow, Edge, Shape

# What says where and how a tensor lies in memory, not what is in it.
_PLACEMENT = frozenset({"device", "layout", "pin_memory", "memory_format", "non_blocking", "copy", "out", "implicit"})

_ALWAYS = frozenset({"self", "other", "mat2"})  # tensors that no operator does without


@dataclass
class Call:
    """Call of an operator.

    `given` has the arguments by name, an edge in place of each tensor; `shapes` and `dtype` are those of the results.
    """

    graph: Dataflow
    name: str
    given: dict[str, Any]
    shapes: Sequence[Shape]
    dtype: torch.dtype

    @property
    def shape(self) -> Shape:
        """Shape of the first result."""
        return self.shapes[0]

    def edge(self, name: str = "self") -> Edge:
        """Return the tensor argument of this name; a number in its place becomes a constant."""
        value = self.given[name]
        return value if isinstance(value, Edge) else Edge(self.full(value, ()))

    def shape_of(self, name: str = "self") -> Shape:
        """Return the shape of the tensor argument of this name."""
        return self.graph.nodes[self.edge(name).node].shape

    def full(self, value: Any, shape: Shape) -> int:
        """Return the constant that is this number everywhere."""
        return self.make("full", (), text(value), shape)

    def make(self, name: str, inputs: Iterable[Edge], attributes: Hashable = "", shape: Shape | None = None) -> int:
        """Return the value of the operator `name` on these inputs."""
        return self.graph.add(name, attributes, inputs, self.shape if shape is None else shape, self.dtype)

    def plainly(self, instead: Mapping[str, Any] = MappingProxyType({})) -> int:
        """Return the value of the operator as it is called, with the arguments in `instead` replaced."""
        given = {name: value for name, value in {**self.given, **instead}.items() if name not in _PLACEMENT}
        told = {name: value for name, value in given.items() if not (name in _ALWAYS and isinstance(value, Edge))}
        return self.make(self.name, edges(given.values()), text(told))


Rewrite = Callable[[Call], int | list[int]]


def edges(values: Iterable[Any]) -> Iterator[Edge]:
    """Yield all edges in these arguments, in their order."""
    for value in values:
        if isinstance(value, Edge):
            yield value
        elif isinstance(value, list | tuple):
            yield from edges(value)


def text(value: Any) -> str:
    """Write an argument without its tensors, the same for the same number however it was written."""
    if isinstance(value, Edge):
        return "T"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(text, value))}]"
    if isinstance(value, Mapping):
        return ",".join(f"{name}={text(each)}" for name, each in value.items())
    return repr(value) if isinstance(value, str) else str(value)


def counted(dim: int, rank: int) -> int:
    """Return a dimension counted from the front."""
    return dim % rank if rank else 0


def table(*rows: tuple[Rewrite, str]) -> dict[str, Rewrite]:
    """Return the rewrites by the names of their operators, of which each row has several."""
    return {name: rewrite for rewrite, names in rows for name in names.split()}
