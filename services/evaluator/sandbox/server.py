"""The fork server: one process, one thread, torch imported once; it forks a child for every order.

It reads nothing that a child wrote. It counts wall and CPU time, kills at the limit, and reports what the kernel says.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass

from archloop.errors import SandboxUnavailable
from archloop.ops.process import loading
from services.evaluator.sandbox import child, hugepages, kernel
from services.evaluator.sandbox.host import Host
from services.evaluator.sandbox.limits import Bounds
from services.evaluator.sandbox.wire import PATIENCE, Descriptors, JobOrder, encode

_TICK_MS = 20
_CPUCLOCK_SCHED = 2


@dataclass
class _Running:
    """A running child, its descriptors and its limits."""

    pid: int
    pidfd: int
    control: int
    report: int
    schedule: int | None
    tasks: int | None
    bounds: Bounds
    started: float
    killed_by: str | None = None

    def enforce(self) -> None:
        """Kill at the first limit reached; time in which it was refused a CPU does not count."""
        elapsed = time.monotonic() - self.started
        if elapsed - self._waited() > self.bounds.wall_seconds:
            self.kill("wall")
        elif self._cpu() > self.bounds.cpu_seconds:
            self.kill("cpu")
        elif self._tasks() > self.bounds.processes:
            self.kill("processes")
        elif elapsed > PATIENCE * self.bounds.wall_seconds:
            self.kill("overload")

    def kill(self, reason: str) -> None:
        """Kill the child, and with it its PID namespace, whose first process it is."""
        self.killed_by = self.killed_by or reason
        os.kill(self.pid, signal.SIGKILL)

    def _cpu(self) -> float:
        """Return the CPU seconds of all its threads (clock_getcpuclockid(3))."""
        return time.clock_gettime((~self.pid << 3) | _CPUCLOCK_SCHED)

    def _waited(self) -> float:
        """Return the seconds for which it was ready to run and did not (schedstat in proc(5))."""
        return _field(self.schedule, 1) / 1e9

    def _tasks(self) -> int:
        """Return the number of its threads (stat in proc(5)), where the kernel does not limit them by itself."""
        return _field(self.tasks, 17)


class Server:
    """Fork server that runs until the service closes its end of the channel."""

    def __init__(self, channel: socket.socket, host: Host) -> None:
        with loading():  # frozen: no collection in a child may touch, and so copy, the pages that all share
            _prepare(host)
        hugepages.gather(host.proc)
        self._channel, self._host = channel, host
        self._resident = _least_peak(backward=not host.gpu_files)
        _check_forkable(host.proc)
        self._running: dict[int, _Running] = {}
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)

    def serve(self) -> None:
        """Take orders, watch the children and report their ends, until the service closes the channel."""
        while True:
            for fd, _ in self._poll.poll(_TICK_MS if self._running else None):
                if fd == self._channel.fileno():
                    if not self._accept():
                        return
                else:
                    self._settle(fd)
            self._enforce()

    def _enforce(self) -> None:
        for job in self._running.values():
            job.enforce()

    def _accept(self) -> bool:
        received = JobOrder.receive(self._channel)
        if received is None:
            return False
        order, fds = received
        try:
            pid = self._fork(order, fds)
        except OSError as error:
            os.write(fds.report, encode(failed=f"cannot fork: {error}"))
            _close(*fds[:5], *fds.arrays, *fds.groups)
            return True
        pidfd = os.pidfd_open(pid)
        schedule = self._opened(pidfd, "schedstat")
        tasks = None if self._host.namespaces else self._opened(pidfd, "stat")
        job = _Running(pid, pidfd, fds.control, fds.report, schedule, tasks, order.bounds, time.monotonic())
        _close(fds.result, fds.output, fds.source, *fds.arrays, *fds.groups)
        self._running[job.pidfd] = job
        self._poll.register(job.pidfd, select.POLLIN)
        self._poll.register(job.control, 0)  # POLLHUP comes unasked
        return True

    def _fork(self, order: JobOrder, fds: Descriptors) -> int:
        """Fork a child as the first process of a new PID namespace; this process stays in its own."""
        if self._host.pid_namespace is not None:
            kernel.unshare(kernel.CLONE_NEWPID)
        pid = os.fork()
        if pid == 0:
            self._running.clear()  # a candidate is to learn nothing of its neighbours from this process's memory
            child.run(order, fds, self._host)
        if self._host.pid_namespace is not None:
            kernel.setns(self._host.pid_namespace, kernel.CLONE_NEWPID)
        return pid

    def _opened(self, pidfd: int, name: str) -> int | None:
        """Open a file of the child in the machine's /proc, by the machine's own number for it; None if it is gone."""
        try:
            with open(f"self/fdinfo/{pidfd}", opener=self._open_in_proc) as info:
                pid = next(line.split()[1] for line in info if line.startswith("Pid:"))
            return self._open_in_proc(f"{pid}/{name}", os.O_RDONLY)
        except (OSError, StopIteration):
            return None

    def _open_in_proc(self, name: str, flags: int) -> int:
        return os.open(name, flags | os.O_CLOEXEC, dir_fd=self._host.proc)

    def _settle(self, fd: int) -> None:
        job = self._running.get(fd)
        if job is not None:
            self._reap(job)
            return
        for other in self._running.values():
            if other.control == fd:
                self._poll.unregister(fd)
                other.kill("service")

    def _reap(self, job: _Running) -> None:
        _, status, usage = os.wait4(job.pid, 0)
        account = encode(
            status=status,
            killed_by=job.killed_by,
            wall=time.monotonic() - job.started,
            cpu=usage.ru_utime + usage.ru_stime,
            peak=max(0, usage.ru_maxrss * 1024 - self._resident),
        )
        del self._running[job.pidfd]
        for fd in (job.pidfd, job.control):
            with suppress(KeyError):
                self._poll.unregister(fd)
        _close(job.pidfd, job.control, *(fd for fd in (job.schedule, job.tasks) if fd is not None))
        with suppress(BrokenPipeError):
            os.write(job.report, account)
        _close(job.report)  # last, for the service waits for its end


def _prepare(host: Host) -> None:
    from services.evaluator.harness import warmup  # torch comes with it, and only from inside the jail

    warmup.run(backward=not host.gpu_files)
    child.prepare(host)
    sys.path_importer_cache.clear()  # lists folders as they were before the jail
    gc.collect()


def _check_forkable(proc: int) -> None:
    """Check that this process can fork children that compute. Raises SandboxUnavailable.

    A thread and a GPU's driver do not survive a fork, but their traces do, and each child would fail for them.
    """
    folder = _opened(proc, "self/task")
    tasks = len(os.listdir(folder))  # noqa: PTH208 - a descriptor is no path
    os.close(folder)
    if tasks > 1:
        raise SandboxUnavailable(f"the fork server has {tasks} threads, must have 1: a library started others")
    with os.fdopen(_opened(proc, "self/maps")) as maps:
        driver = next((line.split()[-1] for line in maps if "/libcuda.so" in line), None)
    if driver is not None:
        raise SandboxUnavailable(f"the fork server has loaded {driver}, must leave it to its children")


def _opened(proc: int, name: str) -> int:
    return os.open(name, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)


def _least_peak(*, backward: bool) -> int:
    """Return the resident memory, in bytes, that a child reaches by training the smallest network."""
    from services.evaluator.harness import warmup

    pid = os.fork()
    if pid == 0:
        warmup.run(backward=backward)
        os._exit(0)
    return os.wait4(pid, 0)[2].ru_maxrss * 1024


def _field(fd: int | None, number: int) -> int:
    """Return a number from a file in /proc, counted after the process's name; 0 where it cannot be read."""
    try:
        return 0 if fd is None else int(os.pread(fd, 4096, 0).rpartition(b")")[2].split()[number])
    except (OSError, IndexError):
        return 0


def _close(*fds: int) -> None:
    for fd in fds:
        os.close(fd)
