"""A GPU that is full of others' work, or gone, is tried again; a candidate's own lack of memory stays its own."""

from types import SimpleNamespace

import pytest

from archloop.contracts.values import SandboxLevel
from archloop.errors import Unavailable
from archloop.gpus import Gpu, GpuLost
from services.evaluator.devices import Device
from services.evaluator.sandbox import client
from services.evaluator.sandbox.client import ForkServerSandbox
from services.evaluator.sandbox.gpu_watch import GpuWatch, promised_gb


class FakeDriver:
    """GPUs by name with their free memory; None is one that is gone."""

    def __init__(self, there: bool = True, **free: float | None) -> None:
        self.there, self.free, self.asked = there, free, 0

    def answers(self) -> bool:
        return self.there

    def state(self, visible: str) -> Gpu:
        self.asked += 1
        free = self.free[visible]
        if free is None:
            raise GpuLost(f"GPU {visible} is gone")
        return Gpu(0, "G", 24.0, free, visible)


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch):
    """A sandbox of two slots on one GPU whose jobs do nothing, and what happens while they run."""
    during = []

    class Runner:
        def __init__(self, _fork_server, _job, slot) -> None:
            self._slot = slot

        def run(self):
            for happen in during:
                happen()
            return self._slot.device

        def cancel(self) -> None: ...

    monkeypatch.setattr(client, "JobRunner", Runner)
    made = ForkServerSandbox([Device("a"), Device("a")], SandboxLevel.PROCESS)

    async def ready():
        return None

    made._ready = ready
    yield made, during
    made._pool.shutdown()


async def run(made: ForkServerSandbox, driver: FakeDriver, fraction: float):
    made._watch = GpuWatch(driver)
    await made._watch.start()
    return await made.run(SimpleNamespace(task=SimpleNamespace(memory_fraction=fraction)))


@pytest.mark.parametrize(
    ("free", "fraction"), [(23.5, 1.0), (20.0, 1.0), (18.1, 1.0), (12.0, 0.5), (11.0, 0.5), (5.0, 0.2), (1.0, 0.04)]
)
async def test_a_candidate_begins_where_its_share_is_free(sandbox, free: float, fraction: float) -> None:
    assert (await run(sandbox[0], FakeDriver(a=free), fraction)).gpu == "a"


@pytest.mark.parametrize(
    ("free", "fraction"), [(17.0, 1.0), (0.0, 1.0), (10.0, 0.5), (2.0, 0.2), (0.5, 0.04), (None, 0.5), (None, 1.0)]
)
async def test_a_gpu_that_is_full_or_gone_is_no_outcome(sandbox, free: float | None, fraction: float) -> None:
    made, during = sandbox
    during.append(lambda: pytest.fail("no candidate may begin"))
    with pytest.raises(GpuLost) as lost:
        await run(made, FakeDriver(a=free), fraction)
    assert isinstance(lost.value, Unavailable)
    assert lost.value.retryable
    during.clear()
    assert (await run(made, FakeDriver(a=24.0), fraction)).gpu == "a"
    assert made._free.qsize() == 2
    assert not made._busy["a"]


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.3, 0.1, 0.01])
async def test_a_gpu_that_goes_during_a_job_is_no_outcome(sandbox, fraction: float) -> None:
    made, during = sandbox
    driver = FakeDriver(a=24.0)
    during.append(lambda: driver.free.update(a=None))
    with pytest.raises(GpuLost, match="gone"):
        await run(made, driver, fraction)


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.3, 0.1, 0.01])
async def test_memory_that_the_candidate_itself_took_is_its_own_affair(sandbox, fraction: float) -> None:
    made, during = sandbox
    driver = FakeDriver(a=24.0)
    during.append(lambda: driver.free.update(a=0.0))
    assert (await run(made, driver, fraction)).gpu == "a"


@pytest.mark.parametrize("fraction", [0.5, 1.0])
async def test_nothing_is_asked_where_there_is_nobody_to_ask_and_on_the_cpu(sandbox, fraction: float) -> None:
    driver = FakeDriver(there=False, a=None)
    assert (await run(sandbox[0], driver, fraction)).gpu == "a"
    watch = GpuWatch(FakeDriver())
    await watch.start()
    await watch.room(None, fraction, 0)
    await watch.present(None)
    assert driver.asked == 0


@pytest.mark.parametrize("size", [8.0, 12.0, 24.0, 48.0, 80.0])
@pytest.mark.parametrize("slots", [1, 2, 3, 4])
def test_neighbours_within_their_own_shares_are_not_taken_for_others(size: float, slots: int) -> None:
    left = size - 0.6 * slots - (slots - 1) * size / slots
    assert promised_gb(size, 1 / slots, slots - 1) <= max(0.0, left)
