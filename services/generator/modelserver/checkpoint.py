"""Weights of a model in its safetensors files, read one at a time, and the memory that reading them took."""

import ctypes
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from safetensors import safe_open
from torch import Tensor


class Checkpoint:
    """The safetensors files of a folder or of a model of the hub. Raises ValueError where there are none."""

    def __init__(self, where: str) -> None:
        folder = Path(where)
        if not folder.is_dir():
            folder = Path(snapshot_download(where, allow_patterns=["*.safetensors"]))
        self._files = {name: path for path in sorted(folder.glob("*.safetensors")) for name in _names(path)}
        if not self._files:
            raise ValueError(f"{where} holds no safetensors")

    def __contains__(self, name: str) -> bool:
        """Whether there is a weight of this name."""
        return name in self._files

    def weight(self, name: str) -> Tensor:
        """Return a weight in float32. Raises KeyError.

        The file is mapped for this one weight alone, so that no more of it than that stays in memory.
        """
        with safe_open(self._files[name], "pt") as tensors:
            weight: Tensor = tensors.get_tensor(name).to(torch.float32, copy=True)
        return weight


def _names(path: Path) -> list[str]:
    with safe_open(path, "pt") as tensors:
        return list(tensors.keys())


def give_back() -> None:
    """Return free memory to the machine, where the C library can: what reading a model took is as large as itself."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
