"""Devices that candidates run on: the CPU, or one GPU or MIG slice for each slot.

They are read from the kernel, without loading a driver.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

_PROC = Path("/proc")
_DRIVER = re.compile(r"Kernel Module(?: for \S+)?\s+(\S+)")


@dataclass(frozen=True)
class Device:
    """Device of one slot.

    `gpu` is the GPU's index, its UUID or that of a MIG slice, as CUDA_VISIBLE_DEVICES takes it; None is the CPU.
    `model` and `driver` are as the kernel names them, empty where it does not.
    """

    gpu: str | None = None
    model: str = ""
    driver: str = ""

    @property
    def name(self) -> str:
        """Short name: `cpu`, `cuda:0`, or the UUID."""
        if self.gpu is None:
            return "cpu"
        return f"cuda:{self.gpu}" if self.gpu.isdigit() else self.gpu

    @classmethod
    def cpu(cls, proc: Path = _PROC) -> Self:
        """Return the processor of this machine."""
        return cls(model=_value(proc / "cpuinfo", "model name"))

    @classmethod
    def of_gpu(cls, gpu: str, proc: Path = _PROC) -> Self:
        """Return one GPU or MIG slice.

        A slice is given the model of the first GPU, as the kernel does not tell on which GPU it lies.
        """
        cards = sorted(proc.glob("driver/nvidia/gpus/*/information"))
        own = [card for card in cards if gpu in (_value(card, "Device Minor"), _value(card, "GPU UUID"))]
        model = next((_value(card, "Model") for card in own or cards), "")
        driver = _DRIVER.search(_text(proc / "driver/nvidia/version"))
        return cls(gpu, model, driver[1] if driver else "")


def _value(path: Path, key: str) -> str:
    """Return the value of the first line `key: value` in a file; empty where there is none."""
    lines = (line.partition(":") for line in _text(path).splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), "")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
