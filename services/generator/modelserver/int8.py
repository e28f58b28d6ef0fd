"""Matrix products with 8-bit weights, by oneDNN's integer kernels.

Sums of integers do not depend on their order, so a row's product is the same to the bit whatever other rows are
multiplied beside it, and on however many threads. An input is the sum of a coarse and a fine 8-bit number, for one
alone is too coarse where a few values of a row are far larger than the rest: two rows are multiplied in its place,
which costs little where the weights have to be read from memory anyway.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# a power of two, so that adding a finer number is rounded once whether or not the machine does it in one operation
_FINER = 128
_LIMIT, _TINY = 127.0, 1e-12
# What stands for nothing in an input. With VNNI but no AMX oneDNN has a kernel for inputs without a sign alone;
# others take a thousand times as long. Without VNNI its kernel for these may saturate, and the sums are not exact.
_ZERO = 128
_multiply = torch.ops.onednn.qlinear_pointwise.default


class Rows(NamedTuple):
    """Rows in 8 bits: codes (M, K), and the scale (M, 1) of each row."""

    codes: Tensor
    scales: Tensor


class Int8Linear:
    """A linear layer without bias, its weight (N, K) in 8 bits with a scale for each of the N outputs."""

    def __init__(self, weight: Tensor) -> None:
        codes, scales = quantised(weight)
        self._packed = torch.ops.onednn.qlinear_prepack(codes, None)
        self._scales = scales.flatten()
        self._zeros = torch.zeros(len(weight), dtype=torch.int)
        self._zero = _ZERO if fast() else 0

    def __call__(self, inputs: Tensor, factors: Tensor | None = None) -> Tensor:
        """Return (M, N) float32 for (M, K) float32, each row of inputs rounded by itself.

        Args:
            inputs: Rows to multiply by the weight.
            factors: One for each row of the outputs, (M, 1), by which it is multiplied.

        """
        rows, scales = len(inputs), _scales(inputs)
        exact = inputs / scales
        coarse = exact.round()
        codes = inputs.new_empty(2 * rows, inputs.shape[1], dtype=torch.uint8 if self._zero else torch.int8)
        codes[:rows] = coarse + self._zero
        codes[rows:] = exact.sub_(coarse).mul_(_FINER).round_().add_(self._zero)
        products = _multiply(
            codes, 1.0, self._zero, self._packed, self._scales, self._zeros, None, 1.0, 0, torch.float32, "none", [], ""
        )
        whole: Tensor = products[:rows].add_(products[rows:], alpha=1 / _FINER)
        return whole.mul_(scales if factors is None else scales.mul_(factors))


def quantised(rows: Tensor) -> Rows:
    """Round every row (K,) to whole multiples of a 127th of its largest absolute value."""
    scales = _scales(rows)
    return Rows((rows / scales).round_().to(torch.int8), scales)


def _scales(rows: Tensor) -> Tensor:
    return rows.abs().amax(-1, keepdim=True).clamp_(min=_TINY).div_(_LIMIT)


def fast() -> bool:
    """Whether this processor multiplies 8-bit integers by instructions of its own (VNNI or AMX)."""
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name) for name in ("avx512_vnni", "avx_vnni", "amx_int8"))
