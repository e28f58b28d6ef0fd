"""The sandbox as the evaluator sees it: slots in front of one fork server, which is replaced if it dies."""

import asyncio
import platform
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import structlog
from typing_extensions import override

from archloop.contracts.values import SandboxLevel
from archloop.errors import SandboxUnavailable
from archloop.tasks import ended
from services.evaluator.devices import Device
from services.evaluator.sandbox import cgroup, landlock
from services.evaluator.sandbox.container_checks import missing_protections
from services.evaluator.sandbox.fork_server import ForkServer, launch, obstacles, require
from services.evaluator.sandbox.gpu_watch import GpuWatch
from services.evaluator.sandbox.job_runner import JobRunner, Slot
from services.evaluator.sandbox.port import Job, JobResult, Sandbox

log = structlog.get_logger(__name__)
_SETTING = "ARCHLOOP_EVALUATOR_REQUIRED_LEVEL"
_HOW_TO_LOWER = (
    f"set {_SETTING}=process to run with less, at the risk of whoever owns this machine: "
    "candidates are then held by rlimits, seccomp and Landlock only"
)


class ForkServerSandbox(Sandbox):
    """Sandbox of confined forks of one process that has torch loaded."""

    def __init__(
        self, devices: Sequence[Device], required: SandboxLevel = SandboxLevel.NAMESPACES, threads: int = 1
    ) -> None:
        """Make one slot for each of `devices`."""
        self.level = required
        self._required, self._threads = required, threads
        self._gpu = any(device.gpu is not None for device in devices)
        self._pool = ThreadPoolExecutor(len(devices), thread_name_prefix="sandbox")
        self._free: asyncio.Queue[Slot] = asyncio.Queue()
        self.slots = [Slot(device, cgroup.create(number, threads)) for number, device in enumerate(devices)]
        for slot in self.slots:
            self._free.put_nowait(slot)
        self._busy: Counter[str | None] = Counter()
        self._watch = GpuWatch()
        self._starting = asyncio.Lock()
        self._fork_server: ForkServer | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the fork server's launcher, below which every candidate runs; None before the start."""
        return self._fork_server.pid if self._fork_server is not None else None

    async def start(self) -> None:
        """Start the fork server, which takes some seconds.

        Raises SandboxUnavailable where the machine does not reach the required level, GpuLost for GPUs that are not
        there.
        """
        if self._gpu:
            await self._watch.start()
        await self._ready()

    @override
    async def run(self, job: Job) -> JobResult:
        slot = await self._free.get()
        gpu = slot.device.gpu
        neighbours = self._busy[gpu]
        self._busy[gpu] += 1
        try:
            await self._watch.room(gpu, job.task.memory_fraction, neighbours)
            runner = JobRunner(await self._ready(), job, slot)
            result = await self._run_to_end(runner)
            await self._watch.present(gpu)
            return result
        finally:
            self._busy[gpu] -= 1
            self._free.put_nowait(slot)

    async def close(self) -> None:
        """Kill what runs and free all resources."""
        if self._fork_server is not None:
            self._fork_server.stop()
        await asyncio.to_thread(self._pool.shutdown)
        for slot in self.slots:
            if slot.group is not None:
                slot.group.remove()

    async def _run_to_end(self, runner: JobRunner) -> JobResult:
        """Run the job on a thread; the slot is free only when its child is gone, cancelled or not."""
        running = asyncio.get_running_loop().run_in_executor(self._pool, runner.run)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            runner.cancel()
            await ended(running)
            raise

    async def _ready(self) -> ForkServer:
        async with self._starting:
            if self._fork_server is not None and not self._fork_server.alive:
                log.warning("the sandbox's fork server died and is started again")
                self._fork_server.stop()
                self._fork_server = None
            if self._fork_server is None:
                self._fork_server = await self._launched()
            return self._fork_server

    async def _launched(self) -> ForkServer:
        """Start a fork server at the strongest level that this machine allows."""
        missing = missing_protections() if platform.system() == "Linux" else ["Linux"]
        if self._required is SandboxLevel.CONTAINER and missing:
            raise SandboxUnavailable(f"{_SETTING}: the level `container` needs {', '.join(missing)}")
        require()
        if not landlock.abi():
            log.warning("a wall is missing: this kernel has no Landlock, files are hidden by the mount namespace alone")
        try:
            fork_server = await self._greeted(namespaces=True)
        except SandboxUnavailable as error:
            if self._required is not SandboxLevel.PROCESS:
                problem = f"{_SETTING}: no namespaces for the sandbox: {error}{obstacles()}"
                raise SandboxUnavailable(f"{problem}; {_HOW_TO_LOWER}") from error
            log.warning("candidates run without namespaces", reason=str(error))
            self.level = SandboxLevel.PROCESS
            return await self._greeted(namespaces=False)
        self.level = SandboxLevel.NAMESPACES if missing else SandboxLevel.CONTAINER
        return fork_server

    async def _greeted(self, *, namespaces: bool) -> ForkServer:
        """Start a fork server and wait for it.

        It is started on this thread, because it dies with the thread that started it.
        """
        fork_server = launch(namespaces=namespaces, threads=self._threads, gpu=self._gpu)
        await asyncio.to_thread(fork_server.greet)
        return fork_server
