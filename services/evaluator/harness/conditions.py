"""Conditions of training beyond what a network says itself: precision and memory format, as the protocol asks.

A condition is given up where the network does not run under it, which is no fault of the candidate.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_TOLERANCE = 1e-3  # of the largest output: two orders of summation differ by less


class Conditions(NamedTuple):
    """Precision and memory format of a training.

    `bfloat16` is autocast to that type in each forward pass; `channels_last` is the layout of images and kernels.
    """

    bfloat16: bool = False
    channels_last: bool = False

    @property
    def plain(self) -> bool:
        """Whether nothing is asked beyond float32 in torch's own layout."""
        return not (self.bfloat16 or self.channels_last)

    @property
    def precision(self) -> str:
        """Precision, as evaluations name it."""
        return "bfloat16" if self.bfloat16 else "float32"

    @property
    def layout(self) -> str:
        """Memory format, as evaluations name it."""
        return "channels_last" if self.channels_last else "contiguous"

    @property
    def memory_format(self) -> torch.memory_format:
        """Memory format of the images."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def weaker(self) -> Iterator["Conditions"]:
        """Yield these conditions, then those with one of them given up, then plain ones."""
        yield from dict.fromkeys((self, Conditions(self.bfloat16), Conditions(False, self.channels_last), PLAIN))

    @contextmanager
    def imposed(self, net: nn.Module) -> Iterator[None]:
        """Train and run `net` under these conditions until the context ends.

        Autocast surrounds each forward pass and nothing wider. It keeps the weights that it has cast until its context
        ends: around a whole training they would stay those of the first step. Nor is an optimizer's own arithmetic to
        be in bfloat16.
        """
        if self.channels_last:
            _lay_out(net)
        if not self.bfloat16:
            yield
            return
        kind = type(net)
        own = vars(kind).get("forward")
        kind.forward = _autocast(kind.forward)
        try:
            yield
        finally:
            if own is None:
                del kind.forward
            else:
                kind.forward = own


PLAIN = Conditions()


def same_output(plain: Tensor, other: Tensor) -> bool:
    """Return whether two outputs differ by rounding only; a layout may not change what a network computes."""
    scale = float(plain.abs().max())
    return bool(torch.allclose(plain, other, rtol=_TOLERANCE, atol=_TOLERANCE * scale, equal_nan=True))


def _lay_out(net: nn.Module) -> None:
    """Change the layout of 2-d convolution kernels only, as any other tensor may be read by its strides."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not nn.parameter.is_lazy(module.weight):
            module.weight.data = module.weight.data.contiguous(memory_format=torch.channels_last)


def _autocast(forward: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(forward)
    def cast(net: nn.Module, *args: Any, **kwargs: Any) -> Any:
        device = next((value.device.type for value in args if isinstance(value, Tensor)), "cpu")
        with torch.autocast(device, torch.bfloat16):
            output = forward(net, *args, **kwargs)
        return _single(output)

    return cast


def _single(output: Any) -> Any:
    """Convert bfloat16 outputs to float32, so that losses and metrics are not rounded."""
    if isinstance(output, Tensor):
        return output.float() if output.dtype is torch.bfloat16 else output
    if isinstance(output, dict):
        return {name: _single(value) for name, value in output.items()}
    if type(output) in (list, tuple):
        return type(output)(map(_single, output))
    return output
