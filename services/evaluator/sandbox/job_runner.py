"""One job as the service runs it: its pipes, its order, and everything that comes back until all pipes are closed."""

import json
import os
import select
import signal
import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archloop.errors import Unavailable
from services.evaluator.devices import Device
from services.evaluator.sandbox import gpu
from services.evaluator.sandbox.cgroup import Group
from services.evaluator.sandbox.fork_server import ForkServer
from services.evaluator.sandbox.limits import Bounds
from services.evaluator.sandbox.port import STDOUT_TAIL, Arrival, Job, JobResult, KilledBy
from services.evaluator.sandbox.shared import sealed
from services.evaluator.sandbox.wire import PATIENCE, Descriptors, JobOrder, Layout

_GRACE_S = 120.0  # a machine under load takes its time even to end a process
_CHUNK = 64 * 1024
_COUNTED: tuple[KilledBy, ...] = ("wall", "cpu", "processes")  # by the fork server


@dataclass
class _Pipe:
    """Reading end of a pipe: keeps the first `limit` bytes, or the last `tail`; counts all of them."""

    limit: int
    tail: int | None = None
    reader: int = -1
    writer: int = -1
    kept: bytearray = field(default_factory=bytearray)
    seen: int = 0
    started: float = field(default_factory=time.monotonic)
    arrivals: list[Arrival] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.reader, self.writer = os.pipe2(os.O_CLOEXEC)

    @property
    def overflown(self) -> bool:
        """Whether more came than is allowed."""
        return self.seen > self.limit

    def read(self) -> bool:
        """Read what is there; return False at the end of the pipe."""
        chunk = os.read(self.reader, _CHUNK)
        self.seen += len(chunk)
        if self.tail is not None:
            self.kept = (self.kept + chunk)[-self.tail :]
        elif not self.overflown:
            self.kept += chunk
            self.arrivals.append(Arrival(self.seen, time.monotonic() - self.started))
        return bool(chunk)


class Slot(NamedTuple):
    """Place where one candidate at a time runs: a device, and a control group if there is one."""

    device: Device
    group: Group | None


class JobRunner:
    """Runs one job to its end on a thread; `cancel` may be called from another."""

    def __init__(self, fork_server: ForkServer, job: Job, slot: Slot) -> None:
        self._fork_server, self._job = fork_server, job
        self._device, self._group = slot
        self._result = _Pipe(job.result_bytes)
        self._output = _Pipe(job.limits.output_bytes, tail=STDOUT_TAIL)
        self._report = _Pipe(_CHUNK)
        self._control, self._control_writer = os.pipe2(os.O_CLOEXEC)

    def run(self) -> JobResult:
        """Run the job as the sandbox port says."""
        kills = self._group.kills() if self._group else 0
        try:
            self._send()
            self._listen()
            account = self._account()
        finally:
            self._close()
        out_of_memory = self._group is not None and self._group.kills() > kills
        if self._group is not None:
            self._group.leave()
        return self._job_result(account, out_of_memory=out_of_memory)

    def cancel(self) -> None:
        """Have the fork server kill the job; idempotent."""
        if self._control_writer >= 0:
            writer, self._control_writer = self._control_writer, -1
            os.close(writer)

    def _send(self) -> None:
        job = self._job
        order = JobOrder(
            Bounds(**job.limits.model_dump()),
            job.task.encode(),
            tuple(Layout(array.dtype, array.shape) for array in job.arrays),
            self._device.gpu,
        )
        arrays = tuple(array.fd for array in job.arrays)
        ours = [self._control, self._report.writer, self._result.writer, self._output.writer]
        try:
            ours.append(sealed(job.source, "source"))
            groups = self._join()
            ours.extend(groups)
            control, report, result, output, source = ours[:5]
            self._fork_server.order(order, Descriptors(control, report, result, output, source, arrays, groups))
        finally:
            for fd in ours:
                os.close(fd)

    def _join(self) -> tuple[int, ...]:
        if self._group is None:
            return ()
        self._group.limit(self._job.limits, 0 if self._device.gpu is None else gpu.HOST_MEMORY)
        return tuple(self._group.open())

    def _listen(self) -> None:
        """Read all pipes to their ends. Raises Unavailable past every deadline."""
        pipes = {pipe.reader: pipe for pipe in (self._result, self._output, self._report)}
        poll = select.poll()
        for fd in pipes:
            poll.register(fd, select.POLLIN)
        deadline = time.monotonic() + PATIENCE * self._job.limits.wall_seconds + _GRACE_S
        while pipes:
            if time.monotonic() > deadline:
                self._fork_server.kill()
                raise Unavailable("the sandbox's fork server does not answer")
            for fd, _ in poll.poll(1000):
                if not pipes[fd].read():
                    poll.unregister(fd)
                    del pipes[fd]
            if self._result.overflown or self._output.overflown:
                self.cancel()

    def _account(self) -> dict[str, Any]:
        """Return what the fork server reported last. Raises Unavailable where it, or the confinement, failed."""
        lines = [json.loads(line) for line in bytes(self._report.kept).splitlines()]
        failed = next((line["failed"] for line in lines if "failed" in line), None)
        if failed is not None:
            raise Unavailable(f"the sandbox could not be set up: {failed}")
        if not lines:
            raise Unavailable("the sandbox's fork server died with the job in hand")
        account: dict[str, Any] = lines[-1]
        if account["killed_by"] == "service" and not (self._result.overflown or self._output.overflown):
            raise Unavailable("the job was cancelled")
        if account["killed_by"] == "overload":
            raise Unavailable("this machine is overloaded: the candidate hardly came to run")
        return account

    def _job_result(self, account: dict[str, Any], *, out_of_memory: bool) -> JobResult:
        code = os.waitstatus_to_exitcode(account["status"])
        return JobResult(
            exit=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            killed_by=self._killed_by(account, code, out_of_memory=out_of_memory),
            wall=account["wall"],
            cpu=account["cpu"],
            peak_memory=account["peak"],
            stdout=bytes(self._output.kept),
            frames=bytes(self._result.kept),
            arrivals=tuple(self._result.arrivals),
            device=self._device,
        )

    def _killed_by(self, account: dict[str, Any], code: int, *, out_of_memory: bool) -> KilledBy | None:
        if self._result.overflown or self._output.overflown:
            return "output"
        for limit in _COUNTED:
            if account["killed_by"] == limit:
                return limit
        if code == -signal.SIGXCPU and account["cpu"] >= self._job.limits.cpu_seconds:
            return "cpu"  # a child may send itself the signal, or lower its own limit, before that
        return "memory" if out_of_memory and code == -signal.SIGKILL else None

    def _close(self) -> None:
        self.cancel()
        for fd in (self._result.reader, self._output.reader, self._report.reader):
            os.close(fd)
