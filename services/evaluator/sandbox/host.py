"""What the fork server finds out once about the machine, and every child needs to confine itself."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from archloop.ops.process import die_with_parent
from services.evaluator.devices import Card, cards
from services.evaluator.sandbox import jail, kernel, landlock
from services.evaluator.sandbox.contents import Contents
from services.evaluator.sandbox.gpu import device_files
from services.evaluator.sandbox.kernel import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER

NOBODY = 65534


@dataclass(frozen=True)
class Host:
    """Descriptors and rules by which children confine themselves.

    `proc` is a descriptor of the machine's /proc, which no path in the jail leads to. `pid_namespace` is the fork
    server's own, None at level `process`. `readable` are the paths that Landlock allows, with the rights to each;
    `contents` is what the jail holds. `gpu_files` are the device files of the machine's GPUs, and `cards` these GPUs,
    where candidates use them.
    """

    proc: int
    pid_namespace: int | None
    landlock: int
    readable: Mapping[str, int]
    contents: Contents
    gpu_files: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()

    @property
    def namespaces(self) -> bool:
        """Whether children get namespaces of their own."""
        return self.pid_namespace is not None


def confined(contents: Contents, *, namespaces: bool, gpu: bool = False) -> Host:
    """Give up root and, with `namespaces`, move into the jail and into a process tree of one's own.

    The caller goes on as another process: the first one of its PID namespace, so that its end, however it comes, is the
    end of every child. Raises OSError where the kernel or the container refuses.
    """
    proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY)
    gpu_files, known = (tuple(device_files()), tuple(cards())) if gpu else ((), ())
    if not namespaces:
        return replace(_bare(proc, contents), gpu_files=gpu_files, cards=known)
    _enter_jail(proc, contents, gpu_files)
    _become_first_process()
    pid_namespace = os.open("self/ns/pid", os.O_RDONLY, dir_fd=proc)
    kernel.keep_capabilities(kernel.CAP_SYS_ADMIN)  # in its own user namespace: to fork into PID namespaces
    return Host(proc, pid_namespace, landlock.abi(), {"/": landlock.READ}, contents, gpu_files, known)


def new_user_namespace(proc: int, flags: int) -> None:
    """Enter a user namespace in which this user is itself and nobody else exists.

    `flags` name further namespaces, which it then owns.
    """
    uid, gid = os.geteuid(), os.getegid()
    kernel.unshare(CLONE_NEWUSER | flags)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        fd = os.open(f"self/{name}", os.O_WRONLY, dir_fd=proc)
        try:
            os.write(fd, text.encode())
        finally:
            os.close(fd)


def _bare(proc: int, contents: Contents) -> Host:
    if os.geteuid() == 0:
        _become_nobody()
    for path in sorted(contents.shown):
        if not os.access(path, os.R_OK):
            raise PermissionError(f"user {os.getuid()} cannot read {path}: install Python outside of private folders")
    kernel.set_dumpable(yes=False)
    return Host(proc, None, landlock.abi(), jail.readable(contents), contents)


def _enter_jail(proc: int, contents: Contents, devices: tuple[str, ...]) -> None:
    if os.geteuid() == 0:
        # Root sheds its uid before any user namespace, so that no sandbox ever maps to the machine's root.
        kernel.unshare(CLONE_NEWNS)
        jail.enter(contents, devices)
        _become_nobody()
        new_user_namespace(proc, CLONE_NEWPID)
    else:
        new_user_namespace(proc, CLONE_NEWNS | CLONE_NEWPID)
        jail.enter(contents, devices)


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.set_dumpable(yes=True)  # or /proc/self/uid_map would still be root's


def _become_first_process() -> None:
    """Go on as the first process of the PID namespace that unshare(CLONE_NEWPID) made for children.

    The parent only waits, and dies with its own parent.
    """
    die_with_parent()
    child = os.fork()
    if child:
        os.closerange(3, 1024)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    die_with_parent()


def tasks_of_user(proc: int) -> int:
    """Count the tasks of this user, all of which count for RLIMIT_NPROC where users have no namespaces."""
    uid, tasks = os.getuid(), 0
    for entry in os.listdir(proc):
        if entry.isdigit():
            try:
                if os.stat(entry, dir_fd=proc).st_uid == uid:
                    tasks += os.stat(f"{entry}/task", dir_fd=proc).st_nlink - 2
            except OSError:
                continue
    return tasks
