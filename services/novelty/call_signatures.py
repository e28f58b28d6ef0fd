"""The parameters of torch's layers and functions, by which spellings of a call are recognised as the same.

`call_signatures.json` is torch's own account of its parameters and defaults; a test holds it to the installed torch.
"""

import builtins
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

_TABLE: Mapping[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())


class Parameter(NamedTuple):
    """A parameter's name, and its default as a token; None if it has none."""

    name: str
    default: str | int | None = None


class Parameters:
    """All parameters of a layer or a function, in order; `places` are their positions by name."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._parameters = tuple(parameters)
        self.names = tuple(parameter.name for parameter in self)
        self.places = {name: place for place, name in enumerate(self.names)}
        self.defaults = {name: default for name, default in self if default is not None}
        self.required = frozenset(self.names) - self.defaults.keys()

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self._parameters)

    def __len__(self) -> int:
        return len(self._parameters)


def _table(section: str) -> Mapping[str, Parameters]:
    return {name: Parameters(Parameter(*p) for p in of) for name, of in _TABLE[section].items()}


LAYERS, FUNCTIONS = _table("layers"), _table("functions")
METHODS = frozenset(_TABLE["methods"])
ATTRIBUTES = frozenset(_TABLE["attributes"])
"""What tensors and layers have."""

MEMBERS = frozenset(_TABLE["members"])
"""What every `nn.Module` has: whoever overrides one of them changes what torch itself calls."""

ALIASES: Mapping[str, str] = _TABLE["aliases"]
"""Names of functions that torch's documentation calls aliases of others."""

OPERATORS = {"add": "Add", "sub": "Sub", "mul": "Mult", "div": "Div", "matmul": "MatMult", "torch.pow": "Pow"}
OPERATORS |= {"neg": "USub"}
VARIADIC = frozenset({"view", "reshape", "permute", "expand", "repeat", "flip", "tile"})
"""Methods that take their sizes one by one or as one tuple."""

SPATIAL = frozenset({"kernel_size", "stride", "padding", "dilation", "output_size", "output_padding", "size"})
"""Of these parameters one number means the same as a tuple of as many equal ones as there are dimensions."""

SINGLE = frozenset({"dim", "normalized_shape"})
"""Of these one number means the same as a list of it alone."""

NUMPY = {"axis": "dim", "keepdims": "keepdim"}
"""Names of NumPy's by which torch's functions take arguments too."""

APPLIED = {
    name: name.lower()
    for name in [
        "ReLU",
        "ReLU6",
        "ELU",
        "SELU",
        "CELU",
        "GELU",
        "SiLU",
        "Mish",
        "Sigmoid",
        "Tanh",
        "Hardsigmoid",
        "Hardswish",
        "Hardtanh",
        "Softplus",
        "Softsign",
        "GLU",
        "Softmax",
        "Flatten",
        "Dropout",
        "Dropout1d",
        "Dropout2d",
        "Dropout3d",
        "Unfold",
    ]
} | {
    "LeakyReLU": "leaky_relu",
    "LogSigmoid": "logsigmoid",
    "LogSoftmax": "log_softmax",
    "AlphaDropout": "alpha_dropout",
    "PixelShuffle": "pixel_shuffle",
    "Upsample": "interpolate",
    **{
        f"{kind}{dimensions}d": f"{function}{dimensions}d"
        for kind, function in {
            "MaxPool": "max_pool",
            "AvgPool": "avg_pool",
            "AdaptiveAvgPool": "adaptive_avg_pool",
            "AdaptiveMaxPool": "adaptive_max_pool",
        }.items()
        for dimensions in (1, 2, 3)
    },
}
"""Layers without parameters, and the function that each of them applies."""

_HOMES = ("torch.nn.functional.", "torch.nn.modules.", "torch.nn.", "torch.")
_DIFFERING = frozenset(_TABLE["differing"])


@lru_cache(maxsize=4096)
def canonical(dotted: str) -> str:
    """Return one name for what torch offers in several places; `torch.max` keeps its module: `max` is Python's."""
    for home in _HOMES:
        if dotted.startswith(home):
            name = dotted[len(home) :]
            last = name.rpartition(".")[2]
            if home == "torch.nn.modules." and last in LAYERS:
                return last
            name = ALIASES.get(name, name) if home == "torch." else name
            return f"torch.{name}" if hasattr(builtins, name) or (home == "torch." and name in _DIFFERING) else name
    return dotted
