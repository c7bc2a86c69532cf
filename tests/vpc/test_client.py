"""The calls against the region, over a real socket: pages, strictness, what is gone, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeAlias

import pytest

from handler.deadline import Deadline
from handler.emulator.operations import Behaviour, Fault
from handler.errors import ApiRefused, ApiUnavailable, BadReply, UnmirrorError
from handler.model import UnreadableSession
from handler.vpc.client import VpcApi
from tests.support.clock import NOON
from tests.support.vpc_clients import PROJECT, NewRegion, VpcRegion, session
from tests.support.wire import said, wire

GONE = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"


def shown(id_: str = "s", **more: Any) -> dict[str, Any]:
    return {"id": id_, "name": "n", "traffic_mirror_sources": ["a"], "type": "eni", "enabled": True, **more}


def page(*sessions: Any, **info: Any) -> bytes:
    return json.dumps({"traffic_mirror_sessions": sessions, "page_info": info}).encode()


def answer(body: bytes | object, status: int = 200, **fault: Any) -> Fault:
    return Fault(
        kind="answer", status=status, body=body if isinstance(body, bytes) else json.dumps(body).encode(), **fault
    )


Ask: TypeAlias = Callable[[VpcApi, Deadline], object]


# --- pages ------------------------------------------------------------------------------------------------


def test_all_pages_are_read_whatever_number_the_api_gives_at_a_time(new_region: NewRegion) -> None:
    region = new_region(page_cap=3)
    made = [region.cloud.add_session(PROJECT, name=f"session-{n}", sources=[f"i-{n}"]) for n in range(7)]
    listing = region.api().list_sessions(region.deadline())
    assert [each.id for each in listing.sessions] == made
    assert [each.sources for each in listing.sessions] == [(f"i-{n}",) for n in range(7)]
    assert len(listing.request_ids) == len(set(listing.request_ids)) == 3


def test_a_listing_is_as_old_as_its_first_page(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(date_offset=-7200), page_cap=1)
    for _ in range(3):
        region.cloud.add_session(PROJECT)

    async def take_a_while(_: str) -> None:
        region.time.pass_(1)

    region.emulator.hold = take_a_while
    began = region.clock.instant()
    listing = region.api().list_sessions(region.deadline())
    assert (listing.taken_at, listing.began) == (NOON - timedelta(seconds=7200), began)


@pytest.mark.parametrize("status", [404, 400])
def test_a_marker_that_vanished_begins_the_listing_anew(new_region: NewRegion, status: Any) -> None:
    region = new_region(page_cap=2, behaviour=Behaviour(vanished_marker=status))
    made = [region.cloud.add_session(PROJECT) for _ in range(5)]

    async def delete_the_marker(operation: str) -> None:
        if region.operations == ["list_sessions"]:
            region.cloud.delete_session(PROJECT, made[1])

    region.emulator.hold = delete_the_marker
    assert region.list() == [made[0], *made[2:]]
    assert [call.status for call in region.emulator.calls] == [200, status, 200, 200]


def test_markers_that_vanish_again_and_again_end_in_an_error(new_region: NewRegion) -> None:
    region = new_region(page_cap=1)
    for _ in range(50):
        region.cloud.add_session(PROJECT)

    async def delete_the_marker(operation: str) -> None:
        region.cloud.delete_session(PROJECT, region.cloud.order(PROJECT)[0][0])

    region.emulator.hold = delete_the_marker
    with pytest.raises(ApiUnavailable, match="faster than they can be listed"):
        region.list()
    assert len(region.operations) == 6


@pytest.mark.parametrize("markers", [["x", "x"], ["x", "y", "x"]])
def test_pages_in_a_circle_end_in_an_error(region: VpcRegion, markers: list[str]) -> None:
    region.emulator.faults += [answer(page(shown(), next_marker=marker)) for marker in [*markers, "x"]]
    with pytest.raises(BadReply, match="circle"):
        region.list()
    assert len(region.operations) == len(markers)


def test_an_empty_last_page_that_repeats_its_marker_is_the_end(new_region: NewRegion) -> None:
    region = new_region(page_cap=2, behaviour=Behaviour(empty_last_page=True))
    made = [region.cloud.add_session(PROJECT) for _ in range(4)]
    assert region.list() == made


NO_ID = "one of its interfaces has no id that can be asked for"

# --- strictness -------------------------------------------------------------------------------------------

UNREADABLE: list[tuple[str, Fault]] = [
    ("a redirect", answer(b"", 302, headers={"Location": "/elsewhere"})),
    ("no body", answer(b"")),
    ("202", answer(page(), 202)),
    ("a list", answer(b"[]")),
    ("no list", answer(b'{"page_info":{}}')),
    ("null for a list", answer(b'{"traffic_mirror_sessions":null,"page_info":{}}')),
    ("no page info", answer(b'{"traffic_mirror_sessions":[]}')),
    ("a marker that is a number", answer(page(next_marker=7))),
    ("deep nesting", answer(b"[" * 200_000)),
    ("not UTF-8", answer(b'{"traffic_mirror_sessions":[],"x":"\xff"}')),
    ("over 64 MiB", answer(b" " * (64 * 1024 * 1024 + 1))),
]


@pytest.mark.parametrize("fault", [fault for _, fault in UNREADABLE], ids=[name for name, _ in UNREADABLE])
def test_what_is_no_listing_is_an_error_and_never_an_empty_one(region: VpcRegion, fault: Fault) -> None:
    fault.done = 0
    region.emulator.faults.append(fault)
    with pytest.raises(BadReply):
        region.list()
    assert region.operations == ["list_sessions"]


@pytest.mark.parametrize("empty", [{"traffic_mirror_sources": None, "type": None}, {"type": "eip"}, {}])
def test_null_or_missing_sources_are_none_and_a_null_type_is_eni(region: VpcRegion, empty: dict[str, Any]) -> None:
    region.emulator.faults.append(answer(page({"id": "s", **empty}, shown("t"))))
    listing = region.api().list_sessions(region.deadline())
    found = [(each.id, each.sources, each.type) for each in listing.sessions]
    assert found == [("s", (), empty.get("type") or "eni"), ("t", ("a",), "eni")]
    assert listing.unreadable == ()


@pytest.mark.parametrize(
    ("odd", "expected"),
    [
        ("s", UnreadableSession("", "it is no object")),
        ({"traffic_mirror_sources": []}, UnreadableSession("", "it has no id")),
        (shown("../../ports"), UnreadableSession("", "it has no id")),
        (shown(traffic_mirror_sources="a"), UnreadableSession("s", "its sources are no list of ids")),
        (shown(traffic_mirror_sources=["a", 7]), UnreadableSession("s", "its sources are no list of ids")),
        (shown(type=7), UnreadableSession("s", "its type is no text")),
        (shown(traffic_mirror_sources=["odd id"]), UnreadableSession("s", NO_ID)),
        (shown(traffic_mirror_target_type="eni", traffic_mirror_target_id="../x"), UnreadableSession("s", NO_ID)),
    ],
)
def test_a_session_that_cannot_be_read_is_named_and_stops_no_other(
    region: VpcRegion, odd: object, expected: UnreadableSession
) -> None:
    region.emulator.faults.append(answer(page(shown("r"), odd, shown("t"))))
    listing = region.api().list_sessions(region.deadline())
    assert ([each.id for each in listing.sessions], listing.unreadable) == (["r", "t"], (expected,))


def test_ids_are_compared_in_lower_case_and_sent_as_the_session_spells_them(region: VpcRegion) -> None:
    spelled = "1715609F-0000-4000-8000-00000000000A"
    made = region.cloud.add_session(PROJECT, sources=[spelled, "c", "b", "B"], target_id="T-1")
    (found,) = region.api().list_sessions(region.deadline()).sessions
    assert (found.sources, found.target_id) == ((spelled.lower(), "c", "b"), "t-1")
    assert found.spelled(spelled.lower()) == (spelled,)
    reply = region.api().remove_sources(found, [spelled.lower(), "b"], region.deadline())
    assert reply.session is not None
    assert reply.session.sources == ("c",)
    assert [call.ids for call in region.emulator.changes()] == [(spelled, "b", "B")]
    assert region.cloud.sources(PROJECT)[made] == ("c",)


@pytest.mark.parametrize("shown_id", ["S-1", "s-1"])
def test_what_an_answer_is_about_is_compared_in_lower_case(region: VpcRegion, shown_id: str) -> None:
    region.emulator.faults += [answer({"traffic_mirror_session": shown(shown_id)}), answer({"port": {"id": shown_id}})]
    assert region.api().show_session(session("s-1"), region.deadline()).session is not None
    assert region.api().find_interface("s-1", region.deadline()).exists


@pytest.mark.parametrize("body", [shown("another"), 1, {}, None])
def test_another_object_than_the_one_asked_for_is_an_error(region: VpcRegion, body: object) -> None:
    region.emulator.faults += [answer({"traffic_mirror_session": body}), answer({"port": body})]
    with pytest.raises(BadReply):
        region.api().show_session(session("s"), region.deadline())
    with pytest.raises(BadReply):
        region.api().find_interface("s", region.deadline())


def test_the_answer_of_a_removal_proves_nothing_without_the_sources(region: VpcRegion) -> None:
    """A session that is read may leave out an empty list."""
    answers = [{"traffic_mirror_session": {"id": "s", "name": "n"}}] * 2
    region.emulator.faults += map(answer, answers)
    with pytest.raises(BadReply, match="sources"):
        region.api().remove_sources(session("s"), ["a"], region.deadline())
    shown_now = region.api().show_session(session("s"), region.deadline()).session
    assert shown_now is not None
    assert shown_now.sources == ()


@pytest.mark.parametrize("name", [{}, {"name": None}, {"name": ["s"]}, {"name": 7}])
def test_a_session_that_is_read_has_to_show_the_name_that_may_protect_it(
    region: VpcRegion, name: dict[str, object]
) -> None:
    region.emulator.faults.append(answer({"traffic_mirror_session": {"id": "s", "traffic_mirror_sources": [], **name}}))
    with pytest.raises(BadReply, match="name"):
        region.api().show_session(session("s"), region.deadline())


def test_a_404_of_a_list_decides_for_one_server_alone_and_on_its_first_page(new_region: NewRegion) -> None:
    region = new_region(page_cap=1)
    api = region.api()
    living = region.cloud.add_server(PROJECT, interfaces=2)
    other = region.cloud.new_id()
    region.emulator.faults.append(answer({"code": "VPC.2502"}, 404))
    assert api.servers_a_call == 50
    found = api.list_server_interfaces([living, other], region.deadline())
    assert api.servers_a_call == 1
    assert found == {living: frozenset(region.cloud.ports_of(living))}
    region.emulator.faults.append(answer({"error_code": "APIGW.0101"}, 404))
    assert api.list_server_interfaces([living], region.deadline()) == found, "by V1"
    for fault in (
        answer({"code": "VPC.2502", "message": f"Port {OTHER} not found"}, 404),
        replace(answer({"code": "VPC.2502"}, 404), skip=1),
    ):
        region.emulator.faults = [fault]
        with pytest.raises(BadReply):
            region.api().list_server_interfaces([living], region.deadline())
    region.emulator.faults = [answer({"code": "VPC.2502"}, 404)]
    assert region.api().list_server_interfaces([living], region.deadline()) == {}


@pytest.mark.parametrize("ports", [{}, None, ["i"], [{}], [{"id": 7}]])
def test_interfaces_without_ids_are_no_list_and_a_404_is_an_empty_one(region: VpcRegion, ports: object) -> None:
    region.emulator.faults += [answer({"ports": ports}), answer({"code": "VPC.2502"}, 404)]
    with pytest.raises(BadReply):
        region.api().list_interfaces(["i"], region.deadline())
    assert region.api().list_interfaces(["i"], region.deadline()) == frozenset()


@pytest.mark.parametrize("id_", ["", "a/b", "..", "a?b", "a b", "a\r\nHost: x", "-a", "\u00e9", "a" * 129, "%2e%2e"])
@pytest.mark.parametrize(
    "ask",
    [
        lambda api, id_, left: api.show_session(session(id_), left),
        lambda api, id_, left: api.remove_sources(session(id_), ["i"], left),
        lambda api, id_, left: api.remove_sources(session(), [id_], left),
        lambda api, id_, left: api.find_interface(id_, left),
        lambda api, id_, left: api.list_interfaces(["i", id_], left),
        lambda api, id_, left: api.list_server_interfaces([id_], left),
    ],
    ids=["show", "remove from", "remove", "find", "list", "servers"],
)
def test_what_is_no_id_is_never_sent(
    region: VpcRegion, ask: Callable[[VpcApi, str, Deadline], object], id_: str
) -> None:
    with pytest.raises(ApiRefused, match="was not sent"):
        ask(region.api(), id_, region.deadline())
    with pytest.raises(ApiRefused, match="was not sent"):
        region.client().api(id_)
    assert region.operations == []


# --- gone, and what is not ----------------------------------------------------------------------------------


def test_a_session_that_is_gone_is_an_answer(region: VpcRegion) -> None:
    reply = region.api().show_session(session(GONE), region.deadline())
    assert reply.session is None
    assert reply.request_id


def test_an_interface_exists_or_is_gone_by_the_apis_own_word(region: VpcRegion) -> None:
    port, api = region.cloud.add_port(PROJECT), region.api()
    assert api.find_interface(port, region.deadline()).exists
    region.cloud.delete_port(port)
    assert not api.find_interface(port, region.deadline()).exists


@pytest.mark.parametrize(
    ("body", "is_answer"),
    [
        ({"code": "VPC.2502", "message": f"Port {GONE.upper()} not found"}, True),
        ({"error_code": "VPC.2502", "error_msg": "Port not found", "request_id": OTHER}, True),
        ({"code": "VPC.2502", "message": f"Port {OTHER} not found"}, False),
        ({"NeutronError": {"type": "PortNotFound", "message": f"Port {OTHER.upper()}"}}, False),
    ],
)
def test_a_404_is_an_answer_if_it_names_the_id_or_none(region: VpcRegion, body: object, is_answer: bool) -> None:
    region.emulator.faults.append(answer(body, 404))
    with nullcontext() if is_answer else pytest.raises(BadReply):
        assert not region.api().find_interface(GONE, region.deadline()).exists


# --- what is refused says what to do --------------------------------------------------------------------------

ASK: dict[str, Ask] = {
    "vpc:trafficMirrorSessions:list": lambda api, left: api.list_sessions(left),
    "vpc:trafficMirrorSessions:get": lambda api, left: api.show_session(session(), left),
    "vpc:trafficMirrorSessions:removeSource": lambda api, left: api.remove_sources(session(), ["i"], left),
    "vpc:ports:get": lambda api, left: api.find_interface("i", left),
    "vpc:ports:list": lambda api, left: api.list_interfaces(["i"], left),
}


@pytest.mark.parametrize("permission", ASK)
def test_a_refusal_names_the_permission_and_the_request(region: VpcRegion, permission: str) -> None:
    region.emulator.faults.append(answer(b'{"error_code":"VPC.2201","error_msg":"x"}', 403))
    with pytest.raises(ApiRefused, match=f"grant {permission} ") as caught:
        ASK[permission](region.api(), region.deadline())
    assert (caught.value.code, caught.value.request_id, caught.value.status) == ("VPC.2201", f"{1:032x}", 502)
    assert len(region.operations) == 1


@pytest.mark.parametrize(
    ("status", "body", "error", "text"),
    [
        (404, b'{"error_code":"APIGW.0101"}', ApiRefused, "not offered here.*UNMIRROR_REGION"),
        (400, b'{"error_code":"VPC.0301","request_id":"r"}', ApiRefused, "`limit` of a page"),
        (200, b"<!DOCTYPE html><html>sign in</html>", BadReply, "perhaps a web page: check the endpoint.*proxy"),
        (503, b"<html>sorry</html>", ApiUnavailable, "list sessions fails"),
    ],
)
def test_each_odd_answer_says_what_it_is_and_what_to_do(
    region: VpcRegion, status: int, body: bytes, error: type[UnmirrorError], text: str
) -> None:
    with wire([said(f"{status} x", body)]) as served, pytest.raises(error, match=text):
        region.list(region.client(served.url))
