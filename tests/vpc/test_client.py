"""The client against the region, over a real socket: pages, strictness, deadlines, tries and manners."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from handler import __version__
from handler.emulator.server import Behaviour, Fault
from handler.errors import (
    ApiRefused,
    ApiThrottled,
    ApiUnavailable,
    BadReply,
    DeadlineExceeded,
    NotConfigured,
    OutcomeUnknown,
    RemovalRejected,
    UnmirrorError,
)
from handler.model import Deadline, Presence
from handler.settings import Settings
from handler.vpc.client import ProjectApi
from handler.vpc.transport import proxies_for
from tests.vpc.conftest import PROJECT, NewRegion, Region
from tests.vpc.wire import closing, dripping, said, wire

SESSIONS = f"/v3/{PROJECT}/vpc/traffic-mirror-sessions"
OTHER = "1e2d3c4b5a69788796a5b4c3d2e1f00f"
EMPTY = b'{"traffic_mirror_sessions":[],"page_info":{"previous_marker":"","current_count":0}}'


def session(id_: str = "s", **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": "n", "traffic_mirror_sources": ["a"], "type": "eni", "enabled": True, **more}


def page(*sessions: Any, **info: Any) -> bytes:
    return json.dumps({"traffic_mirror_sessions": sessions, "page_info": info}).encode()


def answer(body: bytes, status: int = 200, **fault: Any) -> Fault:
    return Fault(kind="answer", status=status, body=body, **fault)


# --- pages ------------------------------------------------------------------------------------------------


def test_all_pages_are_read_whatever_number_the_api_gives_at_a_time(new_region: NewRegion) -> None:
    region = new_region(page_cap=3)
    made = [region.cloud.add_session(PROJECT, name=f"session-{n}", sources=[f"i-{n}"]) for n in range(7)]
    listing = region.api().list_sessions()
    assert [each.id for each in listing.sessions] == made
    assert [each.sources for each in listing.sessions] == [(f"i-{n}",) for n in range(7)]
    assert len(listing.request_ids) == len(set(listing.request_ids)) == 3


def test_the_moment_of_a_listing_is_the_clouds_before_its_first_page(new_region: NewRegion) -> None:
    cloud_now = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
    region = new_region(now=lambda: cloud_now, page_cap=1)
    for _ in range(3):
        region.cloud.add_session(PROJECT)
    listing = region.api(now=lambda: cloud_now + timedelta(minutes=9)).list_sessions()
    assert cloud_now - timedelta(seconds=5) < listing.taken_at < cloud_now


def test_a_listing_without_the_clouds_clock_is_taken_to_be_as_old_as_our_clock_may_be_wrong(
    region: Region,
) -> None:
    with wire([said("200 OK", page())]) as served:
        now = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
        api = region.api(endpoint=served.url, now=lambda: now)
        assert api.list_sessions().taken_at < now - timedelta(minutes=15)


@pytest.mark.parametrize("status", [404, 400])
def test_a_marker_that_vanished_begins_the_listing_anew(new_region: NewRegion, status: Any) -> None:
    region = new_region(page_cap=2, behaviour=Behaviour(vanished_marker=status))
    made = [region.cloud.add_session(PROJECT) for _ in range(5)]
    deleted: list[str] = []

    async def delete_the_marker(operation: str) -> None:
        if operation == "list_sessions" and region.operations == ["list_sessions"]:
            deleted.append(made[1])
            region.cloud.delete_session(PROJECT, made[1])

    region.emulator.hold = delete_the_marker
    listing = region.api().list_sessions()
    assert deleted
    assert [each.id for each in listing.sessions] == [made[0], *made[2:]]
    assert [call.status for call in region.emulator.calls] == [200, status, 200, 200]


def test_markers_that_vanish_again_and_again_end_in_an_error(new_region: NewRegion) -> None:
    region = new_region(page_cap=1)
    for _ in range(50):
        region.cloud.add_session(PROJECT)

    async def delete_the_marker(operation: str) -> None:
        region.cloud.delete_session(PROJECT, region.cloud.order(PROJECT)[0][0])

    region.emulator.hold = delete_the_marker
    with pytest.raises(ApiUnavailable, match="faster than they can be listed"):
        region.api().list_sessions()
    assert len(region.operations) == 6


@pytest.mark.parametrize("markers", [["x", "x"], ["x", "y", "x"]])
def test_pages_in_a_circle_end_in_an_error(region: Region, markers: list[str]) -> None:
    region.emulator.faults += [answer(page(session(), next_marker=marker)) for marker in markers]
    region.emulator.faults.append(answer(page(session(), next_marker="x"), times=-1))
    with pytest.raises(BadReply, match="circle"):
        region.api().list_sessions()
    assert len(region.operations) == len(markers)


@pytest.mark.parametrize("version", ["v3", "v1", "v2.0"])
def test_all_interfaces_are_listed_page_by_page_in_every_version(new_region: NewRegion, version: str) -> None:
    region = new_region(page_cap=2, behaviour=Behaviour(ports_versions=(version,)))
    ports = sorted(region.cloud.add_port(PROJECT) for _ in range(5))
    pages = [sorted(each) for each in region.api().list_all_interfaces()]
    assert [id_ for each in pages for id_ in each] == ports
    assert [len(each) for each in pages if each] == [2, 2, 1]


def test_many_ids_are_asked_for_in_uris_that_the_gateway_takes(region: Region) -> None:
    ports = [region.cloud.add_port(PROJECT) for _ in range(3)]
    seen = region.api().list_interfaces([*ports, *(region.cloud.new_id() for _ in range(800))])
    assert seen == set(ports)
    assert len(region.operations) == 2


# --- strictness -------------------------------------------------------------------------------------------

UNREADABLE: list[tuple[str, Fault]] = [
    ("a redirect", answer(b"", 302, headers={"Location": "/elsewhere"})),
    ("a page of a proxy", answer(b"<html>sign in</html>", headers={"Content-Type": "text/html"})),
    ("no body", answer(b"")),
    ("204", answer(b"", 204)),
    ("202", answer(page(), 202)),
    ("null", answer(b"null")),
    ("a list", answer(b"[]")),
    ("no list", answer(b'{"page_info":{}}')),
    ("null for a list", answer(b'{"traffic_mirror_sessions":null,"page_info":{}}')),
    ("an object for a list", answer(b'{"traffic_mirror_sessions":{},"page_info":{}}')),
    ("no page info", answer(b'{"traffic_mirror_sessions":[]}')),
    ("a marker that is a number", answer(page(next_marker=7))),
    ("a session that is text", answer(page("s"))),
    ("a session without an id", answer(page({"traffic_mirror_sources": []}))),
    ("an id that is none", answer(page(session("../../ports")))),
    ("a session without sources", answer(page({"id": "s"}))),
    ("sources that are text", answer(page(session(traffic_mirror_sources="a")))),
    ("a source that is a number", answer(page(session(traffic_mirror_sources=["a", 7])))),
    ("a type that is a number", answer(page(session(type=7)))),
    ("deep nesting", answer(b"[" * 200_000)),
    ("not UTF-8", answer(b'{"traffic_mirror_sessions":[],"x":"\xff"}')),
    ("over 64 MiB", answer(b" " * (64 * 1024 * 1024 + 1))),
]


@pytest.mark.parametrize("fault", [fault for _, fault in UNREADABLE], ids=[name for name, _ in UNREADABLE])
def test_what_is_no_listing_is_an_error_and_never_an_empty_one(region: Region, fault: Fault) -> None:
    fault.done = 0
    region.emulator.faults.append(fault)
    with pytest.raises(BadReply):
        region.api().list_sessions()
    assert region.operations == ["list_sessions"]


def test_unknown_fields_and_missing_decoration_do_not_matter(region: Region) -> None:
    bare = {"id": "s", "traffic_mirror_sources": [], "new": {"deep": [1]}}
    region.emulator.faults.append(answer(page(bare, current_count="x", new=1)))
    (found,) = region.api().list_sessions().sessions
    assert (found.id, found.sources, found.name, found.type) == ("s", (), "", "eni")


def test_an_answer_that_is_cut_off_is_asked_for_again(region: Region) -> None:
    made = region.cloud.add_session(PROJECT)
    region.emulator.faults.append(Fault("list_sessions", "truncate"))
    assert [each.id for each in region.api().list_sessions().sessions] == [made]
    assert region.operations == ["list_sessions"] * 2


@pytest.mark.parametrize(
    "body",
    [b'{"traffic_mirror_session":{"id":"another","traffic_mirror_sources":[]}}', b'{"traffic_mirror_session":1}'],
)
def test_another_session_than_the_one_asked_for_is_an_error(region: Region, body: bytes) -> None:
    made = region.cloud.add_session(PROJECT)
    region.emulator.faults.append(answer(body))
    with pytest.raises(BadReply):
        region.api().show_session(made)


@pytest.mark.parametrize("body", [b'{"port":{"id":"another"}}', b'{"port":{}}', b'{"port":null}', b"{}"])
def test_another_interface_than_the_one_asked_for_is_an_error(region: Region, body: bytes) -> None:
    region.emulator.faults.append(answer(body))
    with pytest.raises(BadReply):
        region.api().find_interface("i")


@pytest.mark.parametrize("ports", [{}, None, ["i"], [{}], [{"id": 7}]])
def test_interfaces_without_ids_are_no_list(region: Region, ports: object) -> None:
    region.emulator.faults.append(answer(json.dumps({"ports": ports}).encode()))
    with pytest.raises(BadReply):
        region.api().list_interfaces(["i"])


def test_a_list_of_all_interfaces_that_breaks_off_is_not_the_whole(new_region: NewRegion) -> None:
    region = new_region(page_cap=1)
    for _ in range(3):
        region.cloud.add_port(PROJECT)
    region.emulator.faults.append(answer(b'{"error_code":"VPC.2502"}', 404, skip=1))
    pages = region.api().list_all_interfaces()
    assert len(next(pages)) == 1
    with pytest.raises(ApiUnavailable, match="broke off"):
        next(pages)


@pytest.mark.parametrize("id_", ["", "a/b", "..", "a?b", "a b", "a\r\nHost: x", "-a", "\u00e9", "a" * 129, "%2e%2e"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda api, id_: api.show_session(id_),
        lambda api, id_: api.remove_sources(id_, ["i"]),
        lambda api, id_: api.remove_sources("s", [id_]),
        lambda api, id_: api.find_interface(id_),
        lambda api, id_: api.list_interfaces(["i", id_]),
        lambda api, id_: api.client.project(id_, api.deadline),
    ],
    ids=["show", "remove from", "remove", "find", "list", "project"],
)
def test_what_is_no_id_never_reaches_a_url(region: Region, ask: Callable[[ProjectApi, str], object], id_: str) -> None:
    with pytest.raises(ApiRefused, match="was not sent"):
        ask(region.api(), id_)
    assert region.operations == []


# --- gone, and what is not ----------------------------------------------------------------------------------


def test_a_session_that_is_gone_is_an_answer(region: Region) -> None:
    reply = region.api().show_session("gone")
    assert reply.session is None
    assert reply.request_id


def test_an_interface_is_there_or_gone_by_the_apis_own_word(region: Region) -> None:
    port = region.cloud.add_port(PROJECT)
    api = region.api()
    assert api.find_interface(port).exists
    region.cloud.delete_port(port)
    assert not api.find_interface(port).exists


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (404, b'{"error_code":"VPC.2204","error_msg":"x"}', ApiRefused),
        (404, b'{"error_code":"APIGW.0101","error_msg":"x"}', ApiRefused),
        (404, b"<html>not found</html>", BadReply),
        (404, b"", BadReply),
        (403, b'{"error_code":"VPC.2201"}', ApiRefused),
        (200, b"", BadReply),
    ],
)
def test_an_interface_is_never_taken_to_be_gone_by_anything_else(
    region: Region, status: int, body: bytes, error: type[UnmirrorError]
) -> None:
    region.emulator.faults.append(answer(body, status, times=-1))
    with pytest.raises(error):
        region.api().find_interface("i")


def test_the_newest_version_of_the_ports_that_the_region_has_is_found_once(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=("v2.0",)))
    port, client = region.cloud.add_port(PROJECT), region.client()
    assert region.api(client).find_interface(port).exists
    assert region.api(client).find_interface("gone") == Presence(False, f"{4:032x}")
    paths = [call.path.split("/ports")[0] for call in region.emulator.calls]
    assert paths == [f"/v3/{PROJECT}", f"/v1/{PROJECT}", "/v2.0", "/v2.0"]


def test_a_region_without_any_version_is_an_error_now_and_asked_again_at_the_next_delivery(
    new_region: NewRegion,
) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=()))
    port, client = region.cloud.add_port(PROJECT), region.client()
    with pytest.raises(ApiRefused, match=r"APIGW\.0101.*UNMIRROR_REGION"):
        region.api(client).find_interface(port)
    region.emulator.behaviour = Behaviour()
    assert region.api(client).find_interface(port).exists


# --- what is refused says what to do --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "permission"),
    [
        (lambda api: api.list_sessions(), "vpc:trafficMirrorSessions:list"),
        (lambda api: api.show_session("s"), "vpc:trafficMirrorSessions:get"),
        (lambda api: api.remove_sources("s", ["i"]), "vpc:trafficMirrorSessions:removeSource"),
        (lambda api: api.find_interface("i"), "vpc:ports:get"),
        (lambda api: api.list_interfaces(["i"]), "vpc:ports:list"),
    ],
)
def test_a_refusal_names_the_permission_and_the_request(
    region: Region, ask: Callable[[ProjectApi], object], permission: str
) -> None:
    region.emulator.faults.append(answer(b'{"error_code":"VPC.2201","error_msg":"x","request_id":"r-1"}', 403))
    with pytest.raises(ApiRefused, match=f"grant {permission} ") as caught:
        ask(region.api())
    assert (caught.value.code, caught.value.request_id, caught.value.status) == ("VPC.2201", "r-1", 502)
    assert len(region.operations) == 1


def test_a_region_without_traffic_mirroring_says_so(region: Region) -> None:
    region.emulator.faults.append(answer(b'{"error_code":"APIGW.0101"}', 404))
    with pytest.raises(ApiRefused, match="UNMIRROR_REGION"):
        region.api().list_sessions()


def test_a_removal_that_is_rejected_as_a_whole_is_told_apart(region: Region) -> None:
    made = region.cloud.add_session(PROJECT, sources=["a"])
    with pytest.raises(RemovalRejected) as caught:
        region.api().remove_sources(made, ["a", "absent"])
    assert caught.value.request_id
    assert region.operations == ["remove_sources"]


# --- tries ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504])
def test_trouble_that_may_pass_is_tried_again_with_growing_waits(region: Region, status: int) -> None:
    made = region.cloud.add_session(PROJECT)
    region.emulator.faults.append(Fault(status=status, times=3))
    api = region.api()
    assert [each.id for each in api.list_sessions().sessions] == [made]
    assert region.slept == [0.4, 0.8, 1.6]
    assert api.calls == 4
    assert [call.status for call in api.log] == [status, status, status, 200]


def test_the_waits_are_spread_by_chance(region: Region) -> None:
    region.emulator.faults.append(Fault(times=2))
    draws = iter([0.5, 0.25])
    region.api(draw=lambda: next(draws)).list_sessions()
    assert region.slept == [0.2, 0.2]


def test_it_gives_up_after_four_tries_and_says_what_the_api_said(region: Region) -> None:
    body = b'{"error_code":"APIGW.0201","request_id":"r-9"}'
    region.emulator.faults.append(answer(body, 502, times=-1, headers={"Retry-After": "3"}))
    with pytest.raises(ApiUnavailable, match=r"list sessions fails \(status 502 APIGW\.0201\)") as caught:
        region.api().list_sessions()
    assert (caught.value.request_id, caught.value.retry_after) == ("r-9", 3.0)
    assert region.slept == [3.0, 3.0, 3.0]
    assert len(region.operations) == 4


def test_a_busy_session_is_tried_again(region: Region) -> None:
    made = region.cloud.add_session(PROJECT, sources=["a"])
    region.emulator.faults.append(answer(b'{"error_code":"VPC.0103","error_msg":"busy"}', 409))
    reply = region.api().remove_sources(made, ["a"])
    assert reply.session is not None
    assert reply.session.sources == ()


@pytest.mark.parametrize("kind", ["reset", "lost", "truncate"])
def test_a_lost_answer_to_a_question_is_asked_again(region: Region, kind: Any) -> None:
    region.emulator.faults.append(Fault("list_sessions", kind, times=2))
    assert region.api().list_sessions().sessions == ()
    assert len(region.operations) == 3


@pytest.mark.parametrize(("kind", "left"), [("reset", ("a",)), ("lost", ()), ("truncate", ())])
def test_a_lost_answer_to_a_removal_leaves_the_outcome_open(region: Region, kind: Any, left: tuple[str, ...]) -> None:
    """It is not sent again unseen: whoever asked looks at the session."""
    made = region.cloud.add_session(PROJECT, sources=["a"])
    region.emulator.faults.append(Fault("remove_sources", kind))
    with pytest.raises(OutcomeUnknown):
        region.api().remove_sources(made, ["a"])
    assert region.operations == ["remove_sources"]
    assert region.cloud.sources(PROJECT)[made] == left


def test_where_nothing_listens_a_removal_is_tried_again_because_it_was_never_sent(region: Region) -> None:
    api = region.api(endpoint="http://127.0.0.1:9")
    with pytest.raises(ApiUnavailable, match="UNMIRROR_REGION") as caught:
        api.remove_sources("s", ["a"])
    assert not isinstance(caught.value, OutcomeUnknown)
    assert len(region.slept) == 3


def test_each_try_is_signed_anew(region: Region) -> None:
    """A clock that moves on between the tries shows in the dates that were signed."""
    with wire([said("503 Unavailable", b""), said("200 OK", EMPTY)]) as served:
        times = iter(datetime(2026, 5, 1, 12, minute, tzinfo=timezone.utc) for minute in range(60))
        region.api(endpoint=served.url, now=lambda: next(times)).list_sessions()
        dates = [_header(head, "x-sdk-date") for head in served.heads]
        assert len(set(dates)) == 2
        assert len({_header(head, "authorization") for head in served.heads}) == 2


# --- the deadline -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hang", "drip"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda api: api.list_sessions(),
        lambda api: api.find_interface("i"),
        lambda api: api.remove_sources("s", ["i"]),
    ],
    ids=["list", "find", "remove"],
)
def test_an_api_that_hangs_or_drips_ends_with_the_deadline(
    region: Region, kind: Any, ask: Callable[[ProjectApi], object]
) -> None:
    region.emulator.faults.append(Fault(kind=kind, times=-1))
    began = time.monotonic()
    with pytest.raises(ApiUnavailable):
        ask(region.api(seconds=0.3, sleep=time.sleep))
    assert time.monotonic() - began < 1.3
    region.emulator.clear_faults()


def test_a_head_that_drips_ends_with_the_deadline_too(region: Region) -> None:
    with wire([dripping(said("200 OK", EMPTY), every=0.05)]) as served:
        began = time.monotonic()
        with pytest.raises(ApiUnavailable):
            region.api(endpoint=served.url, seconds=0.3, sleep=time.sleep).list_sessions()
        assert time.monotonic() - began < 1.3


def test_no_call_begins_when_no_time_is_left_and_none_is_counted(region: Region) -> None:
    api = region.api(seconds=0)
    with pytest.raises(DeadlineExceeded):
        api.list_sessions()
    assert (region.operations, api.calls, [*api.log]) == ([], 0, [])


def test_a_wait_that_would_pass_the_deadline_is_not_begun(region: Region) -> None:
    region.emulator.faults.append(Fault(status=503, headers={"Retry-After": "30"}))
    with pytest.raises(ApiUnavailable) as caught:
        region.api(seconds=5).list_sessions()
    assert caught.value.retry_after == 30.0
    assert region.slept == []
    assert len(region.operations) == 1


# --- the pace ---------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes by sleeping only."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_429_is_waited_out_as_long_as_the_api_asks(region: Region) -> None:
    region.emulator.faults.append(Fault(status=429, headers={"Retry-After": "4"}))
    clock = Clock()
    region.api(clock=clock, sleep=clock.sleep).list_sessions()
    assert clock.now >= 1004.0


def test_a_429_slows_every_delivery_of_the_project_and_no_other(region: Region) -> None:
    clock = Clock()
    client = region.client(clock=clock, sleep=clock.sleep)
    region.emulator.faults.append(Fault(status=429, headers={"Retry-After": "8"}, times=-1))
    with pytest.raises(ApiThrottled) as caught:
        region.api(client, seconds=1).list_sessions()
    assert caught.value.retry_after == 8.0
    region.emulator.clear_faults()
    with pytest.raises(ApiThrottled) as caught:
        region.api(client, seconds=1).show_session("s")
    assert 7.0 <= (caught.value.retry_after or 0) <= 8.0
    assert len(region.operations) == 1
    other = client.project(OTHER, Deadline.within(1, clock))
    assert other.list_sessions().sessions == ()


def test_after_429s_the_pace_comes_back_little_by_little(region: Region) -> None:
    clock = Clock()
    client = region.client(clock=clock, sleep=clock.sleep)
    region.emulator.faults.append(Fault(status=429, times=2))
    api = region.api(client, seconds=1e6)
    gaps = []
    for _ in range(60):
        before = clock.now
        api.show_session("s")
        gaps.append(clock.now - before)
    assert gaps[5] > gaps[20] > gaps[55] > 0


def test_a_gateway_with_a_limit_is_lived_with(new_region: NewRegion) -> None:
    """Twenty deliveries at once under a limit of 40 a second: each gets its answer, and few calls are refused."""
    region = new_region(rate_limit=40, retry_after=1)
    client = region.client(sleep=time.sleep)
    failures: list[UnmirrorError] = []

    def deliver() -> None:
        try:
            for _ in range(3):
                region.api(client).show_session("s")
        except UnmirrorError as error:
            failures.append(error)

    threads = [threading.Thread(target=deliver) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert sum(call.status == 429 for call in region.emulator.calls) <= 30


# --- transport ----------------------------------------------------------------------------------------------------


def _header(head: bytes, name: str) -> str | None:
    for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]:
        key, _, value = line.partition(b":")
        if key.lower() == name.encode():
            return value.decode().strip()
    return None


def test_a_request_says_who_asks_and_carries_nothing_that_was_not_meant(region: Region) -> None:
    with wire([said("200 OK", EMPTY, "Set-Cookie: a=b")]) as served:
        client = region.client(endpoint=served.url)
        for _ in range(2):
            region.api(client).list_sessions()
        for head in served.heads:
            assert _header(head, "user-agent") == f"unmirror/{__version__}"
            assert _header(head, "cookie") is None
            assert _header(head, "x-project-id") == PROJECT
            assert "user-agent" not in (_header(head, "authorization") or "")
        assert served.connections == 1


def test_a_netrc_file_is_not_read(region: Region, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login user password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    assert region.api().list_sessions().sessions == ()


def test_a_connection_that_the_server_closed_while_idle_is_replaced(region: Region) -> None:
    with wire([said("200 OK", EMPTY), closing, said("200 OK", EMPTY)]) as served:
        client = region.client(endpoint=served.url)
        for _ in range(2):
            assert region.api(client).list_sessions().sessions == ()
        assert len(served.heads) == 3


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 999999 x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 9\r\n\r\nxxxxx",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
        b"\x16\x03\x01\x02",
    ],
    ids=["not HTTP", "status", "two lengths", "bad chunk", "no gzip", "many headers", "long header", "TLS"],
)
def test_what_is_no_http_is_an_unavailable_api(region: Region, data: bytes) -> None:
    def say(connection: Any) -> None:
        connection.sendall(data)
        closing(connection)

    with wire([say]) as served, pytest.raises(ApiUnavailable):
        region.api(endpoint=served.url).list_sessions()


@pytest.mark.parametrize("names", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_a_proxy_is_used_that_the_usual_variables_name(region: Region, names: str) -> None:
    with wire([said("407 Proxy Authentication Required", b"")]) as served:
        api = region.api(endpoint="https://vpc.example.invalid", environ={names: served.url})
        with pytest.raises(ApiUnavailable, match="HTTPS_PROXY"):
            api.list_sessions()
        assert served.heads[0].startswith(b"CONNECT vpc.example.invalid:443 ")


@pytest.mark.parametrize(
    ("endpoint", "environ", "proxy"),
    [
        ("https://vpc.example.com", {"HTTPS_PROXY": "http://p:1"}, {"https": "http://p:1"}),
        (
            "https://vpc.example.com",
            {"https_proxy": "http://p:1", "HTTPS_PROXY": "http://q:1"},
            {"https": "http://p:1"},
        ),
        ("https://vpc.example.com", {"ALL_PROXY": "http://p:1"}, {"https": "http://p:1"}),
        ("https://vpc.example.com", {"HTTPS_PROXY": "", "all_proxy": "http://p:1"}, {"https": "http://p:1"}),
        ("https://vpc.example.com", {"HTTP_PROXY": "http://p:1"}, {}),
        ("https://vpc.example.com", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}, {}),
        ("https://vpc.example.com", {"HTTPS_PROXY": "http://p:1", "no_proxy": "a.test, example.com"}, {}),
        ("https://vpc.example.com", {"HTTPS_PROXY": "http://p:1", "no_proxy": ".example.com"}, {}),
        ("https://vpc.example.com", {"HTTPS_PROXY": "http://p:1", "no_proxy": "ample.com"}, {"https": "http://p:1"}),
        ("http://127.0.0.1:8080", {"HTTP_PROXY": "http://p:1"}, {}),
        ("http://localhost:8080", {"HTTP_PROXY": "http://p:1"}, {}),
        ("https://vpc.example.com", {}, {}),
    ],
)
def test_the_usual_variables_name_the_proxy_and_its_exceptions(
    endpoint: str, environ: dict[str, str], proxy: dict[str, str]
) -> None:
    assert proxies_for(endpoint, environ) == proxy


@pytest.mark.parametrize("proxy", ["http://", "gopher://p", "http://p:port"])
def test_a_proxy_that_is_none_is_a_wrong_setting(region: Region, proxy: str) -> None:
    with pytest.raises(NotConfigured, match="HTTPS_PROXY"):
        region.api(endpoint="https://vpc.example.invalid", environ={"HTTPS_PROXY": proxy}).list_sessions()


AUTHORITIES = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"]
CERTIFICATE = str(Path(__file__).with_name("loopback.pem"))


def tls(most: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    context.maximum_version = most
    return context


def test_a_certificate_that_nobody_trusts_is_refused_before_anything_is_said(region: Region) -> None:
    with wire([said("200 OK", EMPTY)], tls()) as served:
        with pytest.raises(ApiUnavailable, match="REQUESTS_CA_BUNDLE") as caught:
            region.api(endpoint=served.url).list_sessions()
        assert not isinstance(caught.value, OutcomeUnknown)
        assert served.heads == []


@pytest.mark.parametrize("name", AUTHORITIES)
def test_the_usual_variables_name_the_certificates_to_trust(region: Region, name: str) -> None:
    with wire([said("200 OK", EMPTY)], tls()) as served:
        assert region.api(endpoint=served.url, environ={name: CERTIFICATE}).list_sessions().sessions == ()


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_nothing_older_than_tls_1_2_is_spoken(region: Region) -> None:
    with wire([said("200 OK", EMPTY)], tls(ssl.TLSVersion.TLSv1_1)) as served:
        with pytest.raises(ApiUnavailable):
            region.api(endpoint=served.url, environ={AUTHORITIES[0]: CERTIFICATE}).list_sessions()
        assert served.heads == []


@pytest.mark.parametrize("name", AUTHORITIES)
def test_a_missing_file_of_certificates_is_named_at_once(region: Region, name: str) -> None:
    with pytest.raises(NotConfigured, match=name):
        region.client(endpoint="https://vpc.example.invalid", environ={name: "/nowhere/ca.pem"})


@pytest.mark.parametrize(
    "endpoint",
    ["http://vpc.example.com", "http://10.0.0.1:8080", "ftp://127.0.0.1", "https://user@host", "https://h/p"],
)
def test_only_this_machine_is_spoken_to_without_tls(endpoint: str) -> None:
    with pytest.raises(NotConfigured, match="UNMIRROR_VPC_ENDPOINT"):
        Settings.from_env({"UNMIRROR_VPC_ENDPOINT": endpoint})
