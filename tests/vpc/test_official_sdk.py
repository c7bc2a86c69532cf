"""The official SDK's own client against the emulator: what it can do with the real API, it can do here."""

from __future__ import annotations

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpc.v3 import (
    AddSourcesToTrafficMirrorSessionRequest,
    AddSourcesToTrafficMirrorSessionRequestBody,
    CreateTrafficMirrorSessionOption,
    CreateTrafficMirrorSessionRequest,
    CreateTrafficMirrorSessionRequestBody,
    DeleteTrafficMirrorSessionRequest,
    ListPortsRequest,
    ListTrafficMirrorSessionsRequest,
    RemoveSourcesFromTrafficMirrorSessionRequest,
    RemoveSourcesFromTrafficMirrorSessionRequestBody,
    ShowPortRequest,
    ShowTrafficMirrorSessionRequest,
    TrafficMirrorSourcesOption,
    UpdateTrafficMirrorSessionOption,
    UpdateTrafficMirrorSessionRequest,
    UpdateTrafficMirrorSessionRequestBody,
    VpcClient,
)

from tests.vpc.conftest import ACCESS_KEY, PROJECT, SECRET_KEY, NewRegion, Region

pytestmark = pytest.mark.filterwarnings(
    "ignore:Unable to convert string to datetime:ImportWarning",  # the SDK misses an optional package; we read no times
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # the SDK, from Python 3.12 on
)


def sdk(region: Region, secret_key: str = SECRET_KEY) -> VpcClient:
    credentials = BasicCredentials(ACCESS_KEY, secret_key, PROJECT)
    return VpcClient.new_builder().with_credentials(credentials).with_endpoint(region.emulator.url).build()


def test_it_lists_every_page(new_region: NewRegion) -> None:
    region = new_region(page_cap=3)
    made = [region.cloud.add_session(PROJECT, name=f"session-{n}") for n in range(8)]
    client, marker, pages = sdk(region), None, []
    while True:
        reply = client.list_traffic_mirror_sessions(ListTrafficMirrorSessionsRequest(limit=2000, marker=marker))
        pages.append([session.id for session in reply.traffic_mirror_sessions])
        assert reply.page_info.current_count == len(pages[-1])
        assert reply.request_id
        if not (marker := reply.page_info.next_marker):
            break
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [id_ for page in pages for id_ in page] == made


def test_it_creates_shows_updates_and_deletes_a_session(region: Region) -> None:
    client, source, target = sdk(region), region.cloud.add_port(PROJECT), region.cloud.add_port(PROJECT)
    created = client.create_traffic_mirror_session(
        CreateTrafficMirrorSessionRequest(
            CreateTrafficMirrorSessionRequestBody(
                CreateTrafficMirrorSessionOption(
                    name="watch",
                    priority=10,
                    traffic_mirror_filter_id=region.cloud.new_id(),
                    traffic_mirror_sources=[source],
                    traffic_mirror_target_id=target,
                    traffic_mirror_target_type="eni",
                    packet_length="128",
                    virtual_network_id="7",
                    enabled="true",
                )
            )
        )
    )
    id_ = created.traffic_mirror_session.id
    assert created.status_code == 201

    def shown() -> dict[str, object]:
        reply = client.show_traffic_mirror_session(ShowTrafficMirrorSessionRequest(id_))
        return dict(reply.traffic_mirror_session.to_dict())

    assert shown() == created.traffic_mirror_session.to_dict()
    assert (
        shown()
        | {
            "name": "watch",
            "project_id": PROJECT,
            "traffic_mirror_sources": [source],
            "traffic_mirror_target_id": target,
            "packet_length": 128,
            "virtual_network_id": 7,
            "enabled": True,
            "type": "eni",
        }
        == shown()
    )

    option = UpdateTrafficMirrorSessionOption(name="watch-2", enabled="false")
    body = UpdateTrafficMirrorSessionRequestBody(option)
    client.update_traffic_mirror_session(UpdateTrafficMirrorSessionRequest(id_, body))
    assert (shown()["name"], shown()["enabled"], shown()["traffic_mirror_sources"]) == ("watch-2", False, [source])

    deleted = client.delete_traffic_mirror_session(DeleteTrafficMirrorSessionRequest(id_))
    assert deleted.status_code == 204
    with pytest.raises(ClientRequestException) as caught:
        shown()
    assert caught.value.status_code == 404
    assert caught.value.error_code.startswith("VPC.")


def test_it_adds_and_removes_sources(region: Region) -> None:
    client = sdk(region)
    first, second = region.cloud.add_port(PROJECT), region.cloud.add_port(PROJECT)
    session = region.cloud.add_session(PROJECT, sources=[first])

    body = AddSourcesToTrafficMirrorSessionRequestBody(TrafficMirrorSourcesOption([second]))
    added = client.add_sources_to_traffic_mirror_session(AddSourcesToTrafficMirrorSessionRequest(session, body))
    assert added.traffic_mirror_session.traffic_mirror_sources == [first, second]

    body = RemoveSourcesFromTrafficMirrorSessionRequestBody(TrafficMirrorSourcesOption([first, second]))
    request = RemoveSourcesFromTrafficMirrorSessionRequest(session, body)
    removed = client.remove_sources_from_traffic_mirror_session(request)
    assert removed.traffic_mirror_session.traffic_mirror_sources == []
    assert region.cloud.sources(PROJECT) == {session: ()}


def test_it_lists_and_shows_ports(region: Region) -> None:
    client = sdk(region)
    ports = sorted(region.cloud.add_port(PROJECT, name=f"port-{n}") for n in range(3))
    assert [port.id for port in client.list_ports(ListPortsRequest()).ports] == ports
    some = client.list_ports(ListPortsRequest(id=[ports[2], ports[0], region.cloud.new_id()]))
    assert [port.id for port in some.ports] == [ports[0], ports[2]]
    assert client.show_port(ShowPortRequest(ports[1])).port.id == ports[1]
    region.cloud.delete_port(ports[1])
    with pytest.raises(ClientRequestException) as caught:
        client.show_port(ShowPortRequest(ports[1]))
    assert (caught.value.status_code, caught.value.error_code) == (404, "VPC.2502")


def test_a_wrong_secret_key_is_refused(region: Region) -> None:
    with pytest.raises(ClientRequestException) as caught:
        sdk(region, "another").list_ports(ListPortsRequest())
    assert (caught.value.status_code, caught.value.error_code) == (401, "APIGW.0301")
