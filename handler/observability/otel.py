"""Instrumentation by OpenTelemetry: metrics, and a span for each delivery and each API call.

The one module that imports OpenTelemetry, and only where it is asked for. Nothing of a trace is sent to the VPC API.
Attributes are few and bounded: no id of an interface or a session, and no value of an event.
"""

import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from opentelemetry import trace as api_trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import MeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TracerProvider

from handler import __version__
from handler.errors import UnmirrorError
from handler.model import ApiCall
from handler.observability.instrumentation import Instrumentation
from handler.observability.trace_context import TraceContext
from handler.report import Report

# For the metrics, and again for the spans, of each delivery on FunctionGraph: half of what its edge reserves for the
# answer.
FLUSH_SECONDS = 0.5
# Powers of about two and a half up to the longest deadline by default, then round times up to a day: OpenTelemetry's
# own are for milliseconds.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 300, 600, 3600, 21600, 86400)


class OpenTelemetry(Instrumentation):
    """Records deliveries and API calls through providers that somebody else has set up."""

    def __init__(
        self, traces: TracerProvider, metrics: MeterProvider, flushes: Sequence[Callable[[int], bool]] = ()
    ) -> None:
        """Take the providers; each delivery ends with the flushes, which are given their milliseconds."""
        self._tracer, self._flushes = traces.get_tracer("unmirror", __version__), flushes
        meter = metrics.get_meter("unmirror", __version__)
        # `deploy/observability` names the same.
        counter, gauge = meter.create_counter, meter.create_gauge
        histogram = partial(meter.create_histogram, unit="s", explicit_bucket_boundaries_advisory=BUCKETS)
        self._deliveries = counter("unmirror.deliveries", "{delivery}", "Deliveries, refused ones too")
        self._durations = histogram("unmirror.delivery.duration", description="Of those that were worked on")
        self._detachments = counter("unmirror.detachments", "{source}", "Sources that left a session, or were to")
        self._delays = histogram("unmirror.detachment.delay", description="From the deletion to the detachment")
        self._calls = histogram("unmirror.api.call.duration", description="Calls of the VPC API")
        self._ages = histogram("unmirror.snapshot.age", description="Of the snapshot when it was decided upon")
        self._sweeps = counter("unmirror.sweeps", "{sweep}", "Sweeps of a project")
        self._sources = gauge("unmirror.sweep.sources", "{source}", "Sources at the last sweep")
        self._sessions = gauge("unmirror.sweep.sessions", "{session}", "Sessions at the last sweep")
        self._batches = counter("unmirror.batches.abandoned", "{batch}", "Batches that outlasted all their deliveries")

    @contextmanager
    def delivery(self, parent: TraceContext | None) -> Iterator[TraceContext | None]:
        """Make the delivery a span, which is the thread's current one."""
        context = _context(_span_context(parent)) if parent else Context()
        span = self._tracer.start_span("unmirror delivery", context, SpanKind.CONSUMER)
        try:
            with api_trace.use_span(span, record_exception=False, set_status_on_exception=False):
                yield _trace_of(span) or parent
        except Exception as error:
            _fail(span, error)
            raise
        finally:
            span.end()
            for flush in self._flushes:
                flush(int(FLUSH_SECONDS * 1000))

    def on_finished(self, report: Report) -> None:
        """Count the delivery and what it did, and describe its span."""
        span = api_trace.get_current_span()
        about = {"envelope": report.envelope, "outcome": report.outcome}
        problem = report.error.slug if report.error else "none"
        self._deliveries.add(1, {**about, "problem": problem})
        self._durations.record(report.seconds, about)
        for leaf in report.leaves():
            self._on_part(leaf)
        for name in ("delivery_id", "envelope", "outcome", "project_id", "api_calls"):
            if (value := getattr(report, name)) is not None:
                span.set_attribute(f"unmirror.{name}", value)
        if report.error is not None:
            _fail(span, report.error)

    def _on_part(self, report: Report) -> None:
        project = {"project": report.project_id or "unknown"}
        if report.snapshot is not None:
            self._ages.record(report.snapshot.age, {"predates_delivery": report.snapshot.predates_delivery})
        if report.coalesced:  # the delivery that the sweep was begun for counts it
            return
        for each in report.detachments:
            if each.coalesced:  # the delivery that named it first counts it
                continue
            by = {**project, "status": each.status, "by": report.by or "event"}
            self._detachments.add(len(each.interface_ids), by)
            if each.status == "detached" and report.cause and report.cause.seconds is not None:
                self._delays.record(report.cause.seconds, project)
        if (figures := report.sweep) is not None:
            self._sweeps.add(1, {**project, "outcome": report.outcome})
            self._sources.set(figures.sources, {**project, "state": "seen"})
            for state in ("listed", "unlisted", "gone", "detached", "protected", "undecided"):
                self._sources.set(getattr(figures, state), {**project, "state": state})
            self._sessions.set(figures.sessions, {**project, "state": "seen"})
            self._sessions.set(len(figures.emptied), {**project, "state": "emptied"})
            self._sessions.set(len(report.lost_targets), {**project, "state": "lost_target"})
            self._sessions.set(len(report.unreadable_sessions), {**project, "state": "unreadable"})

    def on_call(self, call: ApiCall, traces: Sequence[TraceContext]) -> None:
        """Record the call; make it a child of the first delivery that is sampled, with links to the others."""
        status = str(call.status or "none")
        self._calls.record(call.seconds, {"operation": call.operation, "status": status})
        deliveries = [_span_context(trace) for trace in traces if trace.sampled]
        if not deliveries:
            return
        ended = int(call.ended_at.timestamp() * 1e9)
        facts: dict[str, str | int] = {"http.response.status_code": call.status, "unmirror.request_id": call.request_id}
        span = self._tracer.start_span(
            *(call.operation, _context(deliveries[0]), SpanKind.CLIENT),
            attributes={name: value for name, value in facts.items() if value},
            links=[Link(each) for each in deliveries[1:]],
            start_time=ended - int(call.seconds * 1e9),
        )
        if call.status not in (200, 404):  # the 404 is an answer: it is gone
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", status)
        span.end(ended)

    def on_rejected(self, error: Exception) -> UnmirrorError:
        """Count a delivery that was not worked on, and log why."""
        rejected = super().on_rejected(error)
        envelope = getattr(rejected, "envelope", None) or "unknown"
        self._deliveries.add(1, {"envelope": envelope, "outcome": rejected.slug, "problem": rejected.slug})
        return rejected

    def on_abandoned(self, project_id: str) -> None:
        """Count a batch that was abandoned, and log it."""
        super().on_abandoned(project_id)
        self._batches.add(1, {"project": project_id})


def _fail(span: Span, error: Exception) -> None:
    """Mark a span as failed; an error that is not ours shows its type only, since its text may hold anything."""
    kind, text = (error.slug, str(error)) if isinstance(error, UnmirrorError) else (type(error).__name__, None)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, text))


def _context(parent: SpanContext) -> Context:
    return api_trace.set_span_in_context(api_trace.NonRecordingSpan(parent), Context())


def _span_context(trace: TraceContext) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if trace.sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace.trace_id, 16), int(trace.span_id, 16), is_remote=True, trace_flags=flags)


def _trace_of(span: Span) -> TraceContext | None:
    at = span.get_span_context()
    return TraceContext(f"{at.trace_id:032x}", f"{at.span_id:016x}", at.trace_flags.sampled) if at.is_valid else None


def exporting(environ: Mapping[str, str], signals: Collection[str]) -> OpenTelemetry:
    """Return an instrumentation that exports TRACES, METRICS or both by OTLP over HTTP.

    The SDK reads from the process's environment where to, and how. On FunctionGraph, which freezes an instance after
    each event, each delivery ends with an export.
    """
    on_functiongraph = "RUNTIME_FUNC_NAME" in environ or "RUNTIME_PROJECT_ID" in environ
    timeout = FLUSH_SECONDS if on_functiongraph else None
    resource, readers = _resource(environ), []
    if "METRICS" in signals:
        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter(timeout=timeout)))
    metering = sdk_metrics.MeterProvider(readers, resource)
    flushes: list[Callable[[int], bool]] = [metering.force_flush]
    tracing = None
    if "TRACES" in signals:
        tracing = sdk_trace.TracerProvider(resource=resource)
        tracing.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
        flushes.append(tracing.force_flush)
    return OpenTelemetry(tracing or api_trace.NoOpTracerProvider(), metering, flushes if on_functiongraph else ())


def _resource(environ: Mapping[str, str]) -> Resource:
    """Describe this process; the id of the instance keeps counters of several from overwriting one another."""
    ours = {"service.name": "unmirror", "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    if region := environ.get("UNMIRROR_REGION", "").strip():
        ours["cloud.region"] = region
    return Resource.create(ours).merge(OTELResourceDetector().detect())  # what the variables say goes before ours
