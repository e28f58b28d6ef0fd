"""What a network costs, measured on the images that its shapes are tried with. Advisory, like all that a child says."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode


class Cost(NamedTuple):
    """Of one image: floating-point operations of the forward pass, and bytes kept from it for the backward pass."""

    flops: int
    activation_bytes: int


class _Kept:
    """Adds up the memory behind the tensors that autograd saves, each piece once, parameters and buffers left out."""

    def __init__(self, net: nn.Module) -> None:
        known = (*net.parameters(), *net.buffers())
        self._own = {_piece(tensor) for tensor in known}
        self._kept: dict[int, torch.UntypedStorage] = {}

    def save(self, tensor: Tensor) -> Tensor:
        """For `saved_tensors_hooks`. Keeping the storage keeps its identity from being given to another."""
        if _piece(tensor) not in self._own:
            self._kept[_piece(tensor)] = tensor.untyped_storage()
        return tensor

    def total(self) -> int:
        """In bytes."""
        return sum(storage.nbytes() for storage in self._kept.values())


def cost(net: nn.Module, images: Tensor) -> Cost | None:
    """None where the network cannot be measured so. A multiply-add counts as two operations, as torch counts it.

    In evaluation mode, on the device of `images`: a meta tensor costs neither memory nor time.
    """
    kept, counter = _Kept(net), FlopCounterMode(display=False)
    try:
        with counter, torch.autograd.graph.saved_tensors_hooks(kept.save, lambda saved: saved):
            net(images)
    except Exception:  # noqa: BLE001 - a measure that fails is no flaw
        return None
    count = len(images)
    return Cost(counter.get_total_flops() // count, kept.total() // count)


def _piece(tensor: Tensor) -> int:
    """The identity of its memory; the address is 0 for all that lie on the meta device."""
    return int(tensor.untyped_storage()._cdata)  # noqa: SLF001 - torch has no public name for it
