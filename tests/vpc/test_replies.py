"""What answers mean: each row of the table by itself, and the shapes in which codes, ids and waits come."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.deadline import Instant
from handler.errors import (
    ApiRefused,
    ApiThrottled,
    ApiUnavailable,
    BadReply,
    KeyCoolingDown,
    RemovalRejected,
    UnmirrorError,
)
from handler.model import Operation
from handler.vpc.replies import NotAccepted, NotPublished, Reply, meaning

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)
SENT, SECONDS = Instant(1000.0, NOW), 2.0
OPERATIONS: tuple[Operation, ...] = get_args(Operation)


def reply(status: int = 404, body: object = None, **headers: str) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Reply(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw, SENT, SECONDS)


@pytest.mark.parametrize(
    ("operation", "status", "code", "expected"),
    [
        # the meanings of a 404
        ("find_interface", 404, "APIGW.0101", NotPublished),
        ("show_session", 404, "APIG.0101", NotPublished),
        ("next_sessions", 404, "VPC.2801", None),
        ("show_session", 404, "VPC.2803", None),
        ("find_interface", 404, "VPC.2502", None),
        ("find_interface", 404, "PortNotFound", None),
        ("find_interface", 404, "VPC.2204", ApiRefused),
        # and what a 404 is not
        ("find_interface", 404, "", BadReply),
        ("find_interface", 404, "ApiNotFound", NotPublished),
        ("find_interface", 404, "APIGW.0103", BadReply),
        ("list_sessions", 404, "VPC.2801", BadReply),
        ("list_interfaces", 404, "VPC.2502", None),
        ("list_interfaces", 404, "VPC.2204", ApiRefused),
        ("remove_sources", 404, "VPC.2803", RemovalRejected),
        ("remove_sources", 404, "", BadReply),
        # a page
        ("next_sessions", 400, "VPC.2801", None),
        ("list_sessions", 400, "VPC.2801", NotAccepted),
        # a removal that is not accepted as a whole
        ("remove_sources", 400, "VPC.2802", RemovalRejected),
        ("remove_sources", 409, "VPC.2802", RemovalRejected),
        ("remove_sources", 409, "VPC.0103", ApiUnavailable),
        ("remove_sources", 400, "APIGW.0201", NotAccepted),
        ("remove_sources", 400, "VPC.0007", ApiRefused),
        # who may
        ("list_sessions", 401, "APIGW.0301", KeyCoolingDown),
        ("list_sessions", 401, "VPC.0008", KeyCoolingDown),
        ("list_sessions", 401, "", KeyCoolingDown),
        ("list_sessions", 401, "VPC.0005", ApiRefused),
        ("list_sessions", 401, "VPC.0009", ApiRefused),
        ("list_sessions", 403, "VPC.2201", ApiRefused),
        ("remove_sources", 403, "APIGW.0302", ApiRefused),
        # too much, and trouble that may pass
        ("list_sessions", 429, "APIGW.0308", ApiThrottled),
        ("list_sessions", 429, "", ApiThrottled),
        ("list_sessions", 403, "APIG.0308", ApiThrottled),
        ("list_sessions", 408, "", ApiUnavailable),
        ("list_sessions", 500, "VPC.2502", ApiUnavailable),
        ("list_sessions", 502, "", ApiUnavailable),
        ("list_sessions", 503, "APIGW.0613", ApiUnavailable),
        ("list_sessions", 504, "APIGW.0201", ApiUnavailable),
        # what cannot be asked for so
        ("list_sessions", 405, "APIGW.0501", NotAccepted),
        ("list_interfaces", 414, "APIGW.0201", NotAccepted),
        # what the API does not document
        ("list_sessions", 302, "", BadReply),
        ("remove_sources", 202, "", BadReply),
        ("list_sessions", 418, "VPC.0001", BadReply),
        ("list_sessions", 400, "", BadReply),
    ],
)
def test_what_an_answer_means(
    operation: Operation, status: int, code: str, expected: type[UnmirrorError] | None
) -> None:
    assert meaning(operation, status, code) == expected


@given(
    st.sampled_from(OPERATIONS),
    st.integers(100, 599),
    st.from_regex(r"(VPC|APIGW|APIG|IAM)\.[0-9]{4}", fullmatch=True) | st.text(max_size=12),
)
def test_gone_is_never_concluded_from_anything_but_the_vpc_apis_own_404(
    operation: Operation, status: int, code: str
) -> None:
    """A page that starts after a deleted session says so by the same status, and by a 400."""
    if meaning(operation, status, code) is None and status != 200:
        assert status == 404 or (operation, status) == ("next_sessions", 400)
        assert code == "PortNotFound" or (code.startswith("VPC.") and code != "VPC.2204")
        assert operation in ("show_session", "find_interface", "list_interfaces", "next_sessions")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"error_code": "VPC.2803", "error_msg": "no such session", "request_id": "r"}, "VPC.2803"),
        ({"errorCode": "VPC.2803", "errorMsg": "no such session"}, "VPC.2803"),
        ({"code": "VPC.2502", "message": "Port not found"}, "VPC.2502"),
        ({"NeutronError": {"type": "PortNotFound", "message": "none", "detail": ""}}, "PortNotFound"),
        ({"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}}, "401"),
        ({"error_code": "a code with spaces"}, ""),
        ({"error_code": "x" * 65}, ""),
        ({"error_code": None, "code": "VPC.0002"}, "VPC.0002"),
        ({"NeutronError": "text"}, ""),
        ({"message": "API not found"}, "ApiNotFound"),
        ({"message": "API not found", "more": 1}, ""),
        (["VPC.2502"], ""),
        ("VPC.2502", ""),
        (None, ""),
        (b"<html>VPC.2502</html>", ""),
        (b"", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_the_code_is_found_in_every_shape_of_an_error(body: object, code: str) -> None:
    assert reply(body=body).code == code


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ("from-header", {"request_id": "from-body"}, "from-header"),
        (None, {"request_id": "from-body"}, "from-body"),
        (None, {"request_id": 7}, ""),
        (None, [], ""),
        (None, b"<html>", ""),
        ("a\r\nb<script>", {}, "abscript"),
        ("x" * 500, {}, "x" * 128),
    ],
)
def test_the_request_id_is_of_the_header_or_else_of_the_body(header: str | None, body: object, expected: str) -> None:
    headers = {} if header is None else {"x_request_id": header}
    assert reply(200, body, **headers).request_id == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("7", 7), ("0", 0), (" 120 ", 120), ("999", 300)),
        *(("Fri, 01 May 2026 12:00:30 GMT", 30), ("Fri, 01 May 2026 11:00:00 GMT", 0)),
        *((text, None) for text in ("", "soon", "-5", "1.5", "\u0663")),
    ],
)
def test_the_wait_that_is_asked_for_comes_in_seconds_or_as_a_moment(text: str, seconds: float | None) -> None:
    assert reply(retry_after=text).retry_after == seconds


def test_a_moment_to_wait_for_is_read_by_the_clouds_clock_not_ours() -> None:
    late = reply(date="Fri, 01 May 2026 13:00:00 GMT", retry_after="Fri, 01 May 2026 13:00:10 GMT")
    assert late.retry_after == 10.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Fri, 01 May 2026 12:00:00 GMT", NOW),
        ("Fri, 01 May 2026 14:00:00 +0200", NOW),
        ("Fri, 01 May 2026 12:00:00 -0000", NOW),
        ("yesterday", None),
        ("", None),
        ("Fri, 99 May 2026 12:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None),
    ],
)
def test_the_clouds_clock_is_read_in_utc_or_not_at_all(text: str, expected: datetime | None) -> None:
    assert reply(date=text).date == expected


@pytest.mark.parametrize(
    ("date", "expected"),
    [
        ("Fri, 01 May 2026 11:59:30 GMT", NOW - timedelta(seconds=32)),
        ("Fri, 01 May 2026 12:00:30 GMT", NOW),  # theirs is ahead
        ("Fri, 01 May 2026 14:00:00 GMT", NOW),
        ("Fri, 01 May 2026 10:00:00 GMT", NOW - timedelta(hours=2, seconds=2)),  # ours is ahead
        ("", NOW - timedelta(minutes=15)),
    ],
)
def test_an_answer_is_never_taken_for_newer_than_it_is(date: str, expected: datetime) -> None:
    """Sent at noon by our clock, answered 2 s later."""
    assert reply(200, {}, date=date).earliest == expected


@given(st.text(max_size=60))
def test_no_header_raises(text: str) -> None:
    odd = reply(date=text, retry_after=text, x_request_id=text)
    assert odd.date is None or odd.date.tzinfo is UTC
    assert 0 <= (odd.retry_after or 0) <= 300
    assert len(odd.request_id) <= 128
