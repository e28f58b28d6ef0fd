"""Devices that candidates run on: the CPU, or one GPU or MIG slice for each slot.

They are read from the kernel, without loading a driver.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self

_PROC, _DEV = Path("/proc"), Path("/dev")
_DRIVER = re.compile(r"Kernel Module(?: for \S+)?\s+(\S+)")
_UUID = re.compile(r"GPU-[0-9a-fA-F-]+")


class Card(NamedTuple):
    """GPU of this machine: its device file, its UUID and its model, each empty where the kernel does not tell."""

    file: str
    uuid: str = ""
    model: str = ""


def cards(proc: Path = _PROC, dev: Path = _DEV) -> list[Card]:
    """Return the GPUs that this process is given, numbered as CUDA does by PCI_BUS_ID.

    In a container the only GPU may be /dev/nvidia5, and is number 0 all the same.
    """
    told = [_card(information, dev) for information in sorted(proc.glob("driver/nvidia/gpus/*/information"))]
    files = sorted(dev.glob("nvidia[0-9]*"), key=lambda path: int(path.name.removeprefix("nvidia")))
    return [card for card in told if Path(card.file).exists()] or [Card(str(path)) for path in files]


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
    def of_gpu(cls, gpu: str, proc: Path = _PROC, dev: Path = _DEV) -> Self:
        """Return one GPU or MIG slice.

        A slice is given the model of the first GPU, as the kernel does not tell on which GPU it lies.
        """
        known = cards(proc, dev)
        card = numbered(gpu, known) or (known[0] if known and not gpu.isdigit() else None)
        driver = _DRIVER.search(_text(proc / "driver/nvidia/version"))
        return cls(gpu, card.model if card else "", driver[1] if driver else "")


def numbered(gpu: str, known: Sequence[Card]) -> Card | None:
    """Return the GPU of this index or UUID among those known; None for a MIG slice and an unknown one."""
    return next((card for index, card in enumerate(known) if gpu in (str(index), card.uuid)), None)


def _card(information: Path, dev: Path) -> Card:
    """Read what the kernel tells of a GPU; until its first use that is question marks for its UUID."""
    uuid = _value(information, "GPU UUID")
    file = dev / f"nvidia{_value(information, 'Device Minor')}"
    return Card(str(file), uuid if _UUID.fullmatch(uuid) else "", _value(information, "Model"))


def _value(path: Path, key: str) -> str:
    """Return the value of the first line `key: value` in a file; empty where there is none."""
    lines = (line.partition(":") for line in _text(path).splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == key), "")


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
