"""GPUs as the driver tells them, by a stand-in for NVML."""

import sys
from types import ModuleType, SimpleNamespace

import pytest

from archloop import gpus
from archloop.errors import Unavailable
from archloop.gpus import Gpu, GpuLost

GIB = 2**30


class FakeNvml(ModuleType):
    """NVML over cards: each a uuid, a size and what is free in GiB, and its slices, which are such again."""

    class NVMLError(Exception): ...

    class NVMLError_LibraryNotFound(NVMLError): ...  # noqa: N801 - NVML's own names

    class NVMLError_DriverNotLoaded(NVMLError): ...  # noqa: N801

    class NVMLError_NotSupported(NVMLError): ...  # noqa: N801

    class NVMLError_NotFound(NVMLError): ...  # noqa: N801

    class NVMLError_GpuIsLost(NVMLError): ...  # noqa: N801

    def __init__(self, *cards, fails: str = "", knows_slices: bool = True) -> None:
        super().__init__("pynvml")
        self.cards, self.fails, self.knows_slices = cards, fails, knows_slices
        self.open = 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.fails:
            raise getattr(self, self.fails)("no")
        self.open += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.open -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if index >= len(self.cards):
            raise self.NVMLError_NotFound("no such card")
        return self.cards[index]

    def nvmlDeviceGetHandleByUUID(self, uuid):  # noqa: N802
        every = [*self.cards, *(each for card in self.cards for each in card.slices)]
        found = [each for each in every if each.uuid == uuid]
        if not found:
            raise self.NVMLError_NotFound("no such card")
        return found[0]

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, handle):  # noqa: N802
        return next(card for card in self.cards if handle in card.slices)

    def nvmlDeviceGetIndex(self, card) -> int:  # noqa: N802
        return self.cards.index(card)

    def nvmlDeviceGetMigMode(self, card):  # noqa: N802
        if not self.knows_slices:
            raise self.NVMLError_NotSupported("old")
        return [int(bool(card.slices)), 0]

    def nvmlDeviceGetMaxMigDeviceCount(self, card) -> int:  # noqa: N802
        return 7

    def nvmlDeviceGetMigDeviceHandleByIndex(self, card, number):  # noqa: N802
        if number >= len(card.slices):
            raise self.NVMLError_NotFound("none")
        return card.slices[number]

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802
        if handle.free is None:
            raise self.NVMLError_GpuIsLost("lost")
        return SimpleNamespace(total=handle.size * GIB, free=handle.free * GIB)

    def nvmlDeviceGetUtilizationRates(self, card):  # noqa: N802
        if not self.knows_slices:
            raise self.NVMLError_NotSupported("old")
        return SimpleNamespace(gpu=int(card.size), memory=0)

    def nvmlDeviceGetName(self, handle):  # noqa: N802
        return b"G" if handle.size < 20 else "G"

    def nvmlDeviceGetUUID(self, handle) -> str:  # noqa: N802
        return handle.uuid


def card(uuid: str, size: float = 24, free: float | None = 24, *slices) -> SimpleNamespace:
    return SimpleNamespace(uuid=uuid, size=size, free=free, slices=list(slices))


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    made = []

    def install(*cards, **how) -> FakeNvml:
        made.append(FakeNvml(*cards, **how))
        monkeypatch.setitem(sys.modules, "pynvml", made[-1])
        return made[-1]

    yield install
    assert [each.open for each in made] == [0] * len(made), "NVML is shut down after each look"


FOUR = (
    card("GPU-aaaa", 12, 10),
    card("GPU-bbbb", 24, 1),
    card("GPU-cccc", 80, 80, card("MIG-1111", 10, 9), card("MIG-2222", 40, 40)),
    card("GPU-dddd"),
)


@pytest.mark.parametrize("knows_slices", [True, False])
def test_cards_and_slices_with_their_memory(nvml, knows_slices: bool) -> None:
    nvml(*FOUR, knows_slices=knows_slices)
    slices = [("MIG-1111", 2, 10, 9), ("MIG-2222", 2, 40, 40)] if knows_slices else [("GPU-cccc", 2, 80, 80)]
    told = [(gpu.uuid, gpu.index, gpu.memory_gb, gpu.free_gb) for gpu in gpus.found()]
    gb = GIB / 1e9
    assert told == [
        (uuid, index, pytest.approx(size * gb), pytest.approx(free * gb))
        for uuid, index, size, free in [
            ("GPU-aaaa", 0, 12, 10),
            ("GPU-bbbb", 1, 24, 1),
            *slices,
            ("GPU-dddd", 3, 24, 24),
        ]
    ]
    assert {gpu.name for gpu in gpus.found()} == {"G"}


def test_how_busy_a_card_is_is_told_and_of_a_slice_nobody_knows(nvml) -> None:
    nvml(*FOUR)
    told = [(each.gpu.uuid, each.busy) for each in gpus.in_use()]
    assert told == [("GPU-aaaa", 0.12), ("GPU-bbbb", 0.24), ("MIG-1111", None), ("MIG-2222", None), ("GPU-dddd", 0.24)]
    nvml(card("GPU-aaaa"), knows_slices=False)
    assert [each.busy for each in gpus.in_use()] == [None]
    nvml(fails="NVMLError_DriverNotLoaded")
    assert gpus.in_use() == ()


@pytest.mark.parametrize(
    ("visible", "left"),
    [
        ("", []),
        ("0", ["GPU-aaaa"]),
        ("3,1", ["GPU-bbbb", "GPU-dddd"]),
        ("GPU-bbbb", ["GPU-bbbb"]),
        ("GPU-b", ["GPU-bbbb"]),
        ("MIG-2222", ["MIG-2222"]),
        ("2", ["MIG-1111", "MIG-2222"]),
        ("9", []),
        ("-1", []),
        (" 0 , GPU-dddd", ["GPU-aaaa", "GPU-dddd"]),
    ],
)
def test_what_a_scheduler_hides_is_not_there(nvml, monkeypatch: pytest.MonkeyPatch, visible: str, left) -> None:
    nvml(*FOUR)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.uuid for gpu in gpus.found()] == left


@pytest.mark.parametrize(
    ("visible", "index", "label"),
    [
        ("0", 0, "GPU 0"),
        ("GPU-bbbb", 1, "GPU 1"),
        ("MIG-1111", 2, "GPU 2 slice 1111"),
        ("MIG-2222", 2, "GPU 2 slice 2222"),
        ("3", 3, "GPU 3"),
    ],
)
def test_one_gpu_by_its_number_or_uuid(nvml, visible: str, index: int, label: str) -> None:
    nvml(*FOUR)
    found = gpus.state(visible)
    assert (found.index, found.label) == (index, label)


@pytest.mark.parametrize("fails", ["NVMLError_LibraryNotFound", "NVMLError_DriverNotLoaded"])
def test_a_machine_without_a_driver_has_no_gpus(nvml, fails: str) -> None:
    nvml(fails=fails)
    assert gpus.found() == ()
    assert not gpus.answers()
    with pytest.raises(GpuLost):
        gpus.state("0")


@pytest.mark.parametrize("fails", ["NVMLError", "NVMLError_GpuIsLost", "NVMLError_NotSupported"])
def test_a_driver_that_does_not_answer_is_no_machine_without_gpus(nvml, fails: str) -> None:
    nvml(fails=fails)
    for ask in (gpus.found, gpus.answers, lambda: gpus.state("0")):
        with pytest.raises(GpuLost):
            ask()


@pytest.mark.parametrize("visible", ["0", "7", "GPU-gone", "MIG-gone", "GPU-lost"])
def test_a_gpu_that_is_gone_is_lost_for_now(nvml, visible: str) -> None:
    nvml(card("GPU-lost", 24, None))
    with pytest.raises(GpuLost) as lost:
        gpus.state(visible)
    assert lost.value.retryable


def test_a_driver_without_the_means_to_ask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(gpus, "_CONTROL", tmp_path / "nvidiactl")
    assert gpus.found() == ()
    (tmp_path / "nvidiactl").touch()
    with pytest.raises(Unavailable, match="pip install nvidia-ml-py"):
        gpus.found()
    assert not gpus.answers()


@pytest.mark.parametrize(("free", "wanted"), [(1, 2), (0, 0.1), (23.9, 24), (5, 16.2), (0.1, 0.2)])
def test_what_was_promised_and_is_not_free_is_said_with_numbers(free: float, wanted: float) -> None:
    gpu = Gpu(3, "G", 24, free, "GPU-dddd")
    with pytest.raises(GpuLost, match=rf"GPU 3 has {free:.1f} GB free.*{wanted:.1f}.*the trainer.*others"):
        gpu.require(wanted, "the trainer")
    gpu.require(free, "the trainer")
