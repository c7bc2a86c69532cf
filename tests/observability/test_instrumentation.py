"""Whether anything is measured and traced at all: what the environment asks for, and what can be had."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from handler.errors import ApiUnavailable, UnmirrorError
from handler.model import ApiCall
from handler.observability import logs, settings
from handler.observability.instrumentation import Instrumentation
from handler.observability.trace_context import TraceContext
from tests.support.lines import check_line
from tests.support.reports import report
from tests.support.telemetry import Recorder

COLLECTOR = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
NEITHER = {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"}
SECRET = "key with spaces, and no equals sign"


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What is logged."""
    monkeypatch.setattr(logs.log, "handlers", [])
    logs.configure()
    return lambda: capsys.readouterr().out


@pytest.mark.parametrize("asked", [{}, NEITHER, COLLECTOR | NEITHER, COLLECTOR | {"OTEL_SDK_DISABLED": "TRUE"}])
def test_nothing_is_measured_unless_it_is_asked_for(asked: dict[str, str], log: Callable[[], str]) -> None:
    assert type(settings.from_env(asked)) is Instrumentation
    assert log() == ""


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRICS_EXPORTER", "prometheus"),
        ("OTEL_TRACES_EXPORTER", "console"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", SECRET),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", f"x-key=1,{SECRET}"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-key=no\u00e4scii equals"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-key=equals%0D%0Awrapped"),
    ],
)
def test_what_cannot_be_had_is_named_without_its_value(name: str, value: str, log: Callable[[], str]) -> None:
    assert type(settings.from_env(COLLECTOR | {name: value})) is Instrumentation
    line = check_line(log())
    assert (line["event"], line["message"].endswith(f" unset {name}")) == ("instrumentation.unavailable", True)
    assert "equals" not in json.dumps(line)


def test_what_the_sdk_does_not_accept_stops_nothing(monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "-1")
    assert type(settings.from_env(os.environ | COLLECTOR)) is Instrumentation
    line = check_line(log())
    assert (line["event"], line["message"]) == ("instrumentation.unavailable", settings.HOW_TO_SET)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, log: Callable[[], str]) -> None:
    """And headers in their usual forms are none that cannot be had."""
    monkeypatch.setitem(sys.modules, "handler.observability.otel", None)
    usual = [{"OTEL_EXPORTER_OTLP_HEADERS": headers} for headers in ("", "x-key=1", " x-key = a b%20c ,, y=\t")]
    of_none = {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc"}
    for environ in (*usual, of_none):
        assert type(settings.from_env(COLLECTOR | environ)) is Instrumentation
        assert "pip install 'unmirror[otel]'" in check_line(log())["message"]


def test_without_any_a_delivery_keeps_its_senders_trace() -> None:
    nothing, sender = Instrumentation(), TraceContext("1" * 32, "2" * 16, sampled=True)
    with nothing.delivery(sender) as span:
        assert span == sender
        nothing.on_call(ApiCall("list_sessions", 200, "", 0.1, datetime.now(UTC)), [sender])
        nothing.on_finished(report())
    nothing.on_abandoned("p-1")


def test_a_known_error_is_answered_as_it_is_and_a_defect_as_one_that_tells_nothing() -> None:
    recorder, known = Recorder(), ApiUnavailable("away")
    for told in (Instrumentation(), recorder.otel):
        assert told.on_rejected(known) is known
        defect = told.on_rejected(RuntimeError("marked"))
        assert type(defect) is UnmirrorError
        assert "marked" not in str(defect)
    assert recorder.points("unmirror.deliveries") == {
        ("unknown", "api-unavailable", "api-unavailable"): 1,
        ("unknown", "internal-error", "internal-error"): 1,
    }
