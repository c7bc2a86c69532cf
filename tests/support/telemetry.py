"""OpenTelemetry in memory: an instrumentation, and all that it recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.metrics.export import Metric as Recorded
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from handler.observability.otel import OpenTelemetry
from handler.observability.trace_context import TraceContext
from handler.report import Report


@dataclass
class Recorder:
    """An instrumentation that keeps what it records."""

    reader: InMemoryMetricReader = field(default_factory=InMemoryMetricReader)
    exporter: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)

    def __post_init__(self) -> None:
        traces = TracerProvider(shutdown_on_exit=False)
        traces.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.otel = OpenTelemetry(traces, MeterProvider([self.reader], shutdown_on_exit=False))

    def deliver(self, *reports: Report, parent: TraceContext | None = None) -> None:
        """Let each report be that of a delivery."""
        for each in reports:
            with self.otel.delivery(parent):
                self.otel.on_finished(each)

    def metrics(self) -> dict[str, Recorded]:
        """Return what was recorded, by name."""
        data = self.reader.get_metrics_data()
        scopes = [scope for resource in (data.resource_metrics if data else ()) for scope in resource.scope_metrics]
        return {metric.name: metric for scope in scopes for metric in scope.metrics}

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Return a metric's values, of a histogram (count, sum), by the values of its attributes in their ABC."""
        found = {}
        for point in metric.data.data_points if (metric := self.metrics().get(name)) else ():
            value = (point.count, point.sum) if isinstance(point, HistogramDataPoint) else point.value
            found[tuple(each for _, each in sorted((point.attributes or {}).items()))] = value
        return found

    def spans(self, kind: SpanKind) -> list[ReadableSpan]:
        """Return the spans of a kind that have ended."""
        return [span for span in self.exporter.get_finished_spans() if span.kind is kind]
