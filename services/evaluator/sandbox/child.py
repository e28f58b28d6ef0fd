"""One job in its own process: from a fresh fork to a confined child that runs the harness.

Everything up to `_lock` is trusted code in a trusted process. The candidate's source is not looked at before the last
right has been given up.
"""

import fcntl
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from archloop.ops.process import die_with_parent
from services.evaluator.harness.task import Task
from services.evaluator.sandbox import gpu, jail, kernel, landlock, limits, seccomp
from services.evaluator.sandbox.host import Host, new_user_namespace, tasks_of_user
from services.evaluator.sandbox.output import quieten
from services.evaluator.sandbox.wire import Descriptors, JobOrder, encode

if TYPE_CHECKING:
    from services.evaluator.harness.stages import Array

# Where the child's descriptors lie; above them only what mapping the arrays needs.
_OUTPUT, _ERRORS, _RESULT, _REPORT, _PROC, _SOURCE, _ARRAYS = 1, 2, 3, 4, 5, 6, 7

_NEIGHBOURS = 64  # so many may start as many tasks meanwhile

_NAMESPACES = (
    kernel.CLONE_NEWNS | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWCGROUP
)


def prepare(host: Host) -> None:
    """Do once, in the fork server, what every child would do again or could no longer do: imports and filters."""
    from services.evaluator.harness import arrays, stages  # noqa: F401 - torch comes with them, so from inside the jail

    kernel.settle_sorting()
    if host.namespaces:
        for on_gpu in {False, bool(host.gpu_files)}:
            seccomp.program(may_write=True, on_gpu=on_gpu, pid=1)


def run(order: JobOrder, fds: Descriptors, host: Host) -> NoReturn:
    """Confine this forked child and run the job; never returns.

    A failure before the candidate's turn is reported to the service, and counts for no candidate.
    """
    report = fds.report
    try:
        die_with_parent()
        _join(fds.groups)
        if host.namespaces:
            _isolate(order, host)
        _arrange(fds, host)
        report = _REPORT
        source, arrays = _inputs(order)
        _lock(order, host)
    except BaseException as error:  # noqa: BLE001 - the sandbox failed, not the candidate
        os.write(report, encode(failed=f"{type(error).__name__}: {error}"))
        os._exit(1)
    os.close(_REPORT)
    _perform(order, host, source, arrays)


def _perform(
    order: JobOrder, host: Host, source: bytes, arrays: "list[Array]", leave: Callable[[int], NoReturn] = os._exit
) -> NoReturn:
    """Run the harness.

    `leave` is bound before the candidate can replace it: nothing that it raises unwinds into the server's code.
    """
    from services.evaluator.harness import stages

    try:
        task = Task.decode(order.task)
        if order.gpu is not None:
            found = gpu.environment(order.gpu, host.cards, alone=bool(host.landlock))
            os.environ.update(found)  # noqa: TID251 - for the CUDA library, which reads it here only
            task = replace(task, device="cuda")
        stages.perform(task, source, arrays, _RESULT)
        leave(0)
    finally:
        leave(1)


def _join(groups: tuple[int, ...]) -> None:
    """Join the slot's control groups. The kernel checks the rights of whoever opened the files."""
    for fd in groups:
        os.write(fd, b"0\n")


def _isolate(order: JobOrder, host: Host) -> None:
    """Enter new namespaces, with an anonymous host name and a tmpfs as the only place to write.

    All of it goes with this process.
    """
    new_user_namespace(host.proc, _NAMESPACES)
    kernel.hostname("sandbox")
    jail.mount_scratch(host.contents, size=order.bounds.tmpfs_bytes, mode=0o700)
    os.mkdir(jail.OWN)  # noqa: PTH102
    os.chdir(jail.OWN)


def _arrange(fds: Descriptors, host: Host) -> None:
    """Put the descriptors in their places and close all others: those of other jobs, the fork server's socket."""
    null = os.open("/dev/null", os.O_RDONLY)
    wanted = (null, fds.output, fds.output, fds.result, fds.report, host.proc, fds.source, *fds.arrays)
    lifted = [fcntl.fcntl(fd, fcntl.F_DUPFD, 512) for fd in wanted]
    for place, fd in enumerate(lifted):
        os.dup2(fd, place, inheritable=False)
    kernel.close_from(len(wanted))


def _inputs(order: JobOrder) -> "tuple[bytes, list[Array]]":
    from services.evaluator.harness.arrays import mapped

    source = b"".join(iter(lambda: os.read(_SOURCE, 1 << 20), b""))
    arrays = [mapped(_ARRAYS + i, *layout) for i, layout in enumerate(order.arrays)]
    for fd in (_SOURCE, *range(_ARRAYS, _ARRAYS + len(arrays))):
        os.close(fd)
    return source, arrays


def _lock(order: JobOrder, host: Host) -> None:
    """Give up every right, in an order in which each step still has the rights that it needs."""
    bounds = order.bounds
    limits.confine(
        bounds,
        address_space=limits.address_space(_PROC) if order.gpu is None else None,
        file_bytes=bounds.tmpfs_bytes if host.namespaces else 0,
        processes=_tasks(bounds.processes, host),
        descriptors=limits.DESCRIPTORS if order.gpu is None else gpu.DESCRIPTORS,
        data=None if order.gpu is None else limits.data_segment(_PROC) + gpu.HOST_ADDRESSES,
    )
    os.close(_PROC)
    os.environ.clear()  # noqa: TID251 - nothing is read from it
    quieten(bounds.output_bytes // 2)
    sys.argv = [""]
    kernel.set_dumpable(yes=False)
    if host.namespaces:
        kernel.keep_capabilities()
    kernel.no_new_privileges()
    if host.landlock:
        landlock.confine(host.landlock, _file_rights(host, order.gpu))
    seccomp.confine(may_write=host.namespaces, on_gpu=order.gpu is not None)


def _tasks(own: int, host: Host) -> int:
    """Return the limit RLIMIT_NPROC; in a namespace of its own that is the limit of the job.

    Without a namespace the kernel counts everything that this user runs, neighbours too. The limit then only stops a
    flood until the fork server, which counts this child's own tasks, has seen it.
    """
    return own if host.namespaces else tasks_of_user(_PROC) + _NEIGHBOURS * own


def _file_rights(host: Host, number: str | None) -> dict[str, int]:
    rights = {**host.readable, "/dev/null": landlock.WRITE_FILE}
    if number is not None:
        rights |= dict.fromkeys(gpu.visible(number, host.gpu_files, host.cards), landlock.DEVICE)
    if number is not None and not host.namespaces:
        rights |= dict.fromkeys(gpu.facts(), landlock.READ) | {gpu.TASKS: landlock.WRITE_FILE | landlock.READ}
    return rights | ({jail.SCRATCH: landlock.change(host.landlock)} if host.namespaces else {})
