"""LoRA adapters added to a base model's weights; nothing of an adapter is unpickled."""

import copy
from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Linear, Module, Parameter

from archloop.adapters import ADAPTER_FILES, CONFIG_FILE, WEIGHTS_FILE, servable
from archloop.errors import InvalidInput, NotFound

_PREFIX, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


class Delta(NamedTuple):
    """What an adapter adds to one weight (N, K): `scale` × up (N, r) × down (r, K)."""

    down: Tensor
    up: Tensor
    scale: float

    def added_to(self, weight: Tensor) -> Tensor:
        """Return the sum, as peft's `merge` computes it. Raises ValueError where it is none."""
        if (self.up.shape[0], self.down.shape[1]) != weight.shape:
            raise ValueError(f"a weight of {tuple(weight.shape)} cannot take {self.up.shape[0]} x {self.down.shape[1]}")
        total = weight + ((self.up @ self.down) * self.scale).to(weight)
        if not torch.isfinite(total).all():
            raise ValueError("the sum is not finite")
        return total


def merged(base: Any, folder: Path) -> Any:
    """Return a copy of transformers' model `base` with the adapter's deltas added.

    It shares every weight that the adapter leaves alone. Raises NotFound, InvalidInput.

    peft could do this too, and takes seconds to import.
    """
    tuned = _twin(base)
    layers = {name: layer for name, layer in tuned.named_modules() if isinstance(layer, Linear)}
    added = deltas(folder, layers)
    with fitting(folder):
        for name, delta in added.items():
            total = delta.added_to(layers[name].weight.data)
            layers[name].weight = Parameter(total, requires_grad=False)
    return tuned.eval()


def deltas(folder: Path, modules: Container[str]) -> Mapping[str, Delta]:
    """Return what the adapter adds to these modules, by name. Raises NotFound, InvalidInput."""
    _check(folder)
    try:
        lora = servable((folder / CONFIG_FILE).read_bytes())
        weights = load_file(folder / WEIGHTS_FILE)
        scale = lora.lora_alpha / (lora.r**0.5 if lora.use_rslora else lora.r)
        names = [name.removeprefix(_PREFIX).removesuffix(_DOWN) for name in weights if name.endswith(_DOWN)]
        found = {name: Delta(*_pair(weights, name), scale) for name in names}
        if len(weights) != 2 * len(found) or not found:
            raise ValueError("it holds something else than pairs of lora_A and lora_B")
        if not all(torch.isfinite(part).all() for delta in found.values() for part in (delta.down, delta.up)):
            raise ValueError("NaNs or infinities in its weights")
        if unknown := [name for name in sorted(found) if name not in modules]:
            raise ValueError(f"there is no {unknown[0]} in it")
    except InvalidInput:
        raise
    except Exception as error:
        raise _not_of_this_base(folder, error) from error
    return found


@contextmanager
def fitting(folder: Path) -> Iterator[None]:
    """Refuse the adapter where a ValueError within the block says why it does not fit. Raises InvalidInput."""
    try:
        yield
    except ValueError as error:
        raise _not_of_this_base(folder, error) from error


def _pair(weights: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return weights[f"{_PREFIX}{name}{_DOWN}"].float(), weights[f"{_PREFIX}{name}{_UP}"].float()


def _check(folder: Path) -> None:
    if not folder.is_dir():
        raise NotFound("adapter folder", str(folder))
    if not (folder / WEIGHTS_FILE).is_file():
        raise InvalidInput("lora_path", str(folder), f"a folder that holds {' and '.join(ADAPTER_FILES)}")


def _not_of_this_base(folder: Path, error: Exception) -> InvalidInput:
    return InvalidInput("lora_path", str(folder), f"an adapter of this base model ({error})")


def _twin(model: Module) -> Module:
    """Copy the architecture over the same storage; replacing one of its weights leaves the original's alone."""
    shared = {id(weight): Parameter(weight.data, requires_grad=False) for weight in model.parameters()}
    return copy.deepcopy(model, shared)
