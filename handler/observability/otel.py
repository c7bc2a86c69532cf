"""OpenTelemetry's signals: metrics of all deliveries, and of each a span with its API calls as children.

The one module that imports it, and only where it is asked for (`observability.instrumentation`). Nothing of a trace is
sent to the VPC API. Attributes are few and bounded: no id of an interface or a session, and no value of an event.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import Meter, MeterProvider, NoOpMeterProvider
from opentelemetry.sdk import metrics as sdk_metrics
from opentelemetry.sdk import trace as sdk_trace
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    NonRecordingSpan,
    NoOpTracerProvider,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    TracerProvider,
    format_span_id,
    format_trace_id,
    set_span_in_context,
)
from opentelemetry.util.re import parse_env_headers

from handler import __version__
from handler.errors import UnmirrorError
from handler.events import Reading
from handler.observability.instrumentation import Listener, Signals
from handler.observability.logs import Trace
from handler.report import Report, SweepFigures
from handler.vpc.client import Call

FLUSH_SECONDS = 0.5
"""For the metrics, and again for the spans, of each delivery on FunctionGraph; within its margin for the answer."""

Value: TypeAlias = str | bool


# --- the metrics ---------------------------------------------------------------------------------------------

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25)
_LONG = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 21600, 86400)


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name, its unit as UCUM has it, and its attributes."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    means: str
    attributes: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


DELIVERIES = Metric(
    *("unmirror.deliveries", "counter", "{delivery}", "Deliveries, also those that were refused"),
    ("envelope", "outcome", "problem"),
)
DELIVERY_DURATION = Metric(
    "unmirror.delivery.duration", "histogram", "s", "Of deliveries that were read", ("envelope", "outcome"), _SECONDS
)
DETACHMENTS = Metric(
    "unmirror.detachments", "counter", "{source}", "Sources that left a session, or were to", ("status", "by")
)
DETACHMENT_DELAY = Metric(
    "unmirror.detachment.delay", "histogram", "s", "From the deletion to the detachment", (), _LONG
)
CALL_DURATION = Metric(
    "unmirror.api.call.duration", "histogram", "s", "Calls of the VPC API", ("operation", "status"), _SECONDS
)
SNAPSHOT_AGE = Metric(
    "unmirror.snapshot.age", "histogram", "s", "Of the look that a delivery was decided by", ("reused",), _LONG
)
SWEEPS = Metric("unmirror.sweeps", "counter", "{sweep}", "Sweeps of a project", ("project", "outcome"))
SWEEP_SOURCES = Metric("unmirror.sweep.sources", "gauge", "{source}", "Sources at the last sweep", ("project", "state"))
SWEEP_SESSIONS = Metric(
    "unmirror.sweep.sessions", "gauge", "{session}", "Sessions at the last sweep", ("project", "state")
)
PUT_BACK = Metric("unmirror.sources.put_back", "counter", "{source}", "Deleted, and put back by somebody", ("project",))
EVENTS_LOST = Metric(
    "unmirror.events.lost", "counter", "{interface}", "Deletions that no event told: a sweep found them", ("project",)
)
PAYLOAD_DRIFT = Metric(
    "unmirror.payload.drift", "counter", "{delivery}", "With what no schema was written for", ("envelope", "what")
)

METRICS = (
    *(DELIVERIES, DELIVERY_DURATION, DETACHMENTS, DETACHMENT_DELAY, CALL_DURATION, SNAPSHOT_AGE),
    *(SWEEPS, SWEEP_SOURCES, SWEEP_SESSIONS, PUT_BACK, EVENTS_LOST, PAYLOAD_DRIFT),
)
"""All of them. `deploy/observability` is kept in step with these names."""

SOURCE_STATES: Mapping[str, Callable[[SweepFigures], int]] = {
    "seen": lambda figures: figures.sources,
    "listed": lambda figures: figures.listed,
    "hidden": lambda figures: figures.hidden,
    "gone": lambda figures: figures.gone,
    "detached": lambda figures: figures.detached,
    "protected": lambda figures: figures.protected,
    "unknown": lambda figures: figures.unknown,
}
SESSION_STATES: Mapping[str, Callable[[SweepFigures], int]] = {
    "seen": lambda figures: figures.sessions,
    "emptied": lambda figures: figures.emptied.count,
    "near_quota": lambda figures: figures.near_quota.count,
    "target_lost": lambda figures: figures.orphaned,
}
"""What the attribute `state` can be of the two gauges."""

_MAKERS: Mapping[str, Callable[[Meter, Metric], Callable[[float, Mapping[str, Value]], None]]] = {
    "counter": lambda meter, metric: meter.create_counter(metric.name, metric.unit, metric.means).add,
    "gauge": lambda meter, metric: meter.create_gauge(metric.name, metric.unit, metric.means).set,
    "histogram": lambda meter, metric: (
        meter.create_histogram(
            metric.name, metric.unit, metric.means, explicit_bucket_boundaries_advisory=metric.buckets
        ).record
    ),
}


class _Instruments:
    """Where measurements go."""

    def __init__(self, meter: Meter) -> None:
        self._record = {metric.name: _MAKERS[metric.kind](meter, metric) for metric in METRICS}

    def __call__(self, metric: Metric, value: float, *attributes: Value) -> None:
        """Measure, with the metric's attributes in their order."""
        self._record[metric.name](value, dict(zip(metric.attributes, attributes, strict=True)))


# --- what hears ----------------------------------------------------------------------------------------------


class OpenTelemetry(Signals):
    """Signals by OpenTelemetry, through providers that somebody else has set up."""

    def __init__(
        self, traces: TracerProvider, metrics: MeterProvider, flush: Callable[[], None] = lambda: None
    ) -> None:
        """Take the providers; `flush` is called when a delivery has ended, where nothing runs between deliveries."""
        self._tracer = traces.get_tracer("unmirror", __version__)
        self._measure = _Instruments(metrics.get_meter("unmirror", __version__))
        self._flush = flush

    @contextmanager
    def delivery(self, parent: Trace | None) -> Iterator[Listener]:
        """Return what hears of a delivery, in a span that ends when it does."""
        span = self._tracer.start_span("unmirror delivery", _context(parent), SpanKind.CONSUMER)
        try:
            yield _Heard(span, _place(span) or parent, self._tracer, self._measure)
        except Exception as error:
            _fail(span, error)
            raise
        finally:
            span.end()
            self._flush()

    def refused(self, error: UnmirrorError) -> None:
        """Count a delivery that was not admitted, or could not be read."""
        self._measure(DELIVERIES, 1, getattr(error, "envelope", None) or "unknown", error.slug, error.slug)


class _Heard(Listener):
    def __init__(self, span: Span, trace: Trace | None, tracer: Tracer, measure: _Instruments) -> None:
        super().__init__(trace)
        self._span = span
        self._context = set_span_in_context(span)
        self._tracer = tracer
        self._measure = measure

    def called(self, call: Call) -> None:
        status = str(call.status or "none")
        self._measure(CALL_DURATION, call.seconds, call.operation, status)
        if not self._span.is_recording():
            return
        now = time.time_ns()
        span = self._tracer.start_span(
            call.operation, self._context, SpanKind.CLIENT, start_time=now - int(call.seconds * 1e9)
        )
        if call.status:
            span.set_attribute("http.response.status_code", call.status)
        if call.request_id:
            span.set_attribute("unmirror.request_id", call.request_id)
        if call.status not in (200, 404):  # the 404 is an answer: it is gone
            span.set_status(Status(StatusCode.ERROR))
            span.set_attribute("error.type", status)
        span.end(now)

    def read(self, reading: Reading) -> None:
        for envelope, what in reading.drift:
            self._measure(PAYLOAD_DRIFT, 1, envelope, what)

    def ended(self, report: Report) -> None:
        self._measure(DELIVERIES, 1, report.envelope, report.outcome, report.error.slug if report.error else "none")
        self._measure(DELIVERY_DURATION, report.seconds, report.envelope, report.outcome)
        for leaf in report.leaves():
            self._decided(leaf)
        if not self._span.is_recording():
            return
        about = {
            "unmirror.delivery_id": report.delivery_id,
            "unmirror.envelope": report.envelope,
            "unmirror.outcome": report.outcome,
            "unmirror.project_id": report.project_id,
            "unmirror.api_calls": report.api_calls,
        }
        self._span.set_attributes({name: value for name, value in about.items() if value is not None})
        if report.error is not None:
            _fail(self._span, report.error)

    def _decided(self, report: Report) -> None:
        if report.look is not None:
            self._measure(SNAPSHOT_AGE, report.look.age, report.look.reused)
        if report.shared:  # counted with the delivery whose sweep it was
            return
        by = "event" if report.sweep is None else "sweep"
        for detachment in report.detachments:
            self._measure(DETACHMENTS, len(detachment.interface_ids), detachment.status, by)
            if detachment.status == "detached" and report.cause and report.cause.seconds is not None:
                self._measure(DETACHMENT_DELAY, report.cause.seconds)
        if report.sweep is not None:
            self._swept(report, report.sweep)

    def _swept(self, report: Report, figures: SweepFigures) -> None:
        project = report.project_id or "unknown"
        self._measure(SWEEPS, 1, project, report.outcome)
        self._measure(PUT_BACK, len(figures.put_back), project)
        self._measure(EVENTS_LOST, 0 if report.dry_run else figures.found_by_sweep, project)
        for state, count in SOURCE_STATES.items():
            self._measure(SWEEP_SOURCES, count(figures), project, state)
        for state, count in SESSION_STATES.items():
            self._measure(SWEEP_SESSIONS, count(figures), project, state)


def _fail(span: Span, error: Exception) -> None:
    """Mark a span; of what is no error of ours only its kind is told, since its text may hold anything."""
    kind, text = (error.slug, str(error)) if isinstance(error, UnmirrorError) else (type(error).__name__, None)
    span.set_attribute("error.type", kind)
    span.set_status(Status(StatusCode.ERROR, text))


def _context(parent: Trace | None) -> Context | None:
    if parent is None:
        return Context()
    flags = TraceFlags(TraceFlags.SAMPLED if parent.sampled else TraceFlags.DEFAULT)
    place = SpanContext(int(parent.trace_id, 16), int(parent.span_id, 16), is_remote=True, trace_flags=flags)
    return set_span_in_context(NonRecordingSpan(place), Context())


def _place(span: Span) -> Trace | None:
    place = span.get_span_context()
    if not place.is_valid:
        return None
    return Trace(format_trace_id(place.trace_id), format_span_id(place.span_id), place.trace_flags.sampled)


# --- from the environment ------------------------------------------------------------------------------------


def exporting(environ: Mapping[str, str], *, traces: bool, metrics: bool) -> OpenTelemetry:
    """Export by OTLP over HTTP as OpenTelemetry's variables ask.

    What its SDK reads beyond `signals.NAMES`, such as OTEL_TRACES_SAMPLER, it takes from the process's environment.
    On FunctionGraph, which freezes an instance after each event, each delivery ends with an export of bounded time.
    """
    frozen = "RUNTIME_FUNC_NAME" in environ or "RUNTIME_PROJECT_ID" in environ
    seconds = FLUSH_SECONDS if frozen else None
    headers = parse_env_headers(environ.get("OTEL_EXPORTER_OTLP_HEADERS", ""), liberal=True) or None
    resource = _resource(environ)
    flushes: list[Callable[[int], bool]] = []
    tracing: TracerProvider = NoOpTracerProvider()
    metering: MeterProvider = NoOpMeterProvider()
    if metrics:
        to_metrics = OTLPMetricExporter(_endpoint(environ, "metrics"), headers=headers, timeout=seconds)
        metering = sdk_metrics.MeterProvider([PeriodicExportingMetricReader(to_metrics)], resource)
        flushes.append(metering.force_flush)
    if traces:
        to_traces = OTLPSpanExporter(_endpoint(environ, "traces"), headers=headers, timeout=seconds)
        tracing = sdk_trace.TracerProvider(resource=resource)
        tracing.add_span_processor(BatchSpanProcessor(to_traces))
        flushes.append(tracing.force_flush)

    def flush() -> None:
        for each in flushes:
            each(int(FLUSH_SECONDS * 1000))

    return OpenTelemetry(tracing, metering, flush if frozen else lambda: None)


def _endpoint(environ: Mapping[str, str], kind: str) -> str:
    """Return the URL as the specification has it: of one kind as it is, of all with the kind's path."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_{kind.upper()}_ENDPOINT", "").strip()
    shared = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", "").strip() or "http://localhost:4318"
    return own or f"{shared.rstrip('/')}/v1/{kind}"


def _resource(environ: Mapping[str, str]) -> Resource:
    """Name this process: each instance has its own series, or their counters would overwrite one another."""
    told = OTELResourceDetector().detect().attributes
    ours = {
        "service.name": environ.get("OTEL_SERVICE_NAME") or "unmirror",
        "service.version": __version__,
        "service.instance.id": str(uuid.uuid4()),
    }
    return Resource.create({name: value for name, value in ours.items() if name not in told})
