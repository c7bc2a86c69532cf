"""The official SDK's own client against the emulator: it signs, calls and reads as it does with the real API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkvpc import v3

from tests.support.region import PROJECT, SESSIONS, NewRegion, Region

ACCESS_KEY, SECRET_KEY = "EXAMPLEACCESSKEY", "example-secret-key-for-tests-only"

pytestmark = pytest.mark.filterwarnings(
    "ignore:Unable to convert string to datetime:ImportWarning",  # the SDK misses an optional package; we read no times
    "ignore:datetime.datetime.utcnow:DeprecationWarning",  # the SDK, from Python 3.12 on
)


@pytest.fixture
def new_region(new_region: NewRegion) -> NewRegion:
    """Regions that ask for signatures."""
    return lambda **options: new_region(**{"keys": {ACCESS_KEY: SECRET_KEY}, **options})


def sdk(region: Region, secret_key: str = SECRET_KEY, token: str | None = None) -> v3.VpcClient:
    credentials = BasicCredentials(ACCESS_KEY, secret_key, PROJECT)
    if token is not None:
        credentials = credentials.with_security_token(token)
    return v3.VpcClient.new_builder().with_credentials(credentials).with_endpoint(region.emulator.url).build()


def test_it_lists_every_page(new_region: NewRegion) -> None:
    region = new_region(page_cap=3)
    made = [region.cloud.add_session(PROJECT, name=f"session-{n}") for n in range(8)]
    client, marker, pages = sdk(region), None, []
    while True:
        reply = client.list_traffic_mirror_sessions(v3.ListTrafficMirrorSessionsRequest(limit=2000, marker=marker))
        pages.append([session.id for session in reply.traffic_mirror_sessions])
        assert reply.page_info.current_count == len(pages[-1])
        assert reply.request_id
        if not (marker := reply.page_info.next_marker):
            break
    assert [len(page) for page in pages] == [3, 3, 2]
    assert [id_ for page in pages for id_ in page] == made


def test_it_creates_shows_updates_and_deletes_a_session(region: Region) -> None:
    client, source, target = sdk(region), region.cloud.add_port(PROJECT), region.cloud.add_port(PROJECT)
    option = v3.CreateTrafficMirrorSessionOption(
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
    body = v3.CreateTrafficMirrorSessionRequestBody(option)
    created = client.create_traffic_mirror_session(v3.CreateTrafficMirrorSessionRequest(body))
    id_ = created.traffic_mirror_session.id
    assert created.status_code == 201

    def shown() -> dict[str, object]:
        reply = client.show_traffic_mirror_session(v3.ShowTrafficMirrorSessionRequest(id_))
        return dict(reply.traffic_mirror_session.to_dict())

    assert shown() == created.traffic_mirror_session.to_dict()
    typed = {"packet_length": 128, "virtual_network_id": 7, "enabled": True, "type": "eni"}
    asked = {"name": "watch", "traffic_mirror_sources": [source], "traffic_mirror_target_id": target}
    assert shown().items() >= {**asked, **typed, "project_id": PROJECT}.items()

    option = v3.UpdateTrafficMirrorSessionOption(name="watch-2", enabled="false")
    body = v3.UpdateTrafficMirrorSessionRequestBody(option)
    client.update_traffic_mirror_session(v3.UpdateTrafficMirrorSessionRequest(id_, body))
    assert (shown()["name"], shown()["enabled"], shown()["traffic_mirror_sources"]) == ("watch-2", False, [source])

    deleted = client.delete_traffic_mirror_session(v3.DeleteTrafficMirrorSessionRequest(id_))
    assert deleted.status_code == 204
    with pytest.raises(ClientRequestException) as caught:
        shown()
    assert caught.value.status_code == 404
    assert caught.value.error_code.startswith("VPC.")


def test_it_adds_and_removes_sources(region: Region) -> None:
    client = sdk(region)
    first, second = region.cloud.add_port(PROJECT), region.cloud.add_port(PROJECT)
    session = region.cloud.add_session(PROJECT, sources=[first])

    body = v3.AddSourcesToTrafficMirrorSessionRequestBody(v3.TrafficMirrorSourcesOption([second]))
    added = client.add_sources_to_traffic_mirror_session(v3.AddSourcesToTrafficMirrorSessionRequest(session, body))
    assert added.traffic_mirror_session.traffic_mirror_sources == [first, second]

    body = v3.RemoveSourcesFromTrafficMirrorSessionRequestBody(v3.TrafficMirrorSourcesOption([first, second]))
    request = v3.RemoveSourcesFromTrafficMirrorSessionRequest(session, body)
    removed = client.remove_sources_from_traffic_mirror_session(request)
    assert removed.traffic_mirror_session.traffic_mirror_sources == []
    assert region.cloud.sources(PROJECT) == {session: ()}


def test_it_lists_and_shows_ports(region: Region) -> None:
    client = sdk(region)
    ports = sorted(region.cloud.add_port(PROJECT, name=f"port-{n}") for n in range(3))
    assert [port.id for port in client.list_ports(v3.ListPortsRequest()).ports] == ports
    some = client.list_ports(v3.ListPortsRequest(id=[ports[2], ports[0], region.cloud.new_id()]))
    assert [port.id for port in some.ports] == [ports[0], ports[2]]
    assert client.show_port(v3.ShowPortRequest(ports[1])).port.id == ports[1]
    region.cloud.delete_port(ports[1])
    with pytest.raises(ClientRequestException) as caught:
        client.show_port(v3.ShowPortRequest(ports[1]))
    assert (caught.value.status_code, caught.value.error_code) == (404, "VPC.2502")


# --- signatures


def refusal(client: v3.VpcClient) -> tuple[int, str, bool]:
    """Return status and code of the answer to a list, and whether the key is locked."""
    try:
        return int(client.list_ports(v3.ListPortsRequest()).status_code), "", False
    except ClientRequestException as error:
        return error.status_code, error.error_code, "forbidden" in error.error_msg


OK, REFUSED, LOCKED = (200, "", False), (401, "APIGW.0301", False), (401, "APIGW.0301", True)


def test_a_key_is_locked_after_more_than_five_failures_in_a_row_and_opens_five_minutes_later(
    new_region: NewRegion,
) -> None:
    ahead = timedelta()
    region = new_region(now=lambda: datetime.now(UTC) + ahead)
    wrong, right = sdk(region, "another"), sdk(region)
    assert [refusal(wrong) for _ in range(5)] == [REFUSED] * 5
    assert refusal(right) == OK  # and the count begins again
    assert [refusal(wrong) for _ in range(6)] == [REFUSED] * 6
    assert refusal(right) == LOCKED
    ahead = timedelta(minutes=4)
    assert refusal(right) == LOCKED
    ahead = timedelta(minutes=5)
    assert refusal(right) == OK


@pytest.mark.parametrize(("minutes", "answer"), [(14, OK), (-14, OK), (16, REFUSED), (-16, REFUSED)])
def test_a_clock_may_be_fifteen_minutes_off(new_region: NewRegion, minutes: int, answer: tuple[int, str, bool]) -> None:
    assert refusal(sdk(new_region(now=lambda: datetime.now(UTC) + timedelta(minutes=minutes)))) == answer


def test_a_temporary_key_needs_its_token(new_region: NewRegion) -> None:
    region = new_region(keys={ACCESS_KEY: (SECRET_KEY, "token")})
    assert [refusal(sdk(region, token=token)) for token in ("token", None, "other")] == [OK, REFUSED, REFUSED]


def test_a_request_without_a_signature_is_refused_where_keys_are_known(new_region: NewRegion) -> None:
    assert new_region().ask(SESSIONS).status_code == 401
    assert new_region(keys=None).ask(SESSIONS).status_code == 200
