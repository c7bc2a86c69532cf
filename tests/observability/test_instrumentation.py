"""Whether anything is measured and traced at all: what the environment asks for, and what can be had."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

import pytest

from handler.errors import BadEvent
from handler.model import ApiCall
from handler.observability import logs, settings
from handler.observability.instrumentation import Instrumentation
from handler.observability.trace_context import TraceContext
from tests.support.lines import check_line
from tests.support.reports import report

COLLECTOR = "http://127.0.0.1:1"
NOT_ASKED_FOR = {
    "nothing is set": {},
    "it is disabled": {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, "OTEL_SDK_DISABLED": "TRUE"},
    "neither is wanted": {"OTEL_TRACES_EXPORTER": "none", "OTEL_METRICS_EXPORTER": "none"},
    "none, whatever the endpoint": {
        "OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR,
        "OTEL_TRACES_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
    },
}
SECRET = "key with spaces, and no equals sign"
UNAVAILABLE = {
    "OTEL_METRICS_EXPORTER": {"OTEL_METRICS_EXPORTER": "prometheus"},
    "OTEL_TRACES_EXPORTER": {"OTEL_TRACES_EXPORTER": "console"},
    "OTEL_EXPORTER_OTLP_PROTOCOL": {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    "OTEL_EXPORTER_OTLP_HEADERS": {"OTEL_EXPORTER_OTLP_HEADERS": SECRET},
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS": {"OTEL_EXPORTER_OTLP_TRACES_HEADERS": f"x-key=1,{SECRET}"},
}


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Log lines are written."""
    monkeypatch.setattr(logs.log, "handlers", [])
    logs.configure()


@pytest.mark.parametrize("case", NOT_ASKED_FOR)
@pytest.mark.usefixtures("logged")
def test_nothing_is_measured_unless_it_is_asked_for(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert type(settings.from_env(NOT_ASKED_FOR[case])) is Instrumentation
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("name", UNAVAILABLE)
@pytest.mark.usefixtures("logged")
def test_what_cannot_be_had_is_named_without_its_value(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    asked = {"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR, **UNAVAILABLE[name]}
    assert type(settings.from_env(asked)) is Instrumentation
    line = check_line(capsys.readouterr().out)
    assert line["event"] == "instrumentation.unavailable"
    assert line["message"].endswith(f" unset {name}")
    assert "equals" not in json.dumps(line)


@pytest.mark.usefixtures("logged")
def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "handler.observability.otel", None)
    assert type(settings.from_env({"OTEL_EXPORTER_OTLP_ENDPOINT": COLLECTOR})) is Instrumentation
    assert "pip install 'unmirror[otel]'" in check_line(capsys.readouterr().out)["message"]


def test_without_any_a_delivery_keeps_its_senders_trace() -> None:
    nothing, sender = Instrumentation(), TraceContext("1" * 32, "2" * 16, sampled=True)
    with nothing.delivery(sender) as observer:
        assert observer.trace == sender
        nothing.on_call(ApiCall("list_sessions", 200, "", 0.1, datetime.now(UTC)), [sender])
        observer.on_finished(report())
    nothing.on_rejected(BadEvent("no"))
    nothing.on_abandoned("p-1")
