"""One call over a real socket: its tries and pauses, its deadline, its limits, and who hears of it."""

from __future__ import annotations

from typing import Any

import pytest

from handler import __version__
from handler.deadline import Clock, Deadline
from handler.emulator.operations import Fault
from handler.errors import (
    ApiThrottled,
    ApiUnavailable,
    BadReply,
    DeadlineExceeded,
    Interrupted,
    OutcomeUnknown,
    UnmirrorError,
)
from handler.model import ApiCall
from tests.support.vpc_clients import EMPTY, KEY, PROJECT, NewRegion, VpcRegion, session
from tests.support.wire import said, wire

OTHER = "1e2d3c4b5a69788796a5b4c3d2e1f00f"


# --- tries ----------------------------------------------------------------------------------------------------


def test_trouble_that_may_pass_is_tried_again_with_growing_pauses(region: VpcRegion) -> None:
    region.emulator.faults.append(Fault(status=503, times=3))
    assert region.list(attempts=4) == []
    assert region.slept == [0.4, 0.8, 1.6]
    assert [call.status for call in region.calls] == [503, 503, 503, 200]


def test_a_worker_tries_once_and_does_not_sleep(region: VpcRegion) -> None:
    region.emulator.faults.append(Fault(status=503, headers={"Retry-After": "3"}))
    with pytest.raises(ApiUnavailable) as caught:
        region.list()
    assert (caught.value.retry_after, region.slept, len(region.operations)) == (3.0, [], 1)


def test_the_pauses_are_spread_by_chance(region: VpcRegion) -> None:
    region.emulator.faults.append(Fault(times=2))
    draws = iter([0.5, 0.25])
    region.list(region.client(jitter=lambda: next(draws)), attempts=4)
    assert region.slept == [0.2, 0.2]


def test_the_last_try_says_what_the_api_said(region: VpcRegion) -> None:
    said_so = Fault(status=502, body=b'{"error_code":"APIGW.0201"}', times=-1, headers={"Retry-After": "3"})
    region.emulator.faults.append(said_so)
    with pytest.raises(ApiUnavailable, match=r"list sessions fails \(status 502 APIGW\.0201\)") as caught:
        region.list(attempts=4)
    assert (caught.value.request_id, caught.value.retry_after) == (f"{4:032x}", 3.0)
    assert region.slept == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("kind", ["reset", "lost", "truncate"])
def test_a_lost_answer_to_a_read_is_tried_again(region: VpcRegion, kind: Any) -> None:
    region.emulator.faults.append(Fault("list_sessions", kind, times=2))
    assert region.list(attempts=3) == []
    assert len(region.operations) == 3


@pytest.mark.parametrize(("kind", "left"), [("reset", ("a",)), ("lost", ()), ("truncate", ())])
@pytest.mark.parametrize("reused", [False, True])
def test_a_lost_answer_to_a_removal_leaves_the_outcome_open(
    region: VpcRegion, kind: Any, left: tuple[str, ...], reused: bool
) -> None:
    """It is not sent again unseen, on no connection: whoever asked reads the session."""
    made, client = region.cloud.add_session(PROJECT, sources=["a"]), region.client()
    if reused:
        region.list(client)
    region.emulator.faults.append(Fault("remove_sources", kind))
    with pytest.raises(OutcomeUnknown):
        region.api(client, attempts=4).remove_sources(session(made, "a"), ["a"], region.deadline())
    assert region.operations.count("remove_sources") == 1
    assert region.cloud.sources(PROJECT)[made] == left


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"HTTP/1.1 103 Early Hints\r\n\r\n", OutcomeUnknown),
        (said("200 OK", b"<html>"), BadReply),
        (said("202 Accepted", b"{}"), BadReply),
    ],
)
def test_a_removal_whose_answer_is_none_is_not_sent_again(
    region: VpcRegion, data: bytes, error: type[UnmirrorError]
) -> None:
    with wire([data]) as served:
        api = region.api(region.client(served.url), attempts=4)
        with pytest.raises(error):
            api.remove_sources(session("s", "a"), ["a"], region.deadline())
        assert len(served.heads) == 1


def test_where_nothing_listens_a_removal_is_tried_again_because_it_was_never_sent(region: VpcRegion) -> None:
    api = region.api(region.client("http://127.0.0.1:9"), attempts=4)
    with pytest.raises(ApiUnavailable, match=r"the connection is refused.*UNMIRROR_REGION") as caught:
        api.remove_sources(session("s", "a"), ["a"], region.deadline())
    assert not isinstance(caught.value, OutcomeUnknown)
    assert len(region.slept) == 3


def test_each_try_is_signed_anew(region: VpcRegion) -> None:
    with wire([said("503 Unavailable", b""), said("200 OK", EMPTY)]) as served:
        region.list(region.client(served.url, jitter=lambda: 5.0), attempts=2)
        assert served.header("x-sdk-date", 0) != served.header("x-sdk-date", 1)
        assert served.header("authorization", 0) != served.header("authorization", 1)


def test_a_request_says_who_asks_and_carries_nothing_that_was_not_meant(
    region: VpcRegion, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No cookie that the server has set, and nothing of a `.netrc`."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with wire([said("200 OK", EMPTY, "Set-Cookie: a=b")]) as served:
        client = region.client(served.url)
        for _ in range(2):
            region.list(client)
            assert served.header("user-agent") == f"unmirror/{__version__}"
            assert served.header("cookie") is None
            assert served.header("x-project-id") == PROJECT
            assert (served.header("authorization") or "").startswith("SDK-HMAC-SHA256 ")
            assert "user-agent" not in (served.header("authorization") or "")
        assert served.connections == 1


# --- who hears of it --------------------------------------------------------------------------------------------


def test_each_call_is_told_once_when_it_has_ended(region: VpcRegion) -> None:
    region.emulator.faults += [Fault(status=503), Fault(kind="reset"), Fault(status=200, body=b"<html>")]
    with pytest.raises(BadReply):
        region.list(attempts=2)
    region.api().find_interface("i", region.deadline())
    ids = [call.request_id for call in region.calls]
    assert [(call.operation, call.status) for call in region.calls] == [
        ("list_sessions", 503),
        ("list_sessions", 0),
        ("list_sessions", 200),
        ("find_interface", 404),
    ]
    assert ids[1] == ""
    assert len(set(ids)) == 4
    assert region.calls[-1] == ApiCall("find_interface", 404, ids[-1], 0.0, region.time.now())


# --- the deadline -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hang", "drip"])
def test_an_api_that_hangs_or_drips_ends_with_the_deadline(new_region: NewRegion, kind: Any) -> None:
    region, clock = new_region(keys=None), Clock()
    region.emulator.faults.append(Fault(kind=kind, times=-1))
    began = clock.monotonic()
    with pytest.raises(ApiUnavailable):
        region.api(region.client(clock=clock), attempts=4).list_sessions(Deadline.within(0.3, clock.monotonic))
    assert clock.monotonic() - began < 30
    region.emulator.clear_faults()


def test_no_call_begins_when_no_time_is_left_and_none_is_told(region: VpcRegion) -> None:
    with pytest.raises(DeadlineExceeded):
        region.api().list_sessions(region.deadline(0))
    region.time.cancellation.cancel()
    with pytest.raises(Interrupted):
        region.api().list_sessions(region.deadline())
    assert (region.operations, region.calls) == ([], [])


def test_a_pause_that_would_pass_the_deadline_is_not_begun(region: VpcRegion) -> None:
    region.emulator.faults.append(Fault(status=503, headers={"Retry-After": "30"}))
    with pytest.raises(ApiUnavailable) as caught:
        region.list(attempts=4)
    assert (caught.value.retry_after, region.slept, len(region.operations)) == (30.0, [], 1)


# --- the rate limit ---------------------------------------------------------------------------------------------


def test_a_429_is_waited_out_as_long_as_the_api_asks(region: VpcRegion) -> None:
    region.emulator.faults.append(Fault(status=429, headers={"Retry-After": "4"}))
    region.list(attempts=2)
    assert region.time.monotonic() >= 1004.0


def test_a_429_slows_every_key_of_the_project_and_no_other_project(region: VpcRegion) -> None:
    client = region.client()
    region.emulator.faults.append(Fault(status=429, headers={"Retry-After": "8"}, times=-1))
    with pytest.raises(ApiThrottled) as caught:
        region.list(client)
    assert caught.value.retry_after == 8.0
    region.emulator.clear_faults()
    with pytest.raises(ApiThrottled) as caught:
        region.api(client, KEY).show_session(session(), region.deadline(1))
    assert 7.0 <= (caught.value.retry_after or 0) <= 8.0
    assert len(region.operations) == 1
    assert client.api(OTHER).list_sessions(region.deadline(1)).sessions == ()
