"""Trace context: what is read of a sender's trace, and which one log lines name."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from handler.observability.trace_context import TraceContext, current_trace, trace_scope

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE_ID, SPAN_ID = PARENT.split("-")[1:3]
SENDER, OURS = TraceContext(TRACE_ID, SPAN_ID, sampled=True), TraceContext(TRACE_ID, "1" * 16)


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


def test_an_extension_is_read_of_cloudevents_only() -> None:
    assert TraceContext.of_event({"specversion": "1.0", "traceparent": PARENT}) == SENDER
    for other in ({"traceparent": PARENT}, [PARENT], PARENT, None, {"specversion": "1.0"}):
        assert TraceContext.of_event(other) is None


def test_a_scope_names_its_trace_until_it_ends_and_in_its_own_thread_only() -> None:
    with trace_scope(SENDER), ThreadPoolExecutor() as another:
        assert another.submit(current_trace.get).result() is None
        with trace_scope(None):
            assert current_trace.get() is None
        assert current_trace.get() == SENDER
        current_trace.set(OURS)
        assert current_trace.get() == OURS
    assert current_trace.get() is None
