"""The command in forks of one process that has imported it, so that hundreds of cases take a minute.

A request is a line of JSON on standard input, and so is its answer on standard output. What would start a model server
or a sandbox is replaced by doubles that start nothing; all else is the command itself.
"""

import base64
import ctypes
import gc
import importlib
import json
import locale
import os
import resource
import selectors
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, ClassVar

PRELOADED = (
    *(f"archloop_cli.{name}" for name in ("commands", "main", "asking", "runs", "remote", "scoring", "mishaps")),
    *(f"archloop_lab.{name}" for name in ("reproduction", "study.studies", "transfer", "proxy", "run_report")),
    *(f"archloop_lab.lemur.{name}" for name in ("importing", "exporting", "curating", "pairs", "tally")),
    *("services.generator.model_build.corpus", "services.evaluator.datasets.preparing", "PIL.Image"),
    "services.novelty.compare",
)
_CAPABILITIES = 0x20080522


def serve() -> None:
    """One request after the other."""
    for name in PRELOADED:
        importlib.import_module(name)
    importlib.import_module("tests.edge.doubles").install()
    gc.freeze()  # or collecting in a fork would copy it all
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(json.loads(line))) + "\n")
        sys.stdout.flush()


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    pipes = {number: os.pipe() for number in (1, 2)}
    child = os.fork()
    if child == 0:
        for number, (read, write) in pipes.items():
            os.close(read)
            os.dup2(write, number)
        os.closerange(3, 256)
        os._exit(_child(request))
    for _, write in pipes.values():
        os.close(write)
    said = _drained({read: number for number, (read, _) in pipes.items()})
    _, status = os.waitpid(child, 0)
    return {"code": os.waitstatus_to_exitcode(status), "out": said[1], "err": said[2]}


def _drained(reading: dict[int, int]) -> dict[int, str]:
    said = dict.fromkeys(reading.values(), b"")
    with selectors.DefaultSelector() as selector:
        for read in reading:
            selector.register(read, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                part = os.read(key.fd, 1 << 16)
                said[reading[key.fd]] += part
                if not part:
                    selector.unregister(key.fd)
                    os.close(key.fd)
    return {number: base64.b64encode(content).decode() for number, content in said.items()}


def _child(request: dict[str, Any]) -> int:
    """As the interpreter would start and end it."""
    signal.alarm(request.get("limit", 90))
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # where the tests run under nohup it is ignored, and inherited
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    tempfile.tempdir = None  # looked up anew
    from archloop_cli.main import main

    for name, value in request["before"]:
        getattr(Before, name)(*value)
    _streams(request.get("encoding", "utf-8"))
    sys.argv = ["archloop", *(os.fsdecode(base64.b64decode(each)) for each in request["args"])]
    code = 120
    try:
        Before.begin()
        main()
    except SystemExit as end:
        Before.ignored(signal.SIGINT)  # what comes now is the interpreter's affair
        code = int(end.code or 0)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            try:
                stream.flush()
            except OSError:
                return 120  # as the interpreter does
    return code


def _streams(encoding: str) -> None:
    for number, name in ((1, "stdout"), (2, "stderr")):
        try:
            os.fstat(number)
        except OSError:
            setattr(sys, name, None)
            continue
        errors = "strict" if name == "stdout" else "backslashreplace"
        setattr(sys, name, open(number, "w", encoding=encoding, errors=errors, closefd=False))  # noqa: SIM115


class Before:
    """What a machine or a shell may do to a command before it starts."""

    @staticmethod
    def closed(*numbers: int) -> None:
        for number in numbers:
            os.close(number)

    @staticmethod
    def full(*numbers: int) -> None:
        for number in numbers:
            os.dup2(os.open("/dev/full", os.O_WRONLY), number)

    @staticmethod
    def unread(*numbers: int) -> None:
        for number in numbers:
            read, write = os.pipe()
            os.close(read)
            os.dup2(write, number)
            os.close(write)

    @staticmethod
    def locale(name: str) -> None:
        locale.setlocale(locale.LC_ALL, name)

    @staticmethod
    def unprivileged() -> None:
        """File permissions hold for root too."""
        header, sets = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
        if os.geteuid() == 0 and ctypes.CDLL(None, use_errno=True).syscall(126, header, sets) != 0:
            raise OSError(ctypes.get_errno(), "capset")

    @staticmethod
    def limit(name: str, value: int) -> None:
        hard = resource.getrlimit(getattr(resource, name))[1]
        resource.setrlimit(getattr(resource, name), (value, hard))

    @staticmethod
    def umask(mask: int) -> None:
        os.umask(mask)

    @staticmethod
    def mode(path: str, mode: int) -> None:
        Path(path).chmod(mode)

    @staticmethod
    def gone() -> None:
        shutil.rmtree(Path.cwd())

    @staticmethod
    def ignored(*numbers: int) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)

    @staticmethod
    def locked(*paths: str) -> None:
        """By a process of its own that lives as long as this one."""
        from archloop_lab import lock

        for path in paths:
            if Path(path).is_dir():
                Before._kept.append(lock.held(Path(path)))
                Before._kept[-1].__enter__()

    @staticmethod
    def endless() -> None:
        """The run does not end by itself."""
        from tests.edge import doubles

        doubles.Endless.on = True

    @staticmethod
    def signalled(after: float, *numbers: int) -> None:
        """As by a user, or by whoever stops a service."""
        for place, number in enumerate(numbers, 1):
            Before._timers.append(threading.Timer(after * place, os.kill, (os.getpid(), number)))

    @staticmethod
    def begin() -> None:
        """All that is set up: time begins."""
        for timer in Before._timers:
            timer.start()

    @staticmethod
    def bug(what: str) -> None:
        """Something that nobody has thought of."""
        from services.novelty import compare

        def broken(*_: object) -> None:
            raise {"KeyError": KeyError, "RecursionError": RecursionError, "MemoryError": MemoryError}[what]("x[/b]")

        compare.compare = broken  # type: ignore[assignment]

    _kept: ClassVar[list[Any]] = []
    _timers: ClassVar[list[threading.Timer]] = []


if __name__ == "__main__":
    serve()
