"""Values in memory: which value a tensor holds, followed through views of it and writes to it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.autograd.function import BackwardCFunction
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.parameter import is_lazy

from services.evaluator.harness.dataflow import Dataflow, Edge, Shape

_NUMPY: Callable[[Tensor], NDArray[Any]] = Tensor.numpy  # as it is when nobody watches
_CONSTANTS = 64 * 1024**2  # bytes, of all constants together


class Untraceable(Exception):
    """The graph would not show the whole network; the message says why."""


class Place(NamedTuple):
    """Position of a tensor in its memory; a dimension of length one has no stride."""

    offset: int
    shape: Shape
    stride: tuple[int, ...]
    dtype: torch.dtype
    changed: bool

    @classmethod
    def of(cls, tensor: Tensor) -> "Place":
        """Return a tensor's place; `changed` says that it is read conjugated or negated, which only a mark shows."""
        shape, stride = tuple(tensor.shape), tensor.stride()
        if 1 in shape:
            stride = tuple(step if length != 1 else 0 for step, length in zip(stride, shape, strict=True))
        return cls(int(tensor.storage_offset()), shape, stride, tensor.dtype, tensor.is_conj() or tensor.is_neg())


@dataclass
class _Memory:
    """Values in one storage, each with the number of `writes` that it includes.

    `alive` keeps the storage's address from being used again.
    """

    alive: StorageWeakRef
    values: dict[Place, tuple[int, int]] = field(default_factory=dict)
    writes: list[tuple[Place, Edge]] = field(default_factory=list)


class Memories:
    """Memory of a network and of everything that is computed."""

    def __init__(self, graph: Dataflow, net: nn.Module) -> None:
        self._graph = graph
        self._of: dict[int, _Memory] = {}
        self._own = {_address(tensor): tensor for tensor in (*net.parameters(), *net.buffers()) if _plain(tensor)}
        self._left = _CONSTANTS

    def edge(self, tensor: Tensor) -> Edge:
        """Return a tensor's value as it is used now. Raises Untraceable."""
        if not _plain(tensor):
            raise Untraceable(f"a tensor has the layout {tensor.layout}")
        if tensor.requires_grad and isinstance(tensor.grad_fn, BackwardCFunction):
            raise Untraceable(f"a backward pass is the network's own ({type(tensor.grad_fn).__name__})")
        return Edge(self._value(tensor), tensor.requires_grad)

    def knows(self, tensor: Tensor) -> bool:
        """Return whether the tensor is another view of known numbers in the same order."""
        memory = self._memory(tensor)
        return memory.values.get(Place.of(tensor), (0, -1))[1] == len(memory.writes)

    def remember(self, tensor: Tensor, value: int) -> None:
        """Record the value of a tensor that came out of an operator."""
        if not _plain(tensor):
            raise Untraceable(f"a tensor has the layout {tensor.layout}")
        memory = self._memory(tensor)
        memory.values[Place.of(tensor)] = value, len(memory.writes)

    def write(self, tensor: Tensor, value: Edge) -> None:
        """Record that a tensor has another value from now on, and with it all that lies in the same memory."""
        memory, place = self._memory(tensor), Place.of(tensor)
        memory.writes.append((place, value))
        memory.values[place] = value.node, len(memory.writes)

    def _memory(self, tensor: Tensor) -> _Memory:
        address = _address(tensor)
        if address not in self._of:
            self._of[address] = _Memory(StorageWeakRef(tensor.untyped_storage()))  # type: ignore[no-untyped-call]
        return self._of[address]

    def _value(self, tensor: Tensor) -> int:
        memory, place = self._memory(tensor), Place.of(tensor)
        if not memory.values:
            own = self._own.get(_address(tensor), tensor)
            memory.values[Place.of(own)] = self._leaf(own), 0
        if place not in memory.values:
            memory.values[place] = self._part(memory, place), len(memory.writes)
        value, seen = memory.values[place]
        if seen < len(memory.writes):
            value = self._rewritten(memory, place, value, seen)
            memory.values[place] = value, len(memory.writes)
        return value

    def _part(self, memory: _Memory, place: Place) -> int:
        """Return the value of a view that no operator made, as a part of what was there first."""
        whole, (value, seen) = next(iter(memory.values.items()))
        value = self._rewritten(memory, whole, value, seen)
        return self._graph.add("strided", (str(whole), str(place)), [Edge(value)], place.shape, place.dtype)

    def _rewritten(self, memory: _Memory, place: Place, value: int, seen: int) -> int:
        """Return the value at a place after the writes that it does not include yet."""
        for where, written in memory.writes[seen:]:
            if where == place:
                value = written.node
            else:
                inputs = [Edge(value), written]
                value = self._graph.add("written", (str(where), str(place)), inputs, place.shape, place.dtype)
        return value

    def _leaf(self, tensor: Tensor) -> int:
        """Return the value of a tensor of the network: of a weight by its shape, of any other by its content."""
        shape, dtype = tuple(tensor.shape), tensor.dtype
        own = _address(tensor) in self._own
        if own and isinstance(tensor, nn.Parameter) and tensor.requires_grad:
            return self._graph.add_distinct("weight", "", shape, dtype)
        if own:
            return self._graph.add_distinct("buffer", self._content(tensor), shape, dtype)
        return self._graph.add("constant", self._content(tensor), (), shape, dtype)

    def _content(self, tensor: Tensor) -> str:
        self._left -= tensor.numel() * tensor.element_size()
        if self._left < 0:
            raise Untraceable(f"it has more than {_CONSTANTS // 2**20} MiB of constants")
        raw = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
        return hashlib.sha256(_NUMPY(raw).tobytes()).hexdigest()


def _plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and tensor.is_cpu and not is_lazy(tensor)


def _address(tensor: Tensor) -> int:
    """Return the identity of a tensor's storage."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - torch has no public name for it
