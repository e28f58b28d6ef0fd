"""A network's dataflow: numbered values, each computed once from others, and a hash of what the outputs consist of.

The hash depends neither on names nor on the order of independent steps: values are listed as a walk from the outputs
meets them.
"""

import hashlib
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import NamedTuple

import torch

COMMUTATIVE = frozenset({"add", "mul", "maximum", "minimum", "eq", "ne", "logical_and", "logical_or", "logical_xor"})
Shape = tuple[int, ...]


class TooLarge(BaseException):
    """More values than can be followed; no Exception, so that no `except` of the candidate catches it by accident."""


class Edge(NamedTuple):
    """Use of a value; `gradient` says whether a gradient flows back to the value from there."""

    node: int
    gradient: bool = False


class Node(NamedTuple):
    """Value in the dataflow.

    `attributes` is everything but tensors that it depends on; `distinct` tells values apart that are otherwise equal.
    `constant` says that neither images, nor weights, nor random numbers are in it.
    """

    operator: str
    attributes: Hashable
    inputs: tuple[Edge, ...]
    shape: Shape
    dtype: torch.dtype
    distinct: int
    constant: bool


class Dataflow:
    """Values in the order in which they were first computed; equal computations are one value."""

    def __init__(self, limit: int) -> None:
        self.nodes: list[Node] = []
        self._numbers: dict[Hashable, int] = {}
        self._limit = limit

    def add(self, operator: str, attributes: Hashable, inputs: Iterable[Edge], shape: Shape, dtype: torch.dtype) -> int:
        """Return the number of the value that an operator computes from these inputs."""
        edges = tuple(inputs)
        constant = all(self.nodes[edge.node].constant for edge in edges)
        return self._numbered(Node(operator, attributes, edges, shape, dtype, 0, constant))

    def add_distinct(self, operator: str, attributes: Hashable, shape: Shape, dtype: torch.dtype) -> int:
        """Add a weight or a draw of random numbers, which equals no other value, and return its number."""
        return self._numbered(Node(operator, attributes, (), shape, dtype, len(self.nodes) + 1, constant=False))

    def digest(self, outputs: Sequence[Edge], context: Hashable) -> str:
        """Return the hex SHA-256 of everything that the outputs consist of.

        Values that are otherwise equal are told apart by the order in which the walk meets them.
        """
        roots = [edge.node for edge in outputs]
        likeness = self._likeness(roots)
        place: dict[int, int] = {}
        listing = hashlib.sha256(repr(context).encode())
        for number in self._walk(roots, likeness):
            edges = [(place[edge.node], edge.gradient) for edge in self._ordered(number, likeness)]
            place[number] = len(place)
            listing.update(repr((*self._kind(number), edges)).encode())
        listing.update(repr([(place[edge.node], edge.gradient) for edge in outputs]).encode())
        return listing.hexdigest()

    def _numbered(self, node: Node) -> int:
        number = self._numbers.setdefault((node[:3], node.shape, node.dtype, node.distinct), len(self.nodes))
        if number == len(self.nodes):
            if number >= self._limit:
                raise TooLarge
            self.nodes.append(node)
        return number

    def _likeness(self, roots: Sequence[int]) -> dict[int, bytes]:
        """Return a hash of each value that leaves `distinct` out.

        Inputs of commutative operators, which have no order themselves, are sorted by it.
        """
        found: dict[int, bytes] = {}
        for number in self._walk(roots):
            inputs = [(found[edge.node], edge.gradient) for edge in self.nodes[number].inputs]
            if self.nodes[number].operator in COMMUTATIVE:
                inputs.sort()
            content = repr((*self._kind(number), inputs)).encode()
            found[number] = hashlib.blake2b(content, digest_size=16).digest()
        return found

    def _kind(self, number: int) -> tuple[Hashable, ...]:
        node = self.nodes[number]
        return node.operator, node.attributes, node.shape, str(node.dtype)

    def _walk(self, roots: Sequence[int], likeness: dict[int, bytes] | None = None) -> Iterator[int]:
        """Yield each reached value once, after all its inputs."""
        seen: set[int] = set()
        stack = [(root, False) for root in reversed(roots)]
        while stack:
            number, complete = stack.pop()
            if complete:
                yield number
            elif number not in seen:
                seen.add(number)
                stack.append((number, True))
                stack.extend((edge.node, False) for edge in reversed(self._ordered(number, likeness)))

    def _ordered(self, number: int, likeness: dict[int, bytes] | None) -> Sequence[Edge]:
        node = self.nodes[number]
        if likeness is None or node.operator not in COMMUTATIVE:
            return node.inputs
        return sorted(node.inputs, key=lambda edge: (likeness[edge.node], edge.gradient))
