"""The edge of the `archloop` command: however it ends, it says so in one line (docs/reference/command.md)."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from archloop_cli.streams import Streams

_DEBUG = "--debug"
_COMPLETE = "_ARCHLOOP_COMPLETE"
_SIGNALLED = 128  # and the number of the signal, as shells count
_READER_GONE = 141  # what a shell says of a process that ended by SIGPIPE


def main() -> None:
    """Run a command, and exit."""
    ending = None
    try:
        ending = _Ending()
        code = _ended(ending)
    except KeyboardInterrupt:  # before the first step, after the last, or while the end is told
        code = _SIGNALLED + (ending.number if ending else signal.SIGINT)
    sys.exit(code)


def _ended(ending: "_Ending") -> int:
    ending.listen()
    streams = Streams()
    if _DEBUG not in sys.argv:
        sys.unraisablehook = _passed_over
    code = _code_of(_command, streams, ending) or _code_of(streams.flush, streams, ending)
    streams.close()
    return code


class _Ending:
    """SIGTERM and SIGHUP end the command as Ctrl-C does: what is in hand is closed, and children are reaped."""

    def __init__(self) -> None:
        self.number = signal.SIGINT

    def listen(self) -> None:
        """Begin to end the command by them."""
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:  # under nohup it is ignored, and stays so
                signal.signal(number, self._end)

    def _end(self, number: int, frame: FrameType | None) -> None:
        self.number = signal.Signals(number)
        interrupt = signal.getsignal(signal.SIGINT)
        if not callable(interrupt):
            raise KeyboardInterrupt
        interrupt(signal.SIGINT, frame)


def _passed_over(_: object) -> None:
    """Ignore what the interpreter cannot raise while it frees an object: no user could mend it."""


def _command() -> int:
    """Import and run the command within reach of error handling: imports may fail, and Ctrl-C may come meanwhile."""
    import typer
    from typer.completion import shell_complete

    from archloop_cli.commands import app
    from archloop_cli.logfile import quiet
    from archloop_cli.options import once

    quiet()
    command = typer.main.get_command(app)
    once(command)
    if instruction := os.environ.get(_COMPLETE):  # noqa: TID251 - a shell asks, and this is how shells do
        return shell_complete(command, {}, "archloop", _COMPLETE, instruction)
    try:
        with command.make_context("archloop", _arguments()) as context:
            command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0


def _code_of(step: Callable[[], int | None], streams: Streams, ending: _Ending) -> int:
    """Say what went wrong, and return its exit code."""
    try:
        code = step() or 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:  # noqa: BLE001 - nothing goes past the edge
        code = 0 if streams.gone else _told(error, ending)
    return _READER_GONE if streams.gone else code


def _told(error: BaseException, ending: _Ending) -> int:
    from archloop_cli import mishaps, terminal

    if isinstance(error, KeyboardInterrupt):
        found = mishaps.interrupted(error, ending.number)
    elif isinstance(error, mishaps.UsageError):
        found = mishaps.usage(error)
    else:
        found = mishaps.told(error)
    if _DEBUG in sys.argv:
        terminal.dump(mishaps.trace(error))
    if found.line:
        terminal.fail(found.word, found.line, found.notes)
    return found.exit_code


def _arguments() -> list[str]:
    """Take `--debug`, which may stand anywhere before `--`, out of the arguments."""
    given = sys.argv[1:]
    end = given.index("--") if "--" in given else len(given)
    return [each for each in given[:end] if each != _DEBUG] + given[end:]
