"""The sandbox as the evaluator sees it: a number of slots in front of one fork server, which is replaced if it dies."""

import asyncio
import platform
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from archloop.contracts.values import SandboxLevel
from archloop.errors import ArchloopError, SandboxUnavailable
from services.evaluator.devices import Device
from services.evaluator.sandbox import cgroup
from services.evaluator.sandbox.container_checks import shortcomings
from services.evaluator.sandbox.job_runner import Conductor, Slot
from services.evaluator.sandbox.launch import Zygote, launch, obstacles, require
from services.evaluator.sandbox.port import Job, JobResult

log = structlog.get_logger(__name__)
_SETTING = "ARCHLOOP_EVALUATOR_REQUIRED_LEVEL"
_HOW_TO_LOWER = (
    f"set {_SETTING}=process to run with less, at the risk of whoever owns this machine: "
    "candidates are then held by rlimits, seccomp and Landlock only"
)


class ZygoteSandbox:
    """Implements the Sandbox port with confined forks of one process that has torch loaded."""

    def __init__(
        self, devices: Sequence[Device], required: SandboxLevel = SandboxLevel.NAMESPACES, threads: int = 1
    ) -> None:
        """One slot for each of `devices`."""
        self.level = required
        self._required, self._threads = required, threads
        self._gpu = any(device.gpu is not None for device in devices)
        self._pool = ThreadPoolExecutor(len(devices), thread_name_prefix="sandbox")
        self._free: asyncio.Queue[Slot] = asyncio.Queue()
        self.slots = [Slot(device, cgroup.create(number, threads)) for number, device in enumerate(devices)]
        for slot in self.slots:
            self._free.put_nowait(slot)
        self._starting = asyncio.Lock()
        self._zygote: Zygote | None = None

    @property
    def pid(self) -> int | None:
        """Of the fork server's launcher, below which every candidate runs."""
        return self._zygote.pid if self._zygote is not None else None

    async def start(self) -> None:
        """Have the fork server ready, some seconds. Raises SandboxUnavailable below the required level."""
        await self._ready()

    async def run(self, job: Job) -> JobResult:
        """See the port."""
        slot = await self._free.get()
        try:
            conductor = Conductor(await self._ready(), job, slot)
            return await self._conducted(conductor)
        finally:
            self._free.put_nowait(slot)

    async def close(self) -> None:
        """Kill what runs and free everything."""
        if self._zygote is not None:
            self._zygote.stop()
        await asyncio.to_thread(self._pool.shutdown)
        for slot in self.slots:
            if slot.group is not None:
                slot.group.remove()

    async def _conducted(self, conductor: Conductor) -> JobResult:
        """The slot is free only when its child is gone, cancelled or not."""
        running = asyncio.get_running_loop().run_in_executor(self._pool, conductor.run)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            conductor.cancel()
            with suppress(ArchloopError):
                await running
            raise

    async def _ready(self) -> Zygote:
        async with self._starting:
            if self._zygote is not None and not self._zygote.alive:
                log.warning("the sandbox's fork server died and is started again")
                self._zygote.stop()
                self._zygote = None
            if self._zygote is None:
                self._zygote = await self._launched()
            return self._zygote

    async def _launched(self) -> Zygote:
        """At the strongest level to be had."""
        missing = shortcomings() if platform.system() == "Linux" else ["Linux"]
        if self._required is SandboxLevel.CONTAINER and missing:
            raise SandboxUnavailable(f"{_SETTING}: the level `container` needs {', '.join(missing)}")
        require()
        try:
            zygote = await self._greeted(namespaces=True)
        except SandboxUnavailable as error:
            if self._required is not SandboxLevel.PROCESS:
                problem = f"{_SETTING}: no namespaces for the sandbox: {error}{obstacles()}"
                raise SandboxUnavailable(f"{problem}; {_HOW_TO_LOWER}") from error
            log.warning("candidates run without namespaces", reason=str(error))
            self.level = SandboxLevel.PROCESS
            return await self._greeted(namespaces=False)
        self.level = SandboxLevel.NAMESPACES if missing else SandboxLevel.CONTAINER
        return zygote

    async def _greeted(self, *, namespaces: bool) -> Zygote:
        """Started on this thread, because the server dies with the thread that started it."""
        zygote = launch(namespaces=namespaces, threads=self._threads, gpu=self._gpu)
        await asyncio.to_thread(zygote.greet)
        return zygote
