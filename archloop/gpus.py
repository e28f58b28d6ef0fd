"""GPUs of this machine, as NVIDIA's driver tells them (NVML); nothing here touches CUDA, so that one may still fork."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from archloop.errors import Unavailable

_CONTROL = Path("/dev/nvidiactl")
_GB = 1e9


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one MIG slice. `index` is the card's, as NVML and `nvidia-smi` count; memory in 10^9 bytes."""

    index: int
    name: str
    memory_gb: float
    free_gb: float
    uuid: str = ""

    @property
    def visible(self) -> str:
        """What CUDA_VISIBLE_DEVICES takes for it; the UUID, as CUDA itself counts the fastest first."""
        return self.uuid or str(self.index)

    @property
    def label(self) -> str:
        """Short name: the card, and which slice of it."""
        return f"GPU {self.index}" + (f" slice {self.uuid[4:12]}" if self.uuid.startswith("MIG-") else "")

    def require(self, gb: float, who: str) -> None:
        """Raise GpuLost where less is free than somebody was promised, because others use the GPU."""
        if self.free_gb < gb:
            promise = f"{gb:.1f} that {who} was promised"
            raise GpuLost(
                f"{self.label} has {self.free_gb:.1f} GB free, not the {promise}: others use it; it is tried again"
            )


class GpuUse(NamedTuple):
    """How a GPU is used now: the share of the last moment in which it computed, null where the driver does not tell."""

    gpu: Gpu
    busy: float | None


class GpuLost(Unavailable):
    """A GPU that was there does not answer, or others have filled it."""

    code = "gpu_lost"


def found() -> tuple[Gpu, ...]:
    """Return the GPUs that this process may use, none where there is no driver. Raises GpuLost, Unavailable."""
    with _driver() as nvml:
        return _allowed(tuple(_all(nvml))) if nvml is not None else ()


def in_use() -> tuple[GpuUse, ...]:
    """Return how the GPUs that this process may use are used. Raises GpuLost, Unavailable."""
    with _driver() as nvml:
        return tuple(GpuUse(gpu, _busy(nvml, gpu)) for gpu in _allowed(tuple(_all(nvml)))) if nvml is not None else ()


def answers() -> bool:
    """Return whether there is a driver that can be asked. Raises GpuLost where it does not answer."""
    try:
        with _driver() as nvml:
            return nvml is not None
    except GpuLost:
        raise
    except Unavailable:
        return False


def state(visible: str) -> Gpu:
    """Return one GPU, or slice, by its index or UUID, as it is now. Raises GpuLost."""
    with _driver() as nvml:
        if nvml is None:
            raise GpuLost(f"GPU {visible} is gone: this machine has no NVIDIA driver any more")
        if visible.isdigit():
            return _read(nvml, nvml.nvmlDeviceGetHandleByIndex(int(visible)), int(visible))
        handle = nvml.nvmlDeviceGetHandleByUUID(visible)
        card = nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle) if visible.startswith("MIG-") else handle
        return _read(nvml, handle, nvml.nvmlDeviceGetIndex(card))


@contextmanager
def _driver() -> Iterator[Any]:
    """Yield NVML while it is initialised; None where there is no driver."""
    try:
        import pynvml as nvml
    except ImportError:
        if _CONTROL.exists():
            raise Unavailable("there is an NVIDIA driver, but nothing to ask it by: pip install nvidia-ml-py") from None
        yield None
        return
    try:
        nvml.nvmlInit()
    except (nvml.NVMLError_LibraryNotFound, nvml.NVMLError_DriverNotLoaded):
        yield None
        return
    except nvml.NVMLError as error:
        raise GpuLost(f"the NVIDIA driver does not answer: {error}") from error
    try:
        yield nvml
    except nvml.NVMLError as error:
        raise GpuLost(f"a GPU does not answer: {error}") from error
    finally:
        nvml.nvmlShutdown()


def _all(nvml: Any) -> Iterator[Gpu]:
    """Yield every card, or its slices where it is cut into such."""
    for index in range(nvml.nvmlDeviceGetCount()):
        card = nvml.nvmlDeviceGetHandleByIndex(index)
        slices = list(_slices(nvml, card)) if _is_cut(nvml, card) else [card]
        yield from (_read(nvml, handle, index) for handle in slices)


def _is_cut(nvml: Any, card: Any) -> bool:
    try:
        return bool(nvml.nvmlDeviceGetMigMode(card)[0])
    except nvml.NVMLError_NotSupported:
        return False


def _slices(nvml: Any, card: Any) -> Iterator[Any]:
    for number in range(nvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        try:
            yield nvml.nvmlDeviceGetMigDeviceHandleByIndex(card, number)
        except nvml.NVMLError_NotFound:
            continue


def _read(nvml: Any, handle: Any, index: int) -> Gpu:
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    name, uuid = (_text(ask(handle)) for ask in (nvml.nvmlDeviceGetName, nvml.nvmlDeviceGetUUID))
    return Gpu(index, name, memory.total / _GB, memory.free / _GB, uuid)


def _busy(nvml: Any, gpu: Gpu) -> float | None:
    """Return how busy the card is; of slices the driver tells nothing."""
    if gpu.uuid.startswith("MIG-"):
        return None
    try:
        return float(nvml.nvmlDeviceGetUtilizationRates(nvml.nvmlDeviceGetHandleByIndex(gpu.index)).gpu) / 100
    except nvml.NVMLError_NotSupported:
        return None


def _text(given: str | bytes) -> str:
    return given.decode(errors="replace") if isinstance(given, bytes) else given


def _allowed(gpus: tuple[Gpu, ...]) -> tuple[Gpu, ...]:
    """Leave out what CUDA_VISIBLE_DEVICES hides, by which schedulers share a machine."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")  # noqa: TID251 - CUDA's own variable, not a setting of ours
    if named is None:
        return gpus
    names = [name.strip() for name in named.split(",") if name.strip()]
    return tuple(
        gpu
        for gpu in gpus
        if any(name == str(gpu.index) or (len(name) > 4 and gpu.uuid.startswith(name)) for name in names)
    )
