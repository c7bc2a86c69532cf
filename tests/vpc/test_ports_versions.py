"""The ports API, in the version that the region publishes."""

from __future__ import annotations

from typing import Any

import pytest

from handler.emulator.operations import Behaviour, Fault
from handler.errors import ApiRefused, ApiUnavailable
from handler.model import Presence
from tests.support.vpc_clients import PROJECT, NewRegion

GONE = "00000000-0000-4000-8000-000000000001"


@pytest.mark.parametrize("unpublished", ["code", "no code"])
def test_the_newest_version_of_the_ports_api_that_the_region_has_is_found_once(
    new_region: NewRegion, unpublished: Any
) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=("v2.0",), unpublished=unpublished))
    port, client = region.cloud.add_port(PROJECT), region.client()
    assert region.api(client).find_interface(port, region.deadline()).exists
    assert region.api(client).find_interface(GONE, region.deadline()) == Presence(False, f"{4:032x}")
    paths = [call.path.split("/ports")[0] for call in region.emulator.calls]
    assert paths == [f"/v3/{PROJECT}", f"/v1/{PROJECT}", "/v2.0", "/v2.0"]


def test_a_region_without_any_version_is_an_error_now_and_asked_again_at_the_next_delivery(
    new_region: NewRegion,
) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=()))
    port, client = region.cloud.add_port(PROJECT), region.client()
    with pytest.raises(ApiRefused, match=r"no version of the ports API.*UNMIRROR_REGION"):
        region.api(client).find_interface(port, region.deadline())
    region.emulator.behaviour = Behaviour()
    assert region.api(client).find_interface(port, region.deadline()).exists


@pytest.mark.parametrize(("version", "calls"), [("v3", 3), ("v1", 3), ("v2.0", 203)])
def test_many_interfaces_are_looked_up_a_hundred_at_a_time_where_the_version_takes_several(
    new_region: NewRegion, version: str, calls: int
) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=(version,), repeated_filter="all"))
    ports = [region.cloud.add_port(PROJECT) for _ in range(3)]
    absent = [region.cloud.new_id() for _ in range(200)]
    assert region.api().list_interfaces([ports[0].upper(), *ports[1:], *absent], region.deadline()) == set(ports)
    assert sum(call.status == 200 for call in region.emulator.calls) == calls
    assert all(call.query.count("&id=") < 100 for call in region.emulator.calls)


@pytest.mark.parametrize(("version", "calls"), [("v3", 4), ("v1", 7), ("v2.0", 7)])
def test_the_interfaces_of_servers_are_listed_from_every_page_in_every_version(
    new_region: NewRegion, version: str, calls: int
) -> None:
    """Of 52 servers two have interfaces: three and two, two a page."""
    region = new_region(behaviour=Behaviour(ports_versions=(version,)), page_cap=2)
    servers = [region.cloud.add_server(PROJECT, interfaces=3), region.cloud.add_server(PROJECT, interfaces=2)]
    other = region.cloud.add_server(PROJECT, interfaces=2)
    count = 52 if version == "v3" else 4
    absent = [region.cloud.new_id() for _ in range(count - 2)]
    shown_ports = region.api().list_server_interfaces([servers[0].upper(), servers[1], *absent], region.deadline())
    assert shown_ports == {id_: frozenset(region.cloud.ports_of(id_)) for id_ in servers}
    assert other not in shown_ports
    assert sum(call.status == 200 for call in region.emulator.calls) == calls


def test_the_version_is_known_even_where_its_answer_comes_to_nothing(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=("v1",)))
    region.emulator.faults.append(Fault("list_ports", status=503, body=b"{}", skip=1))
    api = region.api()
    assert api.servers_a_call == 50
    with pytest.raises(ApiUnavailable):
        api.list_server_interfaces([GONE], region.deadline())
    assert api.servers_a_call == 1


@pytest.mark.parametrize("version", ["v3", "v1", "v2.0"])
def test_one_interface_shows_that_there_are_some(new_region: NewRegion, version: str) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=(version,)))
    assert not region.api().has_interfaces(region.deadline())
    region.cloud.add_port(PROJECT)
    assert region.api().has_interfaces(region.deadline())
    assert region.emulator.calls[-1].query == "limit=1"
