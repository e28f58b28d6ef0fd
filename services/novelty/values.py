"""The interpreter's knowledge of a tensor: where it comes from, and which operations made it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

NAMES = {
    "conv": "conv1d conv2d conv3d convtranspose1d convtranspose2d convtranspose3d conv_transpose2d lazyconv2d",
    "linear": "linear bilinear lazylinear",
    "pool": "adaptiveavgpool1d adaptiveavgpool2d adaptiveavgpool3d adaptivemaxpool2d "
    "adaptive_avg_pool1d adaptive_avg_pool2d adaptive_max_pool2d mean amax",
    "gate": "sigmoid hardsigmoid hard_sigmoid tanh hardtanh",
    "softmax": "softmax softmax2d softmin",
    "matmul": "matmul bmm einsum mm baddbmm",
    "cat": "cat concat concatenate hstack",
    "add": "add add_",
    "multiply": "mul mul_ multiply",
    "scalar": "size dim numel len int float range enumerate isinstance hasattr randn rand zeros ones arange "
    "randn_like rand_like zeros_like ones_like",
    "reshape": "view reshape unsqueeze squeeze expand expand_as repeat permute transpose flatten unflatten chunk split "
    "contiguous clone to float half type_as interpolate upsample dropout dropout2d identity unbind movedim "
    "sequential view_as t",
}
KIND = {name: kind for kind, names in NAMES.items() for name in names.split()}


class Trait(StrEnum):
    """An operation in a tensor's past that no later one has undone."""

    CONV = "conv"
    POOLED = "pooled"
    GATE = "gate"
    MATMUL = "matmul"


Traits = frozenset[Trait]
NONE: Traits = frozenset()


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor, a list of tensors (`items`), or neither (no ancestry).

    `bit` names the value and `ancestry` holds the bits of it and of all that it was computed from. `gated` is the
    ancestry of what a gate was computed from directly.
    """

    bit: int = 0
    ancestry: int = 0
    traits: Traits = NONE
    items: "list[Value] | None" = None
    gated: int = 0

    @property
    def is_tensor(self) -> bool:
        """Say whether it depends on an input."""
        return self.ancestry != 0

    def is_swish_of(self, other: "Value") -> bool:
        """Say whether it is a gate on `other` computed from `other` alone, as in x · sigmoid(x)."""
        return self.gated != 0 and self.gated == other.bit


NOTHING = Value()


class Values:
    """Makes values; at most `limit` of them, so that the bits stay short whatever the source."""

    def __init__(self, limit: int) -> None:
        self._next, self._limit = 0, limit

    @property
    def exhausted(self) -> bool:
        """Say whether the limit is reached."""
        return self._next >= self._limit

    def source(self) -> Value:
        """Make an input."""
        bit = self._bit()
        return Value(bit, bit)

    def derived(self, parents: Iterable[Value], traits: Traits = NONE, gated: int = 0) -> Value:
        """Make a value computed from the parents; no tensor if none of them is, or beyond the limit."""
        if self.exhausted:
            return NOTHING
        ancestry = 0
        for parent in parents:
            ancestry |= parent.ancestry
            for item in parent.items or ():
                ancestry |= item.ancestry
        if not ancestry:
            return NOTHING
        bit = self._bit()
        return Value(bit, ancestry | bit, traits, gated=gated)

    def _bit(self) -> int:
        self._next += 1
        return 1 << self._next


def traits_of(values: Iterable[Value]) -> Traits:
    """Return the union of all traits."""
    return NONE.union(*(value.traits for value in values))
