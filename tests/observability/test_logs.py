"""The log: every line as its schema has it, and the answers that somebody looks for in it at three in the morning."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias, get_args, get_type_hints

import pytest

from handler.emulator.sample import Tenant
from handler.errors import (
    ApiRefused,
    ApiUnavailable,
    BadEvent,
    DeadlineExceeded,
    Forbidden,
    Overloaded,
    StillExists,
    UnmirrorError,
    Violation,
)
from handler.model import CheckStep, Detachment, Kept, LostTarget, UnreadableSession
from handler.observability import logs
from handler.observability.instrumentation import Instrumentation
from handler.report import Outcome, Report
from tests.support.function import Function
from tests.support.lines import LEVELS, check_line
from tests.support.reports import detachment, proven, report, sweep
from tests.support.schemas import schema, violations
from tests.support.tenant import cts, delete, timer

Lines: TypeAlias = Callable[[], list[dict[str, Any]]]

REFUSED = ApiRefused("no permission", code="VPC.2201", request_id="refused-1")
AWAY = ApiUnavailable("status 503")
ALIVE = Kept("eni-2", "still_exists", error=StillExists("it still exists"))


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Lines:
    """What was logged since it was last asked, each line checked."""
    monkeypatch.setattr(logs.log, "handlers", [])
    logs.configure()
    return lambda: [check_line(line) for line in capsys.readouterr().out.splitlines()]


# --- the schema ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["report", "log"])
def test_a_schema_shows_examples_that_are_valid(name: str) -> None:
    assert schema(name)["$id"] == f"urn:unmirror:schema:{name}"
    assert [violations(name, example) for example in schema(name)["examples"]] == [[]] * len(schema(name)["examples"])


def kinds_of(error: type[UnmirrorError]) -> Iterator[type[UnmirrorError]]:
    yield error
    for kind in error.__subclasses__():
        yield from kinds_of(kind)


def test_the_schema_names_the_events_that_the_code_logs_and_no_others() -> None:
    code = "".join(path.read_text("utf-8") for path in Path(logs.__file__).parents[1].rglob("*.py"))
    logged = set(re.findall(r'\blog_event\(\s*[\w.]+,\s*"([^"]+)"', code))
    outcomes = {f"delivery.{outcome}" for outcome in get_args(Outcome)}
    rejections = {f"delivery.{kind.slug}" for kind in kinds_of(UnmirrorError)} - {"delivery.internal-error"}
    statuses = {f"interface.{status}" for status in get_args(get_type_hints(Detachment)["status"])}
    assert LEVELS.keys() == logged | outcomes | rejections | statuses | {"log"}


def test_the_schema_says_of_each_event_what_to_do() -> None:
    for event in schema("log")["properties"]["event"]["oneOf"]:
        assert " Do: " in event["description"]


# --- a delivery ------------------------------------------------------------------------------------------------


def batch(*parts: Report) -> Report:
    return Report("batch", "cloudevents-batch", parts=parts)


NOT_LEFT = detachment("s-2", status="failed", error=REFUSED)
LEVEL_OF = {
    "done": (report(detachment()), "delivery.detached", "info"),
    "planned": (report(detachment(status="planned"), dry_run=True), "delivery.planned", "info"),
    "nothing": (report(kept=(Kept("eni-1", "not_mirrored"),)), "delivery.nothing_to_do", "info"),
    "ignored": (Report("event-1", "cts", ignored="of something else"), "delivery.ignored", "info"),
    "pending": (Report("event-1", "cts", ignored="it follows", pending=True), "delivery.pending", "info"),
    "alive": (report(kept=(ALIVE,)), "delivery.still_exists", "warning"),
    "in part, and may pass": (report(detachment(), kept=(ALIVE,)), "delivery.partial", "warning"),
    "in part, and waits": (report(detachment(), NOT_LEFT), "delivery.partial", "error"),
    "a part waits": (batch(report(kept=(ALIVE,)), report(NOT_LEFT)), "delivery.still_exists", "error"),
    "a part is stopped": (batch(report(kept=(ALIVE,)), sweep(stop="limit")), "delivery.still_exists", "error"),
    "failed, and may pass": (report(failure=AWAY), "delivery.failed", "warning"),
    "stopped": (sweep(stop="limit"), "delivery.stopped", "error"),
    "stopped after a server event": (sweep(stop="blind", by="server", envelope="cts"), "delivery.stopped", "error"),
    "checked, and works": (report(check=(CheckStep("ports", "ok", "it may"),)), "delivery.checked", "info"),
    "checked, and fails": (report(check=(CheckStep("ports", "failed", "no"),)), "delivery.checked", "warning"),
}


@pytest.mark.parametrize("case", LEVEL_OF)
def test_a_level_says_whether_somebody_has_to_act(case: str, lines: Lines) -> None:
    told, event, level = LEVEL_OF[case]
    logs.log_report(told)
    line = lines()[0]
    assert (line["event"], line["level"], line["message"]) == (event, level, told.reason)


def test_a_delivery_names_its_interfaces_and_its_proofs(lines: Lines) -> None:
    logs.log_report(proven())
    line = lines()[0]
    assert (line["interface_ids"], line["request_ids"]) == (["eni-1"], ["page-1", "absent-1", "removed-1"])


def test_a_delivery_of_which_other_lines_do_not_tell_all_has_its_whole_report(lines: Lines) -> None:
    for told in (report(kept=(ALIVE,)), sweep(), batch(proven(), proven())):
        logs.log_report(told)
        assert lines()[0]["report"] == told.as_json


def test_a_delivery_that_did_nothing_says_only_why(lines: Lines) -> None:
    logs.log_report(report(kept=(Kept("eni-1", "protected", request_id="absent-1"),)))
    (line,) = lines()
    assert "report" not in line
    assert line["kept"] == [{"interface_id": "eni-1", "reason": "protected"}]
    assert (line["snapshot_time"], line["request_ids"]) == ("2026-03-01T12:00:00Z", ["page-1", "absent-1"])


def test_a_long_list_is_cut_wherever_it_is_and_says_by_how_much(lines: Lines) -> None:
    ids = [f"eni-{number}" for number in range(500)]
    kept = tuple(Kept(id_, "protected") for id_ in ids)
    logs.log_report(report(kept=kept))
    logs.log_report(Report("many", "timer", parts=tuple(sweep(emptied=tuple(ids)) for _ in range(102))))
    nothing, parts = lines()
    assert (len(nothing["interface_ids"]), len(nothing["kept"])) == (100, 100)
    assert nothing["left_out"] == {"interface_ids": 400, "kept": 400}
    assert parts["left_out"] == {"report.parts": 2, "report.parts.sweep.emptied": 100 * 400}


# --- its detachments and sessions ----------------------------------------------------------------------------------


def test_one_line_says_everything_about_a_detachment(lines: Lines) -> None:
    logs.log_report(proven())
    line = lines()[1]
    assert line.pop("time")
    assert line == {
        "level": "info",
        "event": "interface.detached",
        "message": "1 deleted interface(s) left the session",
        "delivery_id": "event-1",
        "project_id": "p-1",
        "envelope": "cts",
        "by": "event",
        "session_id": "s-1",
        "session_name": "name of s-1",
        "interface_ids": ["eni-1"],
        "sources_before": ["eni-1", "eni-2"],
        "sources_after": ["eni-2"],
        "proof": {"snapshot": ["page-1"], "gone": ["absent-1"], "removal": ["removed-1"]},
        "snapshot_time": "2026-03-01T12:00:00Z",
        "operation": "VPC deletePort",
        "actor": "terraform",
        "event_time": "2026-03-01T12:00:00Z",
        "seconds_after_deletion": 4.25,
    }


def test_what_could_not_leave_says_why(lines: Lines) -> None:
    late = DeadlineExceeded("no time left for: remove-sources")
    logs.log_report(report(NOT_LEFT, detachment(status="not_tried", error=late)))
    _, failed, not_tried = lines()
    assert (failed["event"], failed["level"], failed["problem"]["code"]) == ("interface.failed", "error", "VPC.2201")
    assert (not_tried["event"], not_tried["level"]) == ("interface.not_tried", "warning")


def test_what_several_deliveries_report_has_one_line(lines: Lines) -> None:
    lost = (LostTarget("s-1", "name", "eni-9", confirmed=True),)
    logs.log_report(report(detachment(coalesced=True), detachment("s-2")))
    logs.log_report(sweep(detachment(), emptied=("s-1",), lost_targets=lost, coalesced=True))
    assert [(line["event"], line.get("session_id")) for line in lines()] == [
        ("delivery.detached", None),
        ("interface.detached", "s-2"),
        ("delivery.detached", None),
    ]


def test_each_session_to_look_at_has_a_line_that_names_it(lines: Lines) -> None:
    lost = (LostTarget("s-2", "two", "eni-9", confirmed=True), LostTarget("s-3", "three", "lb-1", confirmed=False))
    unreadable = (UnreadableSession("s-4", "id: a text"), UnreadableSession("", "an object"))
    logs.log_report(sweep(detachment(), emptied=("s-1",), lost_targets=lost, unreadable_sessions=unreadable))
    found = lines()
    assert [(line["event"], line["level"], line.get("session_id")) for line in found[2:]] == [
        ("session.lost_target", "warning", "s-2"),
        ("session.lost_target", "warning", "s-3"),
        ("session.unreadable", "error", "s-4"),
        ("session.unreadable", "error", None),
        ("session.emptied", "warning", "s-1"),
    ]
    assert [line["confirmed"] for line in found if line["event"] == "session.lost_target"] == [True, False]
    assert all(line["project_id"] == "p-1" for line in found)


def test_a_dry_run_has_emptied_no_session(lines: Lines) -> None:
    logs.log_report(sweep(detachment(status="planned"), emptied=("s-1",), dry_run=True))
    assert [line["event"] for line in lines()] == ["delivery.planned", "interface.planned"]


# --- through the function ------------------------------------------------------------------------------------------


def test_every_line_of_a_delivery_is_as_the_schema_has_it_and_names_its_trace(
    hasty: Function, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = delete(tenant)
    parent = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    done = hasty.post(cts(gone), parent).report
    bodies = (cts(gone), cts(tenant.interfaces["web-1"]), timer(), b"not JSON")
    swept = [hasty.post(body, parent).json for body in bodies][2]
    found = [check_line(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["trace_id"] for line in found} == {"4bf92f3577b34da6a3ce929d0e0e4736"}
    assert [line["event"] for line in found] == [
        *("delivery.detached", *["interface.detached"] * 3),
        *("delivery.nothing_to_do", "delivery.still_exists", "delivery.nothing_to_do", "delivery.bad-event"),
    ]
    assert found[6]["report"] == swept
    (proof,) = {tuple(line["proof"]["gone"]) for line in found[1:4]}
    assert proof == tuple(each["request_id"] for each in done["gone"])


# --- what was not worked on ------------------------------------------------------------------------------------


def test_a_rejection_says_which_rule_and_no_value(lines: Lines) -> None:
    Instrumentation().on_rejected(BadEvent("against its schema", (Violation("$.id", "required: id"),), envelope="cts"))
    Instrumentation().on_rejected(Forbidden("another project"))
    Instrumentation().on_rejected(Overloaded("too many"))
    Instrumentation().on_rejected(REFUSED)
    bad, *others = lines()
    assert (bad["event"], bad["level"], bad["envelope"]) == ("delivery.bad-event", "warning", "cts")
    assert bad["problem"]["type"] == "urn:unmirror:problem:bad-event"
    assert bad["problem"]["violations"] == [{"path": "$.id", "rule": "required: id"}]
    assert [(line["event"], line["level"]) for line in others] == [
        ("delivery.forbidden", "warning"),
        ("delivery.overloaded", "warning"),
        ("delivery.api-refused", "error"),
    ]


def test_a_bug_has_one_line_with_its_place_and_without_its_text(lines: Lines) -> None:
    try:
        {}["the payload's secret"]
    except KeyError as bug:
        error = Instrumentation().on_unhandled(bug)
    Instrumentation().on_rejected(error)
    (line,) = lines()
    assert (line["event"], line["level"]) == ("unhandled_error", "critical")
    assert [place.partition(":")[0] for place in line["places"]] == ["test_logs.py"]
    assert "secret" not in str(line) + str(error)


# --- where it goes -----------------------------------------------------------------------------------------------


def test_lines_go_to_what_stdout_is_when_they_are_written(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure()  # once more changes nothing
    monkeypatch.setattr(sys, "stdout", later := io.StringIO())
    logs.log_event(logging.WARNING, "log", "a line")
    assert check_line(later.getvalue())["message"] == "a line"
    assert lines() == []


def test_no_text_can_begin_another_line_or_move_a_cursor(lines: Lines) -> None:
    evil = 'x\n{"event":"unhandled_error"}\x1b[2J\u2028\u202e%s'
    logs.log_report(report(Detachment("s-1", evil, ("eni-1",), "detached")))
    logs.log_event(logging.INFO, "log", evil)
    _, named, message = lines()
    assert (named["session_name"], message["message"]) == (evil, evil)


def test_what_others_log_by_our_logger_is_a_line_too(lines: Lines) -> None:
    logs.log.warning("something %s", "odd")
    logs.log.debug("not this")
    (line,) = lines()
    assert (line["event"], line["level"], line["message"]) == ("log", "warning", "something odd")


def test_a_reader_that_is_gone_fails_no_delivery(lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logs.log_report(proven())
