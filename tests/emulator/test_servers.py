"""Servers: their interfaces in the lists of ports, and each moment of a deletion."""

from __future__ import annotations

import pytest

from handler.emulator.operations import Behaviour
from tests.support.region import PROJECT, NewRegion, Region


def test_the_interfaces_of_a_server_are_listed_by_its_id(region: Region) -> None:
    servers = [region.cloud.add_server(PROJECT, interfaces=2) for _ in range(3)]
    ports = [sorted(region.cloud.ports_of(server)) for server in servers]
    assert region.ports(device_id=servers[0]) == ports[0]
    assert region.ports(device_id=servers[0], id=[ports[0][1], ports[1][0]]) == [ports[0][1]]
    assert region.ports(device_id="unknown") == []


@pytest.mark.parametrize("version", ["v3", "v1", "v2.0"])
def test_several_servers_may_be_asked_for_in_v3_alone(new_region: NewRegion, version: str) -> None:
    region = new_region()
    servers = [region.cloud.add_server(PROJECT) for _ in range(3)]
    ports = [region.cloud.ports_of(server)[0] for server in servers]
    assert region.ports(version, device_id=servers) == (sorted(ports) if version == "v3" else [ports[0]])
    region.emulator.behaviour = Behaviour(repeated_filter="last")
    assert region.ports(version, device_id=servers) == (sorted(ports) if version == "v3" else [ports[2]])
    region.emulator.behaviour = Behaviour(repeated_filter="all")
    assert region.ports(version, device_id=servers) == sorted(ports)


def test_several_ids_may_be_asked_for_but_in_v2(region: Region) -> None:
    ports = sorted(region.cloud.add_port(PROJECT) for _ in range(2))
    assert [region.ports(version, id=ports) for version in ("v3", "v1", "v2.0")] == [ports, ports, ports[:1]]


def test_a_servers_interfaces_go_with_it_and_stay_in_their_sessions(region: Region) -> None:
    server = region.cloud.add_server(PROJECT, interfaces=2)
    ports = region.cloud.ports_of(server)
    session = region.cloud.add_session(PROJECT, sources=ports)
    assert region.cloud.delete_server(server)
    assert region.ports(device_id=server) == region.ports() == []
    assert region.cloud.sources(PROJECT)[session] == ports
    assert not region.cloud.delete_server(server)


def test_the_interfaces_of_a_pending_deletion_go_one_by_one(region: Region) -> None:
    server = region.cloud.add_server(PROJECT, interfaces=3)
    ports = region.cloud.ports_of(server)
    assert region.cloud.delete_server(server, ports="pending")
    assert region.ports(device_id=server) == sorted(ports)
    assert region.cloud.finish_deletion(server, 1) == 2
    assert region.ports(device_id=server) == sorted(ports[1:])
    assert region.cloud.finish_deletion(server) == 0
    assert region.ports() == []


def test_an_interface_may_live_on_unbound(region: Region) -> None:
    server = region.cloud.add_server(PROJECT, interfaces=2)
    gone, kept = region.cloud.ports_of(server)
    region.cloud.delete_server(server, keep=[kept])
    assert region.ports(device_id=server) == []
    assert region.ask(f"/v3/{PROJECT}/ports/{gone}").status_code == 404
    assert region.ask(f"/v3/{PROJECT}/ports/{kept}").json()["port"]["device_id"] == ""


def test_a_person_deletes_interfaces_and_servers_without_a_signature(new_region: NewRegion) -> None:
    region = new_region(keys={"KEY": "secret"})
    port, server = region.cloud.add_port(PROJECT), region.cloud.add_server(PROJECT)
    paths = (f"/emulator/ports/{port}", f"/emulator/servers/{server}")
    assert [region.ask(path, "DELETE").status_code for path in paths] == [204, 204]
    assert [region.ask(path, "DELETE").status_code for path in paths] == [404, 404]
    assert region.cloud.ports(PROJECT) == []
    assert region.emulator.calls == []


def test_a_servers_interfaces_go_as_many_seconds_later_as_a_person_asks_for(region: Region) -> None:
    later, sooner = region.cloud.add_server(PROJECT), region.cloud.add_server(PROJECT)
    assert region.ask(f"/emulator/servers/{later}", "DELETE", after=3600).status_code == 204
    assert region.ask(f"/emulator/servers/{sooner}", "DELETE", after="0.0").status_code == 204
    assert region.ports() == list(region.cloud.ports_of(later))
