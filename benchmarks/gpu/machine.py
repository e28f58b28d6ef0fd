"""The machine that figures are of, and how much of its GPU's memory is in use."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from services.evaluator.devices import Device

_CONTROL = Path("/dev/nvidiactl")
PACKAGES = ("torch", "transformers", "peft", "trl", "bitsandbytes")


def described(gpu: str, *, dry: bool) -> dict[str, Any]:
    """Return what figures depend on; raises SystemExit where there is no GPU to measure."""
    device = Device.cpu() if dry else Device.of_gpu(gpu)
    found = {
        "device": device.model,
        "driver": device.driver,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }
    if not dry and (why := absent()):
        raise SystemExit(f"no GPU to measure: {why}; --dry does everything on the CPU, small")
    return found


def version(name: str) -> str | None:
    """Return the version of a package; None where it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def absent() -> str:
    """Return why there is no GPU that torch can use here; empty where there is one."""
    if not _CONTROL.exists():
        return f"no {_CONTROL}, so no NVIDIA driver"
    try:
        import torch
    except ImportError as error:
        return f"torch cannot be imported ({error})"
    if not torch.backends.cuda.is_built():
        return f"torch {torch.__version__} is built without CUDA"
    return "" if torch.cuda.device_count() else "torch finds none"


def used_mib(gpu: str) -> float | None:
    """Return the memory in use on a GPU, by everybody, in MiB, as the driver tells; None where nothing tells it."""
    query = ["nvidia-smi", "-i", gpu, "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(query, capture_output=True, text=True, check=True).stdout
        return float(told.splitlines()[0])
    except (OSError, subprocess.CalledProcessError, ValueError, IndexError):
        return None
