"""Cost of a network, measured on the images that its shapes are tried with. Advisory, like all that a child sends."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from services.evaluator.harness.flaw import named
from services.evaluator.harness.flops import FlopCounter

_REASON_LIMIT = 200


class Cost(NamedTuple):
    """Cost for one image: floating-point operations of the forward pass, and bytes kept for the backward pass.

    Either is None where it is unknown; `uncounted` says why there are no `flops`.
    """

    flops: int | None = None
    activation_bytes: int | None = None
    uncounted: str = ""


class _Kept:
    """Adds up the memory behind tensors that autograd saves, each piece once, without parameters and buffers."""

    def __init__(self, net: nn.Module) -> None:
        known = (*net.parameters(), *net.buffers())
        self._own = {_piece(tensor) for tensor in known if _has_memory(tensor)}
        self._kept: dict[int, torch.UntypedStorage] = {}
        self._complete = True

    def save(self, tensor: Tensor) -> Tensor:
        """Note a saved tensor, for `saved_tensors_hooks`, and return it.

        Keeping the storage prevents that another storage gets the same identity.
        """
        if not _has_memory(tensor):
            self._complete = False
        elif _piece(tensor) not in self._own:
            self._kept[_piece(tensor)] = tensor.untyped_storage()
        return tensor

    def total(self) -> int | None:
        """Return the sum in bytes; None if torch does not tell the memory of one of the tensors (sparse ones)."""
        return sum(storage.nbytes() for storage in self._kept.values()) if self._complete else None


def cost(net: nn.Module, images: Tensor) -> Cost:
    """Measure one forward pass in evaluation mode, on the device of `images`; on the meta device it takes no time."""
    kept, counter = _Kept(net), FlopCounter()
    try:
        with counter, torch.autograd.graph.saved_tensors_hooks(kept.save, lambda saved: saved):
            net(images)
    except Exception as error:  # noqa: BLE001 - a measure that fails is no flaw
        return Cost(uncounted=f"the measured pass failed: {named(error)}"[:_REASON_LIMIT])
    total, count = kept.total(), len(images)
    activations = None if total is None else total // count
    if counter.uncounted:
        operators = ", ".join(sorted(counter.uncounted))
        return Cost(None, activations, f"no count is known for {operators}"[:_REASON_LIMIT])
    return Cost(counter.total // count, activations)


def _has_memory(tensor: Tensor) -> bool:
    """Return whether a tensor has memory of a known size: neither sparse, nor a parameter without a shape yet."""
    return not is_lazy(tensor) and tensor.layout is torch.strided


def _piece(tensor: Tensor) -> int:
    """Return the identity of a tensor's memory; its address is 0 for all tensors on the meta device."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - torch has no public name for it
