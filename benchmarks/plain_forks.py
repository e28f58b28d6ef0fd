"""A process that puts one network after the other through the plain loop, each in a fork of its own.

`python plain_forks.py FOLDER` reads jobs as JSON lines and answers each with one; FOLDER holds the images and the
settings. The forks have limits, no packages but torch, numpy and theirs and, where the kernel allows it, no network.
That is no sandbox: give it code that you would run yourself.
"""

import ctypes
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import torch

from benchmarks.plain_loop import Data, Line, perform

_TORCH = {
    "torch",
    "functorch",
    "torchgen",
    "filelock",
    "fsspec",
    "jinja2",
    "markupsafe",
    "mpmath",
    "networkx",
    "setuptools",
    "sympy",
}
PRESENT = frozenset({*_TORCH, "numpy", "typing_extensions"})
NEW_USER, NEW_NET = 0x10000000, 0x40000000
PR_SET_PDEATHSIG = 1


class Present(PathFinder):
    """Finds packages as ever, but none that is neither torch, numpy, of theirs nor of the standard library."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None, as for a package that is not installed."""
        return None if absent(fullname) else super().find_spec(fullname, path, target)


def absent(module: str) -> bool:
    top = module.partition(".")[0]
    return top not in PRESENT and top not in sys.stdlib_module_names and not top.startswith("__")


def hide_packages() -> None:
    """What the loop itself has loaded goes too; its own references keep working."""
    for name in filter(absent, list(sys.modules)):
        del sys.modules[name]
    sys.meta_path[:] = [Present if finder is PathFinder else finder for finder in sys.meta_path]


def end_with_parent() -> None:
    """Whoever stops the run leaves nothing running."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def confine(limits: Line) -> None:
    """Bounds for mistakes, not for malice; where the kernel allows it without any network."""
    end_with_parent()
    os.setsid()
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    memory = pages * resource.getpagesize() + limits["memory_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits["cpu_seconds"], limits["cpu_seconds"] + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**26, 2**26))
    ctypes.CDLL(None).unshare(NEW_USER | NEW_NET)
    null = os.open(os.devnull, os.O_RDWR)
    for place in range(3):
        os.dup2(null, place)


def child(job: Line, data: Data, pipe: int) -> NoReturn:
    def tell(**line: Any) -> None:
        os.write(pipe, json.dumps(line).encode() + b"\n")

    try:
        confine(data.settings["limits"])
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            try:
                perform(Path(job["path"]), job["seed"], data, tell)
            except BaseException as error:  # noqa: BLE001 - whatever a network raises is its result
                tell(**described(error))
            os.chdir("/")
    finally:
        os._exit(0)


def described(error: BaseException) -> Line:
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    line: Line = {"error": type(error).__name__, "detail": " ".join(text.split())[:300]}
    if isinstance(error, ModuleNotFoundError) and error.name and absent(error.name):
        line["missing"] = error.name.partition(".")[0]
    return line


def run(job: Line, data: Data) -> Line:
    """One network in a fork; its last words, or what ended it."""
    source, pipe = os.pipe()
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.close(source)
        child(job, data, pipe)
    os.close(pipe)
    told, in_time = everything(source, began + data.settings["limits"]["wall_seconds"])
    with_children(pid)
    status, usage = os.wait4(pid, 0)[1:]
    line: Line = {"stage": "import"}
    for part in told.splitlines():
        line |= json.loads(part)
    if not in_time or (line["stage"] and "error" not in line):
        line |= ended(os.waitstatus_to_exitcode(status), in_time=in_time)
    return line | {
        "seconds": round(time.monotonic() - began, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
    }


def ended(code: int, *, in_time: bool) -> Line:
    """Why there is no last word; a code below zero is a signal's, as subprocess has it."""
    if not in_time or code == -signal.SIGXCPU:
        return {"error": "Timeout", "detail": "CPU" if in_time else "wall"}
    return {"error": "Ended", "detail": signal.Signals(-code).name if code < 0 else f"status {code}"}


def with_children(pid: int) -> None:
    """End it and whatever it has started, if it has become the leader of its group by now."""
    for end in (os.killpg, os.kill):
        try:
            end(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def everything(pipe: int, deadline: float) -> tuple[bytes, bool]:
    """What was written until the other end closed, and whether that was in time."""
    told = b""
    while select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))[0]:
        part = os.read(pipe, 65536)
        if not part:
            os.close(pipe)
            return told, True
        told += part
    os.close(pipe)
    return told, False


def warm(data: Data) -> None:
    """What the first network would load is loaded before the forks: optimisers above all."""
    torch.set_num_threads(1)
    net = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(net(torch.zeros(2, 2)), torch.tensor([0, 1])).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    next(iter(data.epoch(0, 0)))


def main() -> None:
    sys.dont_write_bytecode = True
    end_with_parent()
    data = Data(Path(sys.argv[1]))
    warm(data)
    hide_packages()
    for line in sys.stdin:
        job = json.loads(line)
        print(json.dumps(job | run(job, data)), flush=True)


if __name__ == "__main__":
    main()
