"""Traces: how long each hop of a message's way takes, told to a collector. Off unless a service is given one.

Ids follow from messages (`archloop.contracts.trace`), so services agree about a trace whether or not each of them
sends. OpenTelemetry is imported by the first service that sends, and by nobody otherwise.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

import structlog

from archloop.contracts.base import CandidateMessage, Message
from archloop.contracts.envelope import Envelope
from archloop.contracts.trace import Place
from archloop.contracts.values import AdapterRef, Evaluation, Usage

log = structlog.get_logger(__name__)

Fact = str | int | float


class Span(Protocol):
    """Work that is under way."""

    def note(self, **facts: Fact | None) -> None:
        """Add facts: bounded names and numbers, never what a candidate wrote."""

    def fail(self, error: BaseException) -> None:
        """Note that the work failed, and of the error only its kind."""

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Show what the work consisted of, a part after the other, the last of which has just ended."""


class Tracer(Protocol):
    """What a service's spans are made by. A `Span` ends with its context."""

    def consuming(self, queue: str, envelope: Envelope, facts: Mapping[str, Fact]) -> Any:
        """Open the span of a delivery: a child of the message's."""

    def producing(self, envelope: Envelope, root: Place | None, around: object, facts: Mapping[str, Fact]) -> Any:
        """Open the span of a message that is published. Its id is the one that the message names."""

    def inside(self, name: str) -> Any:
        """Open a span within the one that is open."""

    def mark(self, name: str, root: Place, facts: Mapping[str, Fact]) -> None:
        """Add a span without duration to the trace that begins at `root`."""

    def here(self) -> object:
        """Return what spans that are opened elsewhere, later, need to be within the one that is open."""


class _Nothing:
    """A span of a service that sends none."""

    def note(self, **facts: Fact | None) -> None:
        pass

    def fail(self, error: BaseException) -> None:
        pass

    def stages(self, seconds: Mapping[str, float]) -> None:
        pass


_NOTHING = _Nothing()
_tracers: dict[str, Tracer] = {}
_here: ContextVar[Tracer | None] = ContextVar("tracer", default=None)


@contextmanager
def sending(collectors: Mapping[str, str | None]) -> Iterator[None]:
    """Send the spans of these services to their collectors until the block is left.

    Args:
        collectors: Base URL of the OTLP/HTTP collector of each service; null for those that send nothing.

    """
    wanted = {service: url for service, url in collectors.items() if url}
    if not wanted:
        yield
        return
    try:
        from archloop.otlp import OtlpTracer, exporting
    except ImportError:
        log.warning("no traces are sent: pip install 'archloop[otel]'")
        yield
        return
    with ExitStack() as stack:
        exporters = {url: stack.enter_context(exporting(url)) for url in dict.fromkeys(wanted.values())}
        _tracers.update({service: OtlpTracer(service, exporters[url]) for service, url in wanted.items()})
        stack.callback(lambda: [_tracers.pop(service, None) for service in wanted])
        yield


@contextmanager
def consuming(service: str, queue: str, envelope: Envelope, message: Message) -> Iterator[Span]:
    """Trace the handling of a delivery."""
    if (tracer := _tracers.get(service)) is None:
        yield _NOTHING
        return
    token = _here.set(tracer)
    try:
        with tracer.consuming(queue, envelope, _facts(message)) as span:
            yield span
    finally:
        _here.reset(token)


@contextmanager
def producing(service: str, envelope: Envelope, around: object = None) -> Iterator[None]:
    """Trace the publishing of a message, within `around` where that is given (`here`)."""
    if (tracer := _tracers.get(service)) is None:
        yield
        return
    message = envelope.message()
    root = Place.of(message.trace_root) if message.trace_root not in (None, envelope.id) else None
    with tracer.producing(envelope, root, around, _facts(message)):
        yield


@contextmanager
def span(name: str) -> Iterator[Span]:
    """Trace a part of the handling of the delivery in hand; outside of one nothing is traced."""
    if (tracer := _here.get()) is None:
        yield _NOTHING
        return
    with tracer.inside(name) as opened:
        yield opened


def mark(service: str, name: str, root: str, **facts: Fact) -> None:
    """Note in the trace that begins with the message `root` that something was decided just now."""
    if (tracer := _tracers.get(service)) is not None:
        tracer.mark(name, Place.of(root), facts)


def here() -> object:
    """Return what `producing` needs to be within the handling of the delivery in hand."""
    return None if (tracer := _here.get()) is None else tracer.here()


def _facts(message: Message) -> dict[str, Fact]:
    """Return what spans say of a message: whom it is about, what came of it, and what it took."""
    found: dict[str, Fact | None] = {"run": message.run_id}
    if isinstance(message, CandidateMessage):
        found["candidate"] = message.candidate_id
    evaluation, usage = getattr(message, "evaluation", None), getattr(message, "usage", None)
    if isinstance(evaluation, Evaluation):
        found["outcome"] = evaluation.outcome
    if isinstance(usage, Usage):
        found |= {"prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens}
    adapter = getattr(message, "adapter", None)
    found["adapter"] = adapter.adapter if isinstance(adapter, AdapterRef) else adapter
    return {name: value for name, value in found.items() if value is not None}
