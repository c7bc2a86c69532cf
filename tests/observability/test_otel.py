"""Metrics and spans: what OpenTelemetry is told of deliveries, in memory and over the wire."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from unittest import mock

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanKind, StatusCode

from handler.errors import ApiUnavailable, BadEvent, StillExists, Unauthenticated
from handler.model import ApiCall, Kept, LostTarget, UnreadableSession
from handler.observability import settings
from handler.observability.instrumentation import Instrumentation
from handler.observability.trace_context import TraceContext
from handler.report import Report
from tests.support.reports import NOON, detachment, figures, proven, report, sweep
from tests.support.telemetry import Recorder

SENDER = TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


@pytest.fixture(autouse=True)
def _own_environment() -> Iterator[None]:
    """What a test puts into the process's environment does not stay."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def call(operation: Any = "list_sessions", status: int = 200, ended_at: datetime = NOON) -> ApiCall:
    return ApiCall(operation, status, "request-1" if status else "", 0.25, ended_at)


# --- metrics ---------------------------------------------------------------------------------------------------


def test_deliveries_are_counted_by_envelope_outcome_and_problem(recorder: Recorder) -> None:
    alive = report(kept=(Kept("eni-1", "still_exists", error=StillExists("it does")),))
    recorder.deliver(proven(), proven(), alive)
    recorder.otel.on_rejected(Unauthenticated("no"))
    recorder.otel.on_rejected(BadEvent("no", envelope="cts"))
    assert recorder.points("unmirror.deliveries") == {
        ("cts", "detached", "none"): 2,
        ("cts", "still_exists", "still-exists"): 1,
        ("unknown", "unauthenticated", "unauthenticated"): 1,
        ("cts", "bad-event", "bad-event"): 1,
    }
    assert recorder.points("unmirror.delivery.duration")["cts", "detached"] == (2, 0.5)


def test_detachments_are_counted_by_what_led_to_them_and_once(recorder: Recorder) -> None:
    several = detachment("s-2", "eni-1", "eni-2", coalesced=True)
    recorder.deliver(
        report(detachment("s-1", "eni-1", "eni-2"), several),
        sweep(detachment("s-3")),
        sweep(detachment("s-3"), coalesced=True),
        sweep(detachment("s-4", status="planned"), by="server", dry_run=True),
    )
    assert recorder.points("unmirror.detachments") == {
        ("event", "p-1", "detached"): 2,
        ("timer", "p-1", "detached"): 1,
        ("server", "p-1", "planned"): 1,
    }


def test_the_time_from_a_deletion_is_known_only_where_an_event_tells_it(recorder: Recorder) -> None:
    recorder.deliver(proven(), sweep(detachment()))
    assert recorder.points("unmirror.detachment.delay") == {("p-1",): (1, 4.25)}


def test_the_age_of_snapshots_tells_which_predate_their_delivery(recorder: Recorder) -> None:
    older = proven()
    assert older.snapshot is not None
    older.snapshot = older.snapshot._replace(age=20.0, predates_delivery=True)
    recorder.deliver(Report("many", "cloudevents-batch", parts=(older, proven(), older)))
    assert recorder.points("unmirror.snapshot.age") == {(False,): (1, 0.5), (True,): (2, 40.0)}


def test_a_sweep_tells_its_figures(recorder: Recorder) -> None:
    names = ("sources", "listed", "unlisted", "gone", "undecided", "protected", "detached")
    found = figures(sessions=8, emptied=("s-1",), **{name: number for number, name in enumerate(names, 20)})
    sessions = {
        "lost_targets": (LostTarget("s-2", "two", "eni-9", confirmed=True),) * 2,
        "unreadable_sessions": (UnreadableSession("s-3", "id: a text"),) * 3,
    }
    failed = sweep(sweep=None, failure=ApiUnavailable("no"))
    recorder.deliver(sweep(stop="limit"), sweep(sweep=found, **sessions), failed)
    assert recorder.points("unmirror.sweeps") == {("nothing_to_do", "p-1"): 1, ("stopped", "p-1"): 1}
    sources = {"seen": 20} | {name: number for number, name in enumerate(names[1:], 21)}
    assert recorder.points("unmirror.sweep.sources") == {("p-1", state): sources[state] for state in sources}
    found_sessions = {"seen": 8, "emptied": 1, "lost_target": 2, "unreadable": 3}
    assert recorder.points("unmirror.sweep.sessions") == {("p-1", state): n for state, n in found_sessions.items()}


def test_calls_are_measured_once_whoever_waits_for_them(recorder: Recorder) -> None:
    recorder.otel.on_call(call(), [SENDER, SENDER])
    recorder.otel.on_call(call(status=0), [])
    expected = {("list_sessions", status): (1, 0.25) for status in ("200", "none")}
    assert recorder.points("unmirror.api.call.duration") == expected


def test_abandoned_batches_are_counted(recorder: Recorder) -> None:
    recorder.otel.on_abandoned("p-1")
    assert recorder.points("unmirror.batches.abandoned") == {("p-1",): 1}


# --- spans -----------------------------------------------------------------------------------------------------


def test_a_delivery_is_a_span_and_a_child_of_its_senders(recorder: Recorder) -> None:
    with recorder.otel.delivery(SENDER) as ours:
        recorder.otel.on_finished(proven())
    (span,) = recorder.spans(SpanKind.CONSUMER)
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (SENDER.trace_id, SENDER.span_id)
    assert ours == TraceContext(SENDER.trace_id, f"{span.context.span_id:016x}", sampled=True)
    told = {"delivery_id": "event-1", "envelope": "cts", "outcome": "detached", "project_id": "p-1", "api_calls": 3}
    assert span.attributes == {f"unmirror.{name}": value for name, value in told.items()}


def test_a_call_is_a_child_of_the_first_delivery_and_linked_to_the_others(recorder: Recorder) -> None:
    with recorder.otel.delivery(None) as one, recorder.otel.delivery(None) as two:
        assert one is not None
        assert two is not None
        recorder.otel.on_call(call("find_interface", 404), [SENDER._replace(sampled=False), one, two])
    (span,) = recorder.spans(SpanKind.CLIENT)
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == one.span_id
    assert [f"{link.context.span_id:016x}" for link in span.links] == [two.span_id]
    assert (span.name, span.status.status_code) == ("find_interface", StatusCode.UNSET)
    assert span.attributes == {"http.response.status_code": 404, "unmirror.request_id": "request-1"}
    assert (span.start_time, span.end_time) == (_ns(NOON - timedelta(seconds=0.25)), _ns(NOON))


def _ns(moment: datetime) -> int:
    return int(moment.timestamp()) * 10**9 + moment.microsecond * 1000


def test_what_the_sender_does_not_sample_is_measured_all_the_same(recorder: Recorder) -> None:
    unsampled = SENDER._replace(sampled=False)
    recorder.deliver(proven(), parent=unsampled)
    recorder.otel.on_call(call(), [unsampled])
    assert recorder.exporter.get_finished_spans() == ()
    assert len(recorder.points("unmirror.api.call.duration")) == len(recorder.points("unmirror.deliveries")) == 1


def test_a_span_says_what_went_wrong_and_no_text_of_a_bug(recorder: Recorder) -> None:
    recorder.deliver(report(failure=ApiUnavailable("status 500")))
    recorder.otel.on_call(call(status=0), [SENDER])
    for error in (BadEvent("not JSON"), RuntimeError("marked")):
        with pytest.raises(type(error)), recorder.otel.delivery(None):
            raise error
    spans = recorder.exporter.get_finished_spans()
    kinds = [(span.attributes or {})["error.type"] for span in spans]
    assert kinds == ["api-unavailable", "none", "bad-event", "RuntimeError"]
    assert {span.status.status_code for span in spans} == {StatusCode.ERROR}
    assert all("marked" not in span.to_json() for span in spans)


# --- over the wire -----------------------------------------------------------------------------------------------


class Collector(BaseHTTPRequestHandler):
    """Keeps what it is sent."""

    url = ""
    received: ClassVar[list[tuple[str, str | None, bytes]]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.append((self.path, self.headers["X-Key"], body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def collector() -> Iterator[type[Collector]]:
    Collector.received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        Collector.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Collector
        server.shutdown()
        thread.join()


def deliver(told: Instrumentation) -> None:
    with told.delivery(None) as ours:
        assert ours is not None
        told.on_call(call(ended_at=datetime.now(UTC)), [ours])
        told.on_finished(proven())


@pytest.mark.usefixtures("nothing_at_exit")
def test_on_functiongraph_each_delivery_ends_with_an_export(collector: type[Collector]) -> None:
    """An instance is frozen after each event, and may never be woken again."""
    asked = {
        "RUNTIME_FUNC_NAME": "unmirror",
        "UNMIRROR_REGION": "eu-west-101",
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}/",
        "OTEL_EXPORTER_OTLP_HEADERS": "x-key=secret",
        "OTEL_RESOURCE_ATTRIBUTES": "cloud.account.id=account-1,service.name=another",
        "OTEL_SERVICE_NAME": "ours",
    }
    deliver(settings.from_env(asked))
    sent = {path: body for path, _, body in collector.received}
    traces = ExportTraceServiceRequest.FromString(sent["/v1/traces"])
    metrics = ExportMetricsServiceRequest.FromString(sent["/v1/metrics"])
    spans = {span.name for span in traces.resource_spans[0].scope_spans[0].spans}
    assert spans == {"list_sessions", "unmirror delivery"}
    names = {metric.name for metric in metrics.resource_metrics[0].scope_metrics[0].metrics}
    assert {"unmirror.deliveries", "unmirror.api.call.duration"} <= names
    resource = {each.key: each.value.string_value for each in metrics.resource_metrics[0].resource.attributes}
    told = {"service.name": "ours", "cloud.region": "eu-west-101", "cloud.account.id": "account-1"}
    assert resource.items() >= told.items()
    assert resource["service.instance.id"]
    assert {key for _, key, _ in collector.received} == {"secret"}


@pytest.mark.usefixtures("nothing_at_exit")
def test_metrics_alone_can_be_asked_for(collector: type[Collector]) -> None:
    asked = {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": f"{collector.url}/own", "RUNTIME_PROJECT_ID": "p-1"}
    told = settings.from_env(asked)
    with told.delivery(SENDER) as span:
        assert span == SENDER
        told.on_finished(proven())
    assert {path for path, _, _ in collector.received} == {"/own"}
    metrics = ExportMetricsServiceRequest.FromString(collector.received[0][2])
    assert 'string_value: "unmirror"' in str(metrics.resource_metrics[0].resource)


@pytest.mark.usefixtures("nothing_at_exit")
def test_a_signals_own_headers_go_before_the_common_ones_and_blanks_say_nothing(
    collector: type[Collector], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "x-key=of traces")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", " ")
    common = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"{collector.url}\n", "OTEL_EXPORTER_OTLP_HEADERS": "x-key=common"}
    deliver(settings.from_env({"RUNTIME_FUNC_NAME": "unmirror", **os.environ, **common}))
    assert {path: key for path, key, _ in collector.received} == {"/v1/traces": "of traces", "/v1/metrics": "common"}


@pytest.mark.usefixtures("nothing_at_exit")
def test_a_collector_that_is_away_fails_no_delivery(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    deliver(settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9", "RUNTIME_FUNC_NAME": "u"}))
