"""Traces by OpenTelemetry, sent in OTLP over HTTP. Imported only where a service names a collector."""

import logging
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import requests
import structlog
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from archloop import __version__
from archloop.addresses import proxy_for
from archloop.contracts.envelope import Envelope
from archloop.contracts.trace import Place

log = structlog.get_logger(__name__)

Fact = str | int | float

_ANSWER_S = 3.0
_EVERY_MS = 1000
_LONGEST = 128  # characters of a fact
_NS = 1e9
_ids: ContextVar[Place | None] = ContextVar("ids", default=None)


class _Ids(RandomIdGenerator):
    """Ids that were set for the span to be opened, else random ones."""

    def generate_span_id(self) -> int:
        place = _ids.get()
        return int(place.span_id, 16) if place else super().generate_span_id()

    def generate_trace_id(self) -> int:
        place = _ids.get()
        return int(place.trace_id, 16) if place else super().generate_trace_id()


class Told(SpanExporter):
    """An exporter whose collector may be away: that is said once, until it is back, and costs nobody a wait."""

    def __init__(self, exporter: SpanExporter, url: str) -> None:
        self._exporter, self._url, self.away = exporter, url, False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send the spans. They are lost where the collector does not take them."""
        try:
            result = self._exporter.export(spans)
        except requests.RequestException:
            result = SpanExportResult.FAILURE
        failed = result is not SpanExportResult.SUCCESS
        if failed and not self.away:
            log.warning("the collector takes no traces; they are lost until it does", collector=self._url)
        self.away = failed
        return result

    def shutdown(self) -> None:
        """Stop, also an attempt that is under way."""
        self._exporter.shutdown()


@contextmanager
def exporting(url: str) -> Iterator[SpanProcessor]:
    """Yield what sends spans to the collector, from a thread of its own; on the way out it sends what is left."""
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # our one warning says it
    certificates = ssl.get_default_verify_paths()
    exporter = OTLPSpanExporter(
        f"{url.rstrip('/')}/v1/traces",
        certificate_file=certificates.cafile or certificates.capath,
        timeout=_ANSWER_S,
        session=_session(url),
    )
    told = Told(exporter, url)
    processor = BatchSpanProcessor(told, schedule_delay_millis=_EVERY_MS)
    try:
        yield processor
    finally:
        if told.away:
            told.shutdown()
        processor.shutdown()  # type: ignore[no-untyped-call]


def _session(url: str) -> requests.Session:
    """Make a session that obeys the environment as our other clients do, and reads no .netrc."""
    session, proxy = requests.Session(), proxy_for(url)
    session.trust_env = False
    if proxy:
        session.proxies = {"http": proxy, "https": proxy}
    return session


class OtlpSpan(NamedTuple):
    """A span under way, and what opens those within it."""

    span: trace.Span
    tracer: trace.Tracer
    began: int

    def note(self, **facts: Fact | None) -> None:
        """Add facts."""
        self.span.set_attributes(_attributes({name: fact for name, fact in facts.items() if fact is not None}))

    def fail(self, error: BaseException) -> None:
        """Note the kind of the error alone: its text may be a candidate's."""
        self.span.set_attribute("error.type", str(getattr(error, "code", type(error).__name__)))
        self.span.set_status(Status(StatusCode.ERROR))

    def stages(self, seconds: Mapping[str, float]) -> None:
        """Open and end a span for each part; they fill the time up to now, but none begins before the work."""
        at = max(self.began, time.time_ns() - round(_NS * sum(seconds.values())))
        within = trace.set_span_in_context(self.span)
        for name, each in seconds.items():
            span = self.tracer.start_span(name[:_LONGEST], within, start_time=at)
            at += round(_NS * each)
            span.end(at)


class OtlpTracer:
    """A service's tracer."""

    def __init__(self, service: str, processor: SpanProcessor) -> None:
        resource = Resource.create(
            {"service.namespace": "archloop", "service.name": service, "service.version": __version__}
        )
        provider = TracerProvider(ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=_Ids())
        provider.add_span_processor(processor)
        self._tracer = provider.get_tracer("archloop", __version__)

    @contextmanager
    def consuming(self, queue: str, envelope: Envelope, facts: Mapping[str, Fact]) -> Iterator[OtlpSpan]:
        """Open the span of a delivery: a child of the message's."""
        place = Place.read(envelope.traceparent)
        around = _within(place) if place else Context()
        said = {
            **_attributes({**facts, "attempt": envelope.attempt}),
            **_messaging(envelope, "process"),
            "messaging.destination.name": queue,
        }
        name = f"process {envelope.routing_key}"
        with self._under_way(self._tracer.start_span(name, around, SpanKind.CONSUMER, said)) as span:
            yield span

    @contextmanager
    def producing(
        self, envelope: Envelope, root: Place | None, around: object, facts: Mapping[str, Fact]
    ) -> Iterator[OtlpSpan]:
        """Open the span of a message that is published.

        It is a child of the span that is open where both are of one trace; else of the trace's root, with a link.
        """
        place = Place.read(envelope.traceparent)
        assert place is not None, "an envelope has a valid one"
        cause = trace.get_current_span(around if isinstance(around, Context) else None)
        of = cause.get_span_context()
        ours = of.trace_id == int(place.trace_id, 16)
        within = trace.set_span_in_context(cause) if ours else _within(root) if root else Context()
        said = {**_attributes(facts), **_messaging(envelope, "send")}
        token = _ids.set(place)
        try:
            span = self._tracer.start_span(
                f"send {envelope.routing_key}", within, SpanKind.PRODUCER, said, _links(of, ours=ours)
            )
        finally:
            _ids.reset(token)
        with self._under_way(span) as opened:
            yield opened

    @contextmanager
    def inside(self, name: str) -> Iterator[OtlpSpan]:
        """Open a span within the one that is open."""
        with self._under_way(self._tracer.start_span(name)) as span:
            yield span

    def mark(self, name: str, root: Place, facts: Mapping[str, Fact]) -> None:
        """Add a span without duration to the trace that begins at `root`."""
        of = trace.get_current_span().get_span_context()
        self._tracer.start_span(name, _within(root), attributes=_attributes(facts), links=_links(of, ours=False)).end()

    def here(self) -> Context:
        """Return the context of the span that is open."""
        return trace.set_span_in_context(trace.get_current_span())

    @contextmanager
    def _under_way(self, span: trace.Span) -> Iterator[OtlpSpan]:
        """Have a span open until the block is left; what is raised there fails it."""
        opened = OtlpSpan(span, self._tracer, time.time_ns())
        with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield opened
            except BaseException as error:
                opened.fail(error)
                raise


def _within(place: Place) -> Context:
    """Return the context of a span that is another process's, whether or not it says that it is recorded."""
    context = SpanContext(int(place.trace_id, 16), int(place.span_id, 16), True, TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(context), Context())


def _links(cause: SpanContext, *, ours: bool) -> list[Link]:
    return [Link(cause)] if cause.is_valid and not ours else []


def _attributes(facts: Mapping[str, Fact]) -> dict[str, Fact]:
    return {f"archloop.{name}": fact[:_LONGEST] if isinstance(fact, str) else fact for name, fact in facts.items()}


def _messaging(envelope: Envelope, operation: str) -> dict[str, Fact]:
    """Return the attributes that OpenTelemetry's conventions have for messages."""
    return {"messaging.operation.type": operation, "messaging.message.id": envelope.id[:_LONGEST]}
