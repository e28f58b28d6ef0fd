"""structlog for every process: JSON lines for machines, aligned colours for people."""

import logging
import sys
from typing import TextIO, cast

import structlog

from archloop.sanitising import plain_lines

# They log with a traceback what they also raise, and what our own lines say in one.
_LOUD = ("aiormq", "aio_pika", "pymongo", "uvicorn")


def configure(*, level: str = "INFO", json: bool = True, stream: TextIO | None = None) -> None:
    """Set up logging, once per process, on standard error by default.

    What a delivery binds (run, candidate, message, attempt) is in every line.
    """
    stream = stream or cast("TextIO", _StandardError())
    rendered: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if json
        else [_plain, structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    )
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            *rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


class _StandardError:
    """Standard error as it is at each write: it may be another one, or closed, since logging was set up."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)  # noqa: TID251 - `_plain`, or JSON in ASCII

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return sys.stderr.isatty()


def _plain(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Escape control characters, so that text from candidates and others outside cannot move the cursor."""
    return {key: plain_lines(value) if isinstance(value, str) else value for key, value in event.items()}
