"""What a report and an error look like as HTTP, where the way through the function shows it less plainly."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import (
    ApiRefused,
    ApiThrottled,
    ApiUnavailable,
    Overloaded,
    StillExists,
    Unauthenticated,
    UnmirrorError,
)
from handler.model import Detachment, Kept, LostTarget, UnreadableSession
from handler.report import Report
from handler.web import responses
from tests.support.clock import NOON

IGNORED = Report("1", "cts", ignored="another operation")
DONE = Report("1", "cts", detachments=(Detachment("1", "web", ("a",), "detached"),))
LOST = Report("1", "cts", lost_targets=(LostTarget("1", "web", "a", confirmed=True),))
UNREADABLE = Report("1", "cts", unreadable_sessions=(UnreadableSession("1", "no sources"),))


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (IGNORED, 204),
        (Report("1", "cts", ignored="it is under way", pending=True), 204),
        (Report("1", "cts"), 204),
        (Report("1", "cloudevent", parts=(IGNORED, Report("2", "cts"))), 204),
        (DONE, 200),
        (LOST, 200),
        (UNREADABLE, 200),
        (Report("1", "cloudevent", parts=(IGNORED, UNREADABLE)), 200),
        (Report("1", "cloudevent", parts=(IGNORED, Report("1", "cloudevent", parts=(LOST, IGNORED)))), 200),
        (Report("1", "cloudevent", parts=(DONE, Report("2", "cts", failure=ApiUnavailable("away")))), 503),
    ],
)
def test_a_sender_of_cloudevents_gets_an_empty_answer_only_when_there_is_nothing_to_tell(
    report: Report, status: int
) -> None:
    response = responses.of_report(report, cloudevent_time=NOON)
    assert (response.status, response.body == b"") == (status, status == 204)
    assert ("ce-id" in response.headers) == (status == 200)
    assert responses.of_report(report).status in (200, 503)


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (ApiUnavailable("away"), "10"),
        (ApiThrottled("slow down", retry_after=0.2), "1"),
        (ApiThrottled("slow down", retry_after=77.0), "77"),
        (Overloaded("busy"), "1"),
        (Unauthenticated("who?"), None),
        (ApiRefused("no"), None),
    ],
    ids=lambda value: str(value),
)
def test_a_503_says_when_to_come_again(error: UnmirrorError, seconds: str | None) -> None:
    assert responses.of_error(error).headers.get("Retry-After") == seconds
    assert responses.of_report(Report("1", "cts", failure=error)).headers.get("Retry-After") == seconds


def test_a_report_says_the_longest_that_any_part_of_it_asks_for() -> None:
    kept = Kept("a", "still_exists", error=StillExists("it lives"))
    removals = (Detachment("1", "web", ("b",), "failed", error=ApiThrottled("slow down", retry_after=77.0)),)
    response = responses.of_report(Report("1", "cts", kept=(kept,), detachments=removals))
    assert response.headers["Retry-After"] == "77"
    soon = responses.of_report(Report("1", "cts", kept=(kept,), failure=Overloaded("busy")))
    assert soon.headers["Retry-After"] == "10"


@given(st.text(max_size=40) | st.sampled_from(["", "a b", "a\r\nX: y", "a\0", "\uff0e\uff0fa", '100 % "odd"']))
def test_an_id_in_a_header_is_visible_ascii_and_says_the_same(id_: str) -> None:
    id_ = id_.encode("utf-8", "replace").decode()
    value = responses.of_report(Report(id_, "cloudevent", detachments=DONE.detachments), cloudevent_time=NOON)
    assert re.fullmatch(r"[!-~]+", value.headers["ce-id"])
    assert unquote(value.headers["ce-id"]) == (id_ or "none")
