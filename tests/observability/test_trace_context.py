"""Trace context: what is read of a sender's trace, and which one log lines name."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from handler import functiongraph
from handler.errors import NotConfigured
from handler.observability.trace_context import TraceContext, current_trace
from tests.support.function import Function
from tests.support.functiongraph import Context
from tests.support.tenant import timer

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID, SPAN_ID = PARENT.split("-")[1:3]
SENDER = TraceContext(TRACE_ID, SPAN_ID, sampled=True)


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_a_traceparent_is_read(flags: str, sampled: bool) -> None:
    assert TraceContext.parse(f"{PARENT[:-2]}{flags}") == TraceContext(TRACE_ID, SPAN_ID, sampled)


@pytest.mark.parametrize(
    "traceparent",
    [
        *(PARENT.upper(), PARENT + "-00", PARENT[:-1], f" {PARENT}", "01" + PARENT[2:], "ff" + PARENT[2:], "", "00"),
        *(f"00-{'0' * 32}-{SPAN_ID}-01", f"00-{TRACE_ID}-{'0' * 16}-01", PARENT.replace("-", "_"), f"{PARENT}\n"),
        *(None, 1, [PARENT], PARENT.replace("4", "\u0664")),
    ],
)
def test_what_is_no_traceparent_is_none(traceparent: object) -> None:
    assert TraceContext.parse(traceparent) is None
    assert TraceContext.of_event({"specversion": "1.0", "traceparent": traceparent}) is None


def test_an_extension_is_read_of_cloudevents_and_a_header_of_a_gateways_requests() -> None:
    assert TraceContext.of_event({"specversion": "1.0", "traceparent": PARENT}) == SENDER
    assert TraceContext.of_event({"requestContext": {}, "headers": {"Traceparent": PARENT}}) == SENDER
    for other in (
        *({"traceparent": PARENT}, [PARENT], PARENT, None, {"specversion": "1.0"}),
        *({"headers": {"traceparent": PARENT}}, {"requestContext": {}, "headers": [PARENT]}),
    ):
        assert TraceContext.of_event(other) is None


def test_each_line_names_the_trace_of_its_own_delivery(function: Function, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of one that is refused before it is read, and none where the sender has none."""
    capsys.readouterr()
    for headers, expected in (({}, None), ({"traceparent": PARENT}, TRACE_ID), ({}, None)):
        for body, method in ((timer(), "POST"), (b"not JSON", "POST"), (b" " * 300_000, "POST"), (b"", "PUT")):
            function.post(body, headers, method=method)
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line.get("trace_id") for line in lines] == [expected] * 4
    current_trace.set(SENDER)
    for event, expected in (({}, None), ({"specversion": "1.0", "traceparent": PARENT}, TRACE_ID)):
        with suppress(NotConfigured):
            functiongraph.handler(event, Context({}, ("half a key", None, None)))
        assert json.loads(capsys.readouterr().out).get("trace_id") == expected
    functiongraph._service.cache_clear()


def test_other_threads_name_no_trace_of_this_one() -> None:
    current_trace.set(SENDER)
    with ThreadPoolExecutor() as another:
        assert another.submit(current_trace.get).result() is None
