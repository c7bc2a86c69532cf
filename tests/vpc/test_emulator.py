"""What the emulator promises beyond the official SDK's own calls: what the documents leave open, and what goes wrong.

Told through plain HTTP requests; only signatures are made with ours, which the SDK's signer confirms elsewhere.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from handler.emulator.server import Behaviour, Cloud, Emulator, Fault
from handler.vpc.signing import canonical_query, signed
from tests.vpc.conftest import ACCESS_KEY, PROJECT, SECRET_KEY, NewRegion, Region

SESSIONS = f"/v3/{PROJECT}/vpc/traffic-mirror-sessions"
NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)


def ask(
    emulator: Emulator,
    path: str,
    query: Iterable[tuple[str, str]] = (),
    *,
    method: str = "GET",
    body: bytes = b"",
    access_key: str = ACCESS_KEY,
    secret_key: str = SECRET_KEY,
    token: str = "",
    when: datetime | None = None,
    timeout: float = 5.0,
    stream: bool = False,
) -> requests.Response:
    text = canonical_query(query)
    headers = {"Host": urlsplit(emulator.url).netloc, "X-Project-Id": PROJECT}
    if token:
        headers["X-Security-Token"] = token
    ready = signed(
        method,
        path,
        text,
        headers,
        body,
        access_key=access_key,
        secret_key=secret_key,
        when=when or datetime.now(timezone.utc),
    )
    url = f"{emulator.url}{path}" + (f"?{text}" if text else "")
    return requests.request(method, url, headers=ready, data=body, timeout=timeout, stream=stream)


def remove(region: Region, session: str, *sources: str) -> requests.Response:
    return change(region, f"{SESSIONS}/{session}/remove-sources", sources)


def add(region: Region, session: str, *sources: str) -> requests.Response:
    return change(region, f"{SESSIONS}/{session}/add-sources", sources)


def change(region: Region, path: str, sources: Iterable[str]) -> requests.Response:
    names = ",".join(f'"{each}"' for each in sources)
    body = f'{{"traffic_mirror_session":{{"traffic_mirror_sources":[{names}]}}}}'.encode()
    return ask(region.emulator, path, method="PUT", body=body)


# --- what the documents leave open ---------------------------------------------------------------------


def test_an_absent_source_rejects_the_whole_removal_or_does_not_matter(region: Region) -> None:
    session = region.cloud.add_session(PROJECT, sources=["here"])
    assert remove(region, session, "here", "absent").status_code == 400
    assert region.cloud.sources(PROJECT)[session] == ("here",)
    region.emulator.behaviour = Behaviour(absent_source="ignore")
    assert remove(region, session, "here", "absent").status_code == 200
    assert region.cloud.sources(PROJECT)[session] == ()


@pytest.mark.parametrize(("behaviour", "status", "shown"), [(404, 404, None), (400, 400, None), (0, 200, [])])
def test_a_vanished_marker_is_not_found_or_invalid_or_ends_the_list(
    new_region: NewRegion, behaviour: Any, status: int, shown: list[str] | None
) -> None:
    region = new_region(behaviour=Behaviour(vanished_marker=behaviour))
    region.cloud.add_session(PROJECT)
    answer = ask(region.emulator, SESSIONS, [("marker", "vanished")])
    assert answer.status_code == status
    assert answer.json().get("traffic_mirror_sessions") == shown


def test_an_unknown_id_in_a_filter_is_left_out_or_not_found(region: Region) -> None:
    port = region.cloud.add_port(PROJECT)
    asked = [("id", port), ("id", "unknown")]
    assert [each["id"] for each in ask(region.emulator, f"/v3/{PROJECT}/ports", asked).json()["ports"]] == [port]
    region.emulator.behaviour = Behaviour(unknown_id_in_filter="404")
    assert ask(region.emulator, f"/v3/{PROJECT}/ports", asked).json()["error_code"] == "VPC.2502"


def test_a_filter_that_is_not_honoured_shows_all(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(honours_id_filter=False))
    ports = sorted(region.cloud.add_port(PROJECT) for _ in range(3))
    shown = ask(region.emulator, f"/v3/{PROJECT}/ports", [("id", ports[0])]).json()["ports"]
    assert [each["id"] for each in shown] == ports


def test_a_hidden_interface_is_in_no_list_and_shown_all_the_same(region: Region) -> None:
    port = region.cloud.add_port(PROJECT)
    region.emulator.behaviour = Behaviour(hidden_from_lists=frozenset({port}))
    assert ask(region.emulator, f"/v3/{PROJECT}/ports").json()["ports"] == []
    assert ask(region.emulator, f"/v3/{PROJECT}/ports", [("id", port)]).json()["ports"] == []
    assert ask(region.emulator, f"/v3/{PROJECT}/ports/{port}").json()["port"]["id"] == port


def test_each_version_of_the_ports_has_its_own_shapes(region: Region) -> None:
    port = region.cloud.add_port(PROJECT)
    v3, v1, v2 = (f"/v3/{PROJECT}/ports", f"/v1/{PROJECT}/ports", "/v2.0/ports")
    assert [("page_info" in ask(region.emulator, path).json()) for path in (v3, v1, v2)] == [True, False, False]
    assert [ask(region.emulator, f"{path}/{port}").json()["port"]["id"] for path in (v3, v1, v2)] == [port] * 3
    missing = [ask(region.emulator, f"{path}/missing") for path in (v3, v1, v2)]
    assert [each.status_code for each in missing] == [404] * 3
    assert [next(iter(each.json())) for each in missing] == ["error_code", "code", "NeutronError"]


def test_a_version_that_the_region_does_not_publish_is_the_gateways_404(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(ports_versions=("v2.0",)))
    port = region.cloud.add_port(PROJECT)
    refused = [ask(region.emulator, f"/{version}/{PROJECT}/ports/{port}").json() for version in ("v3", "v1")]
    assert [each["error_code"] for each in refused] == ["APIGW.0101"] * 2
    assert ask(region.emulator, f"/v2.0/ports/{port}").status_code == 200


def test_a_stale_removal_shows_the_session_as_it_was(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(stale_removals=True))
    session = region.cloud.add_session(PROJECT, sources=["a", "b"])
    answer = remove(region, session, "a").json()
    assert answer["traffic_mirror_session"]["traffic_mirror_sources"] == ["a", "b"]
    assert region.cloud.sources(PROJECT)[session] == ("b",)


def test_a_deletion_leaves_the_sessions_alone_or_takes_the_interface_out(region: Region) -> None:
    first, second = region.cloud.add_port(PROJECT), region.cloud.add_port(PROJECT)
    session = region.cloud.add_session(PROJECT, sources=[first, second])
    assert ask(region.emulator, f"/v1/{PROJECT}/ports/{first}", method="DELETE").status_code == 204
    assert region.cloud.sources(PROJECT)[session] == (first, second)
    region.emulator.behaviour = Behaviour(deletion_detaches=True)
    assert ask(region.emulator, f"/v1/{PROJECT}/ports/{second}", method="DELETE").status_code == 204
    assert region.cloud.sources(PROJECT)[session] == (first,)
    assert ask(region.emulator, f"/v1/{PROJECT}/ports/{second}", method="DELETE").status_code == 404


def test_an_attached_interface_can_be_deleted_only_where_that_is_allowed(new_region: NewRegion) -> None:
    region = new_region(behaviour=Behaviour(deletion_needs_detached=True))
    attached, detached = region.cloud.add_port(PROJECT, device_id="server"), region.cloud.add_port(PROJECT)
    refused = ask(region.emulator, f"/v1/{PROJECT}/ports/{attached}", method="DELETE")
    assert (refused.status_code, refused.json()["code"]) == (400, "VPC.2500")
    assert ask(region.emulator, f"/v1/{PROJECT}/ports/{detached}", method="DELETE").status_code == 204


# --- quotas and bodies -----------------------------------------------------------------------------------


def test_a_session_takes_ten_sources_and_a_source_three_sessions(region: Region) -> None:
    ports = [region.cloud.add_port(PROJECT) for _ in range(11)]
    full = region.cloud.add_session(PROJECT, sources=ports[:10])
    assert add(region, full, ports[10]).status_code == 409
    others = [region.cloud.add_session(PROJECT) for _ in range(3)]
    assert [add(region, other, ports[0]).status_code for other in others] == [200, 200, 409]
    assert remove(region, full, ports[0]).status_code == 200
    assert add(region, others[2], ports[0]).status_code == 200


def test_only_an_interface_that_exists_becomes_a_source(region: Region) -> None:
    session = region.cloud.add_session(PROJECT)
    assert add(region, session, "no-interface").status_code == 404
    assert region.cloud.sources(PROJECT)[session] == ()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"traffic_mirror_session":[]}',
        b'{"traffic_mirror_session":{"traffic_mirror_sources":[]}}',
        b'{"traffic_mirror_session":{"traffic_mirror_sources":"a"}}',
        b'{"traffic_mirror_session":{"traffic_mirror_sources":[1]}}',
    ],
)
def test_a_removal_without_a_list_of_sources_is_invalid(region: Region, body: bytes) -> None:
    session = region.cloud.add_session(PROJECT, sources=["a"])
    path = f"{SESSIONS}/{session}/remove-sources"
    assert ask(region.emulator, path, method="PUT", body=body).status_code == 400
    assert region.cloud.sources(PROJECT)[session] == ("a",)


@pytest.mark.parametrize("limit", ["2001", "-1", "many"])
def test_a_page_has_at_most_two_thousand(region: Region, limit: str) -> None:
    assert ask(region.emulator, SESSIONS, [("limit", limit)]).status_code == 400


def test_a_body_that_lacks_what_is_required_creates_nothing(region: Region) -> None:
    body = b'{"traffic_mirror_session":{"name":"watch","priority":"x","traffic_mirror_sources":["a"]}}'
    assert ask(region.emulator, SESSIONS, method="POST", body=body).status_code == 400
    assert region.cloud.sources(PROJECT) == {}


def test_a_path_that_is_none_is_the_gateways_404(region: Region) -> None:
    answer = ask(region.emulator, "/v3/elsewhere")
    assert (answer.status_code, answer.json()["error_code"]) == (404, "APIGW.0101")


# --- the door --------------------------------------------------------------------------------------------


def test_a_key_is_locked_after_more_than_five_failures_in_a_row_and_opens_five_minutes_later(
    new_region: NewRegion,
) -> None:
    clock = [NOW]
    region = new_region(now=lambda: clock[0])

    def failing(signed_with: str = "wrong") -> tuple[int, bool]:
        answer = ask(region.emulator, SESSIONS, secret_key=signed_with, when=clock[0])
        return answer.status_code, "forbidden" in answer.text

    assert [failing() for _ in range(5)] == [(401, False)] * 5
    assert failing(SECRET_KEY) == (200, False)  # and the count begins again
    assert [failing() for _ in range(6)] == [(401, False)] * 6
    assert failing(SECRET_KEY) == (401, True)
    clock[0] += timedelta(minutes=4, seconds=59)
    assert failing(SECRET_KEY) == (401, True)
    clock[0] += timedelta(seconds=1)
    assert failing(SECRET_KEY) == (200, False)


@pytest.mark.parametrize(("minutes", "status"), [(14, 200), (-14, 200), (16, 401), (-16, 401)])
def test_a_clock_may_be_fifteen_minutes_off(new_region: NewRegion, minutes: int, status: int) -> None:
    region = new_region(now=lambda: NOW)
    assert ask(region.emulator, SESSIONS, when=NOW + timedelta(minutes=minutes)).status_code == status


def test_a_temporary_key_needs_its_token(new_region: NewRegion) -> None:
    region = new_region(keys={ACCESS_KEY: (SECRET_KEY, "token")})
    statuses = [ask(region.emulator, SESSIONS, token=token).status_code for token in ("token", "", "another")]
    assert statuses == [200, 401, 401]


def test_a_request_without_a_signature_is_refused_where_keys_are_known(new_region: NewRegion) -> None:
    assert requests.get(new_region().emulator.url + SESSIONS, timeout=5).status_code == 401
    assert requests.get(new_region(keys=None).emulator.url + SESSIONS, timeout=5).status_code == 200


# --- what goes wrong ---------------------------------------------------------------------------------------


def test_over_the_rate_limit_the_gateway_answers_429(new_region: NewRegion) -> None:
    region = new_region(rate_limit=0, retry_after=7)
    answer = ask(region.emulator, SESSIONS)
    assert (answer.status_code, answer.json()["error_code"]) == (429, "APIGW.0308")
    assert answer.headers["Retry-After"] == "7"


def test_a_fault_strikes_at_its_operation_as_often_as_it_says_after_what_it_skips(region: Region) -> None:
    session = region.cloud.add_session(PROJECT)
    region.emulator.faults.append(Fault("show_session", status=503, times=2, skip=1, headers={"Retry-After": "1"}))
    assert ask(region.emulator, SESSIONS).status_code == 200
    answers = [ask(region.emulator, f"{SESSIONS}/{session}") for _ in range(4)]
    assert [each.status_code for each in answers] == [200, 503, 503, 200]
    assert answers[1].headers["Retry-After"] == "1"
    assert [call.status for call in region.emulator.calls] == [200, 200, 503, 503, 200]


@pytest.mark.parametrize(("kind", "left"), [("reset", ("a",)), ("lost", ()), ("truncate", ())])
def test_an_answer_breaks_off_before_or_after_the_removal_was_done(
    region: Region, kind: Any, left: tuple[str, ...]
) -> None:
    session = region.cloud.add_session(PROJECT, sources=["a"])
    region.emulator.faults.append(Fault("remove_sources", kind))
    with pytest.raises(requests.RequestException):
        remove(region, session, "a")
    assert region.cloud.sources(PROJECT)[session] == left


def test_what_hangs_is_let_go_when_the_faults_are_cleared(region: Region) -> None:
    region.emulator.faults.append(Fault(kind="hang", times=-1))
    with pytest.raises(requests.ReadTimeout):
        ask(region.emulator, SESSIONS, timeout=0.2)
    region.emulator.clear_faults()
    assert ask(region.emulator, SESSIONS).status_code == 200


def test_an_answer_drips_until_the_faults_are_cleared(region: Region) -> None:
    region.emulator.faults.append(Fault(kind="drip"))
    answer = ask(region.emulator, f"/v3/{PROJECT}/ports/missing", stream=True)
    first = [answer.raw.read1(1000) for _ in range(2)]
    assert len(b"".join(first)) < 10
    region.emulator.clear_faults()
    assert b"".join([*first, answer.raw.read()]).endswith(b"}")


def test_a_call_can_be_held_before_it_takes_effect(region: Region) -> None:
    session = region.cloud.add_session(PROJECT, sources=["a"])
    held, go_on = threading.Event(), asyncio.Event()

    async def hold(operation: str) -> None:
        if operation == "remove_sources":
            held.set()
            await go_on.wait()

    region.emulator.hold = hold
    thread = threading.Thread(target=remove, args=(region, session, "a"))
    thread.start()
    assert held.wait(5)
    assert region.cloud.sources(PROJECT)[session] == ("a",)
    region.emulator.loop.call_soon_threadsafe(go_on.set)
    thread.join(5)
    assert region.cloud.sources(PROJECT)[session] == ()


def test_calls_are_counted_and_kept_in_order(region: Region) -> None:
    session = region.cloud.add_session(PROJECT, sources=["a"])
    ask(region.emulator, SESSIONS)
    remove(region, session, "a")
    assert region.emulator.counts == {"list_sessions": 1, "remove_sources": 1}
    assert [(each.operation, each.ids, each.access_key) for each in region.emulator.calls] == [
        ("list_sessions", (), ACCESS_KEY),
        ("remove_sources", ("a",), ACCESS_KEY),
    ]
    assert [each.operation for each in region.emulator.changes()] == ["remove_sources"]


def test_ids_are_the_same_for_the_same_seed() -> None:
    assert [Cloud(3).new_id() for _ in range(2)] == [Cloud(3).new_id() for _ in range(2)]
    assert Cloud(3).new_id() != Cloud(4).new_id()
