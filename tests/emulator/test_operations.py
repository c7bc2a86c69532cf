"""The emulated operations: what the API's documents say, and the switches for what they leave open."""

from __future__ import annotations

from typing import Any

import pytest
from requests import Response

from handler.emulator.operations import Behaviour
from handler.emulator.state import ABSENT, Cloud
from tests.support.region import PROJECT, SESSIONS, NewRegion, Region

# --- sessions


def shown(region: Region, session: str) -> dict[str, Any]:
    return dict(region.ask(f"{SESSIONS}/{session}").json()["traffic_mirror_session"])


def test_an_absent_source_rejects_the_whole_removal_or_does_not_matter(region: Region) -> None:
    session = region.cloud.add_session(PROJECT, sources=["here"])
    assert region.remove(session, "here", "absent").status_code == 400
    assert region.cloud.sources(PROJECT)[session] == ("here",)
    region.emulator.behaviour = Behaviour(absent_source="ignore")
    assert region.remove(session, "here", "absent").status_code == 200
    assert region.cloud.sources(PROJECT)[session] == ()


def test_a_removal_takes_a_source_as_the_session_spells_it(region: Region) -> None:
    session = region.cloud.add_session(PROJECT, sources=["A1"])
    assert region.remove(session, "a1").status_code == 400
    assert region.remove(session, "A1").status_code == 200


def test_a_stale_removal_shows_the_session_as_it_was(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(stale_removals=True))
    session = region.cloud.add_session(PROJECT, sources=["a", "b"])
    answer = region.remove(session, "a").json()
    assert answer["traffic_mirror_session"]["traffic_mirror_sources"] == ["a", "b"]
    assert region.cloud.sources(PROJECT)[session] == ("b",)


@pytest.mark.parametrize("session", ["[]", "{}", *(f'{{"traffic_mirror_sources":{s}}}' for s in ("[]", '"a"', "[1]"))])
def test_a_removal_without_a_list_of_sources_is_invalid(region: Region, session: str) -> None:
    id_ = region.cloud.add_session(PROJECT, sources=["a"])
    for body in ("", "[]", f'{{"traffic_mirror_session":{session}}}'):
        assert region.ask(f"{SESSIONS}/{id_}/remove-sources", "PUT", body=body).status_code == 400
    assert region.cloud.sources(PROJECT)[id_] == ("a",)


def test_a_session_takes_ten_sources_and_a_source_three_sessions(region: Region) -> None:
    ports = [region.cloud.add_port(PROJECT) for _ in range(11)]
    full = region.cloud.add_session(PROJECT, sources=ports[:10])
    assert region.add(full, ports[10]).status_code == 409
    others = [region.cloud.add_session(PROJECT) for _ in range(3)]
    assert [region.add(other, ports[0]).status_code for other in others] == [200, 200, 409]
    assert region.remove(full, ports[0]).status_code == 200
    assert region.add(others[2], ports[0]).status_code == 200


def test_only_an_interface_that_exists_becomes_a_source(region: Region) -> None:
    session = region.cloud.add_session(PROJECT)
    assert region.add(session, "no-interface").status_code == 404
    assert region.cloud.sources(PROJECT)[session] == ()


def test_a_body_that_lacks_what_is_required_creates_nothing(region: Region) -> None:
    body = '{"traffic_mirror_session":{"name":"watch","priority":"x","traffic_mirror_sources":["a"]}}'
    assert region.ask(SESSIONS, "POST", body=body).status_code == 400
    assert region.cloud.sources(PROJECT) == {}


@pytest.mark.parametrize(("switch", "value"), [("list", []), ("null", None), ("absent", "no member")])
def test_an_emptied_session_lists_no_source_or_null_or_has_no_such_member(
    new_region: NewRegion, switch: Any, value: object
) -> None:
    region = new_region(behaviour=Behaviour(empty_sources=switch))
    session = region.cloud.add_session(PROJECT, sources=["a"])
    removed = region.remove(session, "a").json()["traffic_mirror_session"]
    listed = region.sessions()["traffic_mirror_sessions"][0]
    for answer in (removed, listed, shown(region, session)):
        assert answer.get("traffic_mirror_sources", "no member") == value


def test_a_session_may_be_shown_in_a_form_that_cannot_be_read(region: Region) -> None:
    session = region.cloud.add_session(PROJECT, sources=["a"])
    region.cloud.show_as(session, type=None, traffic_mirror_sources="a", name=ABSENT)
    for answer in (region.sessions()["traffic_mirror_sessions"][0], shown(region, session)):
        assert (answer["type"], answer["traffic_mirror_sources"], "name" in answer) == (None, "a", False)
    region.cloud.show_as(session)
    assert shown(region, session)["traffic_mirror_sources"] == ["a"]


# --- pages


@pytest.mark.parametrize(("behaviour", "status", "listed"), [(404, 404, None), (400, 400, None), (0, 200, [])])
def test_a_vanished_marker_is_not_found_or_invalid_or_ends_the_list(
    new_region: NewRegion, behaviour: Any, status: int, listed: list[str] | None
) -> None:
    region = new_region(behaviour=Behaviour(vanished_marker=behaviour))
    region.cloud.add_session(PROJECT)
    answer = region.ask(SESSIONS, marker="vanished")
    assert answer.status_code == status
    assert answer.json().get("traffic_mirror_sessions") == listed


def test_an_empty_last_page_repeats_its_marker(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(empty_last_page=True))
    last = [region.cloud.add_session(PROJECT) for _ in range(2)][-1]
    assert region.sessions()["page_info"]["next_marker"] == last
    page = region.sessions(marker=last)
    assert (page["traffic_mirror_sessions"], page["page_info"]["next_marker"]) == ([], last)


@pytest.mark.parametrize(
    ("most", "asked", "status"),
    [
        (2000, "2000", 200),
        (1000, "2000", 400),
        (0, "1", 400),
        *((2000, limit, 400) for limit in ("2001", "-1", "many")),
    ],
)
def test_a_limit_is_a_number_within_what_the_region_allows(
    new_region: NewRegion, most: int, asked: str, status: int
) -> None:
    region = new_region(behaviour=Behaviour(max_limit=most))
    assert region.ask(SESSIONS, limit=asked).status_code == status
    assert region.ask(SESSIONS).status_code == 200


def test_one_interface_is_enough_where_one_is_asked_for(region: Region) -> None:
    first, _ = sorted(region.cloud.add_port(PROJECT) for _ in range(2))
    page = region.ask(f"/v3/{PROJECT}/ports", limit=1).json()
    assert ([port["id"] for port in page["ports"]], page["page_info"]["next_marker"]) == ([first], first)


# --- interfaces


def test_an_unknown_id_in_a_filter_is_left_out_or_not_found(region: Region) -> None:
    port = region.cloud.add_port(PROJECT)
    assert region.ports(id=[port, "unknown"]) == [port]
    region.emulator.behaviour = Behaviour(unknown_id_in_filter="404")
    assert region.ask(f"/v3/{PROJECT}/ports", id=[port, "unknown"]).json()["error_code"] == "VPC.2502"


def test_a_filter_that_is_not_honoured_shows_all(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(honours_id_filter=False, honours_device_filter=False))
    ports = sorted(region.cloud.add_port(PROJECT) for _ in range(3))
    assert region.ports(id=ports[0]) == region.ports(device_id="a-server") == ports


def test_a_hidden_interface_is_in_no_list_and_shown_all_the_same(region: Region) -> None:
    port = region.cloud.add_port(PROJECT, device_id="a-server")
    region.emulator.behaviour = Behaviour(hidden_from_lists=frozenset({port}))
    assert region.ports() == region.ports(id=port) == region.ports(device_id="a-server") == []
    assert region.ask(f"/v3/{PROJECT}/ports/{port}").json()["port"]["id"] == port


def test_a_narrow_key_sees_no_interface(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(narrow_keys=frozenset({"NARROW"})))
    port = region.cloud.add_port(PROJECT, device_id="a-server")
    path = f"/v3/{PROJECT}/ports"

    def seen(key: str) -> list[Any]:
        queries: tuple[dict[str, Any], ...] = ({}, {"id": port}, {"device_id": "a-server"})
        lists = [region.ask(path, key=key, **query).json()["ports"] for query in queries]
        return [*map(len, lists), region.ask(f"{path}/{port}", key=key).status_code]

    assert seen("NARROW") == [0, 0, 0, 404]
    assert seen("WIDE") == [1, 1, 1, 200]


def test_each_version_of_the_ports_has_its_own_shapes(region: Region) -> None:
    port = region.cloud.add_port(PROJECT)
    v3, v1, v2 = (f"/v3/{PROJECT}/ports", f"/v1/{PROJECT}/ports", "/v2.0/ports")
    assert [("page_info" in region.ask(path).json()) for path in (v3, v1, v2)] == [True, False, False]
    assert [region.ask(f"{path}/{port}").json()["port"]["id"] for path in (v3, v1, v2)] == [port] * 3
    missing = [region.ask(f"{path}/missing") for path in (v3, v1, v2)]
    assert [each.status_code for each in missing] == [404] * 3
    assert [next(iter(each.json())) for each in missing] == ["error_code", "code", "NeutronError"]


@pytest.mark.parametrize(("switch", "code"), [("code", "APIGW.0101"), ("no code", None)])
def test_a_version_that_the_region_does_not_publish_is_the_gateways_404(
    new_region: NewRegion, switch: Any, code: str | None
) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=("v2.0",), unpublished=switch))
    port = region.cloud.add_port(PROJECT)
    for path in (f"/v3/{PROJECT}/ports/{port}", f"/v1/{PROJECT}/ports", "/v3/elsewhere"):
        answer = region.ask(path)
        assert (answer.status_code, answer.json().get("error_code")) == (404, code)
    assert region.ask(f"/v2.0/ports/{port}").status_code == 200


def delete(region: Region, port: str) -> Response:
    return region.ask(f"/v1/{PROJECT}/ports/{port}", "DELETE")


def test_a_deletion_leaves_the_sessions_alone_or_takes_the_interface_out(region: Region) -> None:
    first, second = region.cloud.add_port(PROJECT), region.cloud.add_port(PROJECT)
    session = region.cloud.add_session(PROJECT, sources=[first, second])
    assert delete(region, first).status_code == 204
    assert region.cloud.sources(PROJECT)[session] == (first, second)
    region.emulator.behaviour = Behaviour(deletion_detaches=True)
    assert [delete(region, second).status_code for _ in range(2)] == [204, 404]
    assert region.cloud.sources(PROJECT)[session] == (first,)


def test_an_attached_interface_can_be_deleted_only_where_that_is_allowed(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(deletion_needs_detached=True))
    port = region.cloud.add_port(PROJECT, device_id="a-server")
    refused = delete(region, port)
    assert (refused.status_code, refused.json()["code"]) == (400, "VPC.2500")
    region.cloud.unbind_port(port)
    assert delete(region, port).status_code == 204


def test_ids_are_the_same_for_the_same_seed() -> None:
    assert [Cloud(3).new_id() for _ in range(2)] == [Cloud(3).new_id() for _ in range(2)]
    assert Cloud(3).new_id() != Cloud(4).new_id()
