"""Metrics and traces: what OpenTelemetry hears of deliveries, in memory and over the wire."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from handler import functiongraph
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator, Fault
from handler.errors import BadEvent, NotAdmitted
from handler.observability import instrumentation as signals
from handler.observability import logs as telemetry
from handler.observability.instrumentation import Signals
from handler.observability.otel import METRICS, OpenTelemetry
from handler.service import Service
from tests.conftest import NewFunction
from tests.observability.test_log import PARENT, SPAN_ID, TRACE_ID
from tests.support.function import settings_for
from tests.web.test_functiongraph import Context
from tests.web.test_on_event import cloud_event, delete, deleted, trace

SWEEP = {"type": "io.unmirror.sweep.due.v1", "id": "sweep"}


@dataclass(frozen=True)
class Watched:
    """A service, and all that was heard of it."""

    service: Service
    reader: InMemoryMetricReader
    exporter: InMemorySpanExporter

    def points(self, name: str) -> dict[tuple[Any, ...], Any]:
        """Return a metric's values, of a histogram its points, by the values of its attributes in their order."""
        (metric,) = (each for each in METRICS if each.name == name)
        found = {}
        for point in self._measured().get(name, ()):
            assert set(point.attributes) == set(metric.attributes)
            key = tuple(point.attributes[attribute] for attribute in metric.attributes)
            found[key] = point if isinstance(point, HistogramDataPoint) else point.value
        return found

    def names(self) -> set[str]:
        return set(self._measured())

    def _measured(self) -> dict[str, Any]:
        data = self.reader.get_metrics_data()
        return {
            metric.name: metric.data.data_points
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }

    def spans(self) -> tuple[ReadableSpan, list[ReadableSpan]]:
        """Return the last delivery's span, and its children in the order in which they began."""
        spans = self.exporter.get_finished_spans()
        whole = [span for span in spans if span.kind is SpanKind.CONSUMER][-1]
        children = [span for span in spans if span.parent and span.parent.span_id == whole.context.span_id]
        return whole, sorted(children, key=lambda span: span.start_time or 0)


@pytest.fixture
def watched(emulator: Emulator) -> Iterator[Watched]:
    """A service that waits for nothing, and is measured and traced."""
    reader, exporter = InMemoryMetricReader(), InMemorySpanExporter()
    metrics, traces = MeterProvider([reader], shutdown_on_exit=False), TracerProvider(shutdown_on_exit=False)
    traces.add_span_processor(SimpleSpanProcessor(exporter))
    service = Service.from_env(settings_for(emulator), sleep=lambda _: None)
    yield Watched(replace(service, signals=OpenTelemetry(traces, metrics)), reader, exporter)
    metrics.shutdown()
    traces.shutdown()


# --- metrics -------------------------------------------------------------------------------------------------


def test_each_metric_is_measured_in_the_course_of_a_day(watched: Watched, tenant: Tenant) -> None:
    handle = watched.service.handle
    handle({"cts": {**trace(delete(tenant)), "of_next_year": 1}})
    delete(tenant, "web-1")
    handle(SWEEP)
    assert watched.names() == {metric.name for metric in METRICS}


def test_deliveries_are_counted_by_envelope_and_outcome(watched: Watched, tenant: Tenant) -> None:
    gone = delete(tenant)
    for _ in range(2):
        watched.service.handle(deleted(gone))
    watched.service.handle([cloud_event(trace(gone)), cloud_event(trace(tenant.interfaces["web-1"]))])
    assert watched.points("unmirror.deliveries") == {
        ("interface-deleted", "detached", "none"): 1,
        ("interface-deleted", "nothing_to_do", "none"): 1,
        ("cloudevents-batch", "still_exists", "still-exists"): 1,
    }
    seconds = watched.points("unmirror.delivery.duration")
    assert {key: point.count for key, point in seconds.items()} == {
        key[:2]: count for key, count in watched.points("unmirror.deliveries").items()
    }


def test_what_is_refused_is_counted_by_why(watched: Watched) -> None:
    for refusal in (NotAdmitted("no"), BadEvent("no", envelope="cts")):
        watched.service.signals.refused(refusal)
    assert watched.points("unmirror.deliveries") == {
        ("unknown", "not-admitted", "not-admitted"): 1,
        ("cts", "bad-event", "bad-event"): 1,
    }


def test_detachments_are_counted_by_session_and_how_long_they_took(watched: Watched, tenant: Tenant) -> None:
    recorded = datetime(2026, 3, 1, 10, 15, 26, tzinfo=timezone.utc)
    service = replace(watched.service, now=lambda: recorded + timedelta(seconds=90))
    service.handle({**deleted(delete(tenant)), "time": recorded.isoformat()})
    assert watched.points("unmirror.detachments") == {("detached", "event"): 3}
    (delay,) = watched.points("unmirror.detachment.delay").values()
    assert (delay.count, delay.sum) == (3, 270)


def test_a_clock_that_is_behind_makes_no_delay_negative(watched: Watched, tenant: Tenant) -> None:
    service = replace(watched.service, now=lambda: datetime(2020, 1, 1, tzinfo=timezone.utc))
    service.handle({"cts": trace(delete(tenant))})
    (delay,) = watched.points("unmirror.detachment.delay").values()
    assert delay.sum == 0


def test_calls_are_counted_by_operation_and_status(watched: Watched, tenant: Tenant, emulator: Emulator) -> None:
    emulator.faults += [Fault("list_sessions", status=503), Fault("remove_sources", kind="lost")]
    watched.service.handle(deleted(delete(tenant, "web-1")))
    calls = {key: point.count for key, point in watched.points("unmirror.api.call.duration").items()}
    assert calls == {
        ("list_sessions", "503"): 1,
        ("list_sessions", "200"): 1,
        ("find_interface", "404"): 1,
        ("remove_sources", "none"): 1,
        ("show_session", "200"): 1,
    }
    assert all(point.sum > 0 for point in watched.points("unmirror.api.call.duration").values())


def test_a_look_that_is_used_again_shows(watched: Watched, tenant: Tenant) -> None:
    for name in ("web-1", "web-2", "web-3"):
        watched.service.handle({**deleted(delete(tenant, name)), "time": "2026-01-01T00:00:00Z"})
    assert {key: point.count for key, point in watched.points("unmirror.snapshot.age").items()} == {
        (False,): 1,
        (True,): 2,
    }


def test_a_sweep_tells_its_figures_and_what_no_event_had_told(watched: Watched, tenant: Tenant) -> None:
    for name in ("mail-1", "mail-2"):
        delete(tenant, name)
    for number in (1, 2):  # the second is served by the first
        watched.service.handle({**SWEEP, "id": f"sweep-{number}", "time": "2026-01-01T00:00:00Z"})
    assert watched.points("unmirror.sweeps") == {(PROJECT_ID, "detached"): 1}
    assert watched.points("unmirror.events.lost") == {(PROJECT_ID,): 2}
    assert watched.points("unmirror.sources.put_back") == {(PROJECT_ID,): 0}
    assert watched.points("unmirror.detachments") == {("detached", "sweep"): 2}
    sources = {state: count for (_, state), count in watched.points("unmirror.sweep.sources").items()}
    assert (sources["gone"], sources["detached"], sources["listed"]) == (2, 2, sources["seen"] - 2)
    sessions = {state: count for (_, state), count in watched.points("unmirror.sweep.sessions").items()}
    assert sessions == {"seen": 8, "emptied": 1, "near_quota": 0, "target_lost": 0}
    assert watched.points("unmirror.detachment.delay") == {}


def test_a_dry_run_has_lost_no_event(watched: Watched, tenant: Tenant, emulator: Emulator) -> None:
    delete(tenant, "web-1")
    cautious = Service.from_env(settings_for(emulator, UNMIRROR_DRY_RUN="1"))
    replace(cautious, signals=watched.service.signals).handle(SWEEP)
    assert watched.points("unmirror.events.lost") == {(PROJECT_ID,): 0}
    assert watched.points("unmirror.detachments") == {("planned", "sweep"): 1}


DRIFTED: Mapping[str, tuple[Any, set[tuple[str, str]]]] = {
    "a new member of a trace": ({"cts": {**trace("a"), "of_next_year": "marked"}}, {("trace", "member")}),
    "a new member around a trace": ({"cts": trace("a"), "marked": 1}, {("cts", "member")}),
    "a new version": (
        {"trigger_type": "TIMER", "version": "v3.0", "time": "2026-01-01T00:00:00Z", "trigger_name": "x"},
        {("timer", "version")},
    ),
    "an extension of a CloudEvent": (cloud_event(trace("a")) | {"marked": "x"}, set()),
    "nothing new": ({"cts": trace("a")}, set()),
}


@pytest.mark.parametrize("payload", DRIFTED)
def test_what_no_schema_was_written_for_is_counted_and_not_named(payload: str, watched: Watched) -> None:
    body, expected = DRIFTED[payload]
    watched.service.handle(json.loads(json.dumps(body).replace('"resource_id": "a"', f'"resource_id": "{LIVING}"')))
    assert set(watched.points("unmirror.payload.drift")) == expected


LIVING = "00000000-0000-4000-8000-000000000000"


# --- traces --------------------------------------------------------------------------------------------------


def test_a_delivery_is_a_span_and_its_calls_are_the_children(
    watched: Watched, tenant: Tenant, emulator: Emulator
) -> None:
    report = watched.service.handle({"cts": trace(delete(tenant, "web-1"))})
    whole, children = watched.spans()
    assert [child.name for child in children] == ["list_sessions", "find_interface", "remove_sources"]
    assert [child.attributes["http.response.status_code"] for child in children if child.attributes] == [200, 404, 200]
    assert all(child.kind is SpanKind.CLIENT and child.status.status_code is StatusCode.UNSET for child in children)
    asked = [child.attributes["unmirror.request_id"] for child in children if child.attributes]
    assert report.look is not None
    assert asked == [*report.look.request_ids, *report.gone_request_ids.values(), *report.detachments[0].request_ids]
    assert whole.parent is None
    assert whole.attributes == {
        "unmirror.delivery_id": report.delivery_id,
        "unmirror.envelope": "cts",
        "unmirror.outcome": "detached",
        "unmirror.project_id": PROJECT_ID,
        "unmirror.api_calls": 3,
    }
    for child in children:
        assert (whole.start_time or 0) <= (child.start_time or 0) <= (child.end_time or 0) <= (whole.end_time or 0)


@pytest.mark.parametrize("payload", ["a batch", "a sweep"])
def test_calls_of_other_threads_are_children_too(payload: str, watched: Watched, tenant: Tenant) -> None:
    gone = [delete(tenant, name) for name in ("web-1", "api-1", "db-1")]
    batch = [cloud_event(trace(id_)) for id_ in gone]
    report = watched.service.handle(batch if payload == "a batch" else SWEEP)
    _, children = watched.spans()
    assert len(children) == report.api_calls > 4


def test_the_senders_span_is_the_parent_and_the_log_names_ours(watched: Watched, tenant: Tenant) -> None:
    with telemetry.traced(PARENT):
        watched.service.handle(deleted(delete(tenant)))
        named = telemetry.trace()
    whole, children = watched.spans()
    assert whole.parent is not None
    assert (f"{whole.parent.trace_id:032x}", f"{whole.parent.span_id:016x}", whole.parent.is_remote) == (
        TRACE_ID,
        SPAN_ID,
        True,
    )
    assert named == telemetry.Trace(TRACE_ID, f"{whole.context.span_id:016x}", sampled=True)
    assert {child.context.trace_id for child in children} == {whole.context.trace_id}
    assert telemetry.trace() is None


def test_what_the_sender_does_not_sample_is_measured_all_the_same(watched: Watched, tenant: Tenant) -> None:
    with telemetry.traced(PARENT[:-1] + "0"):
        watched.service.handle(deleted(delete(tenant)))
    assert watched.exporter.get_finished_spans() == ()
    assert len(watched.points("unmirror.api.call.duration")) == 3


def test_a_span_says_what_went_wrong(watched: Watched, tenant: Tenant, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", status=500, times=-1))
    watched.service.handle(deleted(delete(tenant)))
    whole, children = watched.spans()
    assert (whole.status.status_code, (whole.attributes or {})["error.type"]) == (StatusCode.ERROR, "api-unavailable")
    assert {child.status.status_code for child in children} == {StatusCode.ERROR}
    with pytest.raises(BadEvent):
        watched.service.handle({"marked": 1})
    whole, children = watched.spans()
    assert ((whole.attributes or {})["error.type"], children) == ("bad-event", [])
    with pytest.raises(RuntimeError), watched.service.signals.delivery(None):
        raise RuntimeError("marked")
    broken, _ = watched.spans()
    assert (broken.attributes or {})["error.type"] == "RuntimeError"
    assert "marked" not in whole.to_json() + broken.to_json()


# --- when ------------------------------------------------------------------------------------------------------


OFF: Mapping[str, dict[str, str]] = {
    "nothing is set": {},
    "it is disabled": {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_SDK_DISABLED": "TRUE"},
    "neither is wanted": {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    "none, whatever the endpoint": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    },
}


@pytest.mark.parametrize("case", OFF)
def test_nobody_hears_unless_it_is_asked_for(case: str, caplog: pytest.LogCaptureFixture) -> None:
    assert type(signals.from_env(OFF[case])) is Signals
    assert caplog.records == []


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"OTEL_METRICS_EXPORTER": "prometheus"}, "OTEL_METRICS_EXPORTER"),
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ),
    ],
)
def test_what_cannot_be_had_is_said_and_stops_nothing(
    environ: dict[str, str], named: str, new_function: NewFunction, capsys: pytest.CaptureFixture[str]
) -> None:
    assert new_function(**environ).get().json["ready"]
    (line,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert (line["event"], line["level"]) == ("signals.unavailable", "warning")
    assert named in line["message"]


def test_without_the_extra_it_says_what_to_install(
    new_function: NewFunction, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "handler.observability.otel", None)
    assert new_function(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1").get().json["ready"]
    assert "pip install 'unmirror[otel]'" in json.loads(capsys.readouterr().out)["message"]


# --- over the wire -----------------------------------------------------------------------------------------------


class Collector(ThreadingHTTPServer):
    """A collector that keeps what it is sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Collecting)
        self.received: list[tuple[str, str | None, bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def sent(self, path: str) -> list[bytes]:
        return [body for to, _, body in self.received if to == path]


class _Collecting(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, self.headers["X-Key"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.usefixtures("nothing_at_exit")
def test_on_functiongraph_each_delivery_ends_with_an_export(
    emulator: Emulator, tenant: Tenant, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance is frozen after each event, and may never be woken again."""
    monkeypatch.setenv("RUNTIME_FUNC_NAME", "unmirror")
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret"}
    context = Context(settings_for(emulator, **asked), keys=(None, None, None))
    try:
        assert functiongraph.handler(deleted(delete(tenant)), context)["outcome"] == "detached"
        traces = [ExportTraceServiceRequest.FromString(body) for body in collector.sent("/v1/traces")]
        metrics = [ExportMetricsServiceRequest.FromString(body) for body in collector.sent("/v1/metrics")]
    finally:
        functiongraph._service.cache_clear()
    spans = [span.name for each in traces for span in each.resource_spans[0].scope_spans[0].spans]
    assert sorted(spans) == ["find_interface", "list_sessions", *["remove_sources"] * 3, "unmirror delivery"]
    (sent,) = metrics
    names = {metric.name for metric in sent.resource_metrics[0].scope_metrics[0].metrics}
    assert {"unmirror.deliveries", "unmirror.api.call.duration"} <= names
    resource = {each.key: each.value.string_value for each in sent.resource_metrics[0].resource.attributes}
    assert resource["service.name"] == "unmirror"
    assert resource["service.instance.id"]
    assert {key for _, key, _ in collector.received} == {"secret"}


@pytest.mark.usefixtures("nothing_at_exit")
def test_metrics_alone_can_be_asked_for(collector: Collector, emulator: Emulator, tenant: Tenant) -> None:
    asked = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.url}/own", "RUNTIME_PROJECT_ID": PROJECT_ID}
    service = Service.from_env(settings_for(emulator, **asked))
    service.handle(deleted(delete(tenant)))
    assert {path for path, _, _ in collector.received} == {"/own"}


@pytest.mark.usefixtures("nothing_at_exit")
def test_a_collector_that_is_away_fails_no_delivery(
    emulator: Emulator, tenant: Tenant, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "RUNTIME_PROJECT_ID": PROJECT_ID}
    service = Service.from_env(settings_for(emulator, **asked))
    assert service.handle(deleted(delete(tenant))).outcome == "detached"
