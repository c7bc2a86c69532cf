"""The sweep over real HTTP: the client, the emulator, and the lists that must not be believed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from handler.emulator.server import Behaviour, Cloud, Emulator, Fault
from handler.report import Report
from handler.service import Service

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
OTHER = "1e2d3c4b5a69788796a5b4c3d2e1f00f"
KEYS = {"EXAMPLEACCESSKEY": "example-secret-key-for-tests-only"}

Swept = Callable[..., Report]


@pytest.fixture
def cloud() -> Cloud:
    return Cloud()


@pytest.fixture
def emulator(cloud: Cloud) -> Iterator[Emulator]:
    with Emulator(cloud, keys=KEYS) as serving:
        yield serving


@pytest.fixture
def swept(emulator: Emulator) -> Iterator[Swept]:
    """Post that a sweep is due to a function with these settings."""
    services: list[Service] = []

    def sweep(payload: dict[str, Any] | None = None, **settings: str) -> Report:
        access_key, secret_key = next(iter(KEYS.items()))
        environ = {
            "HUAWEICLOUD_SDK_AK": access_key,
            "HUAWEICLOUD_SDK_SK": secret_key,
            "HUAWEICLOUD_SDK_PROJECT_ID": PROJECT,
            "UNMIRROR_VPC_ENDPOINT": emulator.url,
        }
        services.append(Service.from_env({**environ, **settings}))
        return services[-1].handle(payload or {"type": "io.unmirror.sweep.due.v1"})

    yield sweep
    for service in services:
        if service.client:
            service.client.close()


def seed(cloud: Cloud, *, sessions: int = 3, gone: int = 1, project_id: str = PROJECT) -> dict[str, tuple[str, ...]]:
    """Add sessions of ten, some of each gone; return what has to be left."""
    target = cloud.add_port(project_id)
    left = {}
    for _ in range(sessions):
        living = [cloud.add_port(project_id) for _ in range(10 - gone)]
        sources = [*living, *(cloud.new_id() for _ in range(gone))]
        left[cloud.add_session(project_id, sources=sources, target_id=target)] = tuple(living)
    return left


def test_a_timer_makes_it_find_what_no_event_told(cloud: Cloud, emulator: Emulator, swept: Swept) -> None:
    left = seed(cloud)
    report = swept(
        {"version": "v1.0", "time": "2026-01-02T03:00:00Z", "trigger_type": "TIMER", "trigger_name": "hourly"}
    )
    assert (report.outcome, report.status, report.envelope) == ("detached", 200, "timer")
    assert cloud.sources(PROJECT) == left
    assert report.sweep
    assert (report.sweep.gone, report.sweep.listed, report.sweep.complete) == (3, 27, True)
    assert report.api_calls == len(emulator.calls) == 1 + 1 + 3 + 3
    assert all(report.gone_request_ids.values())
    assert all(each.request_ids for each in report.detachments)


@pytest.mark.parametrize("sessions", [3, 30])
def test_a_list_that_does_not_honour_ids_detaches_only_what_is_gone(
    cloud: Cloud, emulator: Emulator, swept: Swept, sessions: int
) -> None:
    """It shows the first page of all interfaces, whatever it is asked for."""
    left = seed(cloud, sessions=sessions)
    emulator.behaviour = Behaviour(honours_id_filter=False)
    emulator.api.page_cap = 7
    assert swept().outcome == "detached"
    assert cloud.sources(PROJECT) == left


@pytest.mark.parametrize("sessions", [3, 30])
@pytest.mark.parametrize("shown", [0, 5])
def test_a_list_scoped_to_an_enterprise_project_detaches_only_what_is_gone(
    cloud: Cloud, emulator: Emulator, swept: Swept, sessions: int, shown: int
) -> None:
    """It shows some interfaces of the project, or none, and each answers when it is asked for by id."""
    left = seed(cloud, sessions=sessions)
    ports = cloud.ports(PROJECT)
    hidden = frozenset(ports[shown:])
    emulator.behaviour = Behaviour(hidden_from_lists=hidden)
    report = swept()
    assert report.outcome == "detached"
    assert cloud.sources(PROJECT) == left
    assert report.sweep
    assert report.sweep.hidden == len(hidden & {id_ for ids in left.values() for id_ in ids})


def test_a_list_that_answers_404_for_an_unknown_id_does_not_keep_it_from_working(
    cloud: Cloud, emulator: Emulator, swept: Swept
) -> None:
    """One version of the API documents that."""
    left = seed(cloud)
    emulator.behaviour = Behaviour(unknown_id_in_filter="404", ports_versions=("v1",))
    assert swept().outcome == "detached"
    assert cloud.sources(PROJECT) == left


def test_credentials_that_see_no_interface_change_nothing(cloud: Cloud, emulator: Emulator, swept: Swept) -> None:
    seed(cloud)
    before = cloud.sources(PROJECT)
    for id_ in cloud.ports(PROJECT):
        cloud.delete_port(id_)
    report = swept()
    assert (report.outcome, report.status, report.sweep and report.sweep.stop) == ("stopped", 200, "blind")
    assert cloud.sources(PROJECT) == before
    assert not emulator.changes()


def test_the_setting_limits_what_one_sweep_may_detach(cloud: Cloud, emulator: Emulator, swept: Swept) -> None:
    seed(cloud, sessions=5, gone=3)
    assert swept(UNMIRROR_SWEEP_LIMIT="14").outcome == "stopped"
    assert swept(UNMIRROR_SWEEP_LIMIT="14", UNMIRROR_DRY_RUN="1").outcome == "planned"
    assert not emulator.changes()
    assert swept(UNMIRROR_SWEEP_LIMIT="15").outcome == "detached"


def test_refused_verification_detaches_nothing(cloud: Cloud, emulator: Emulator, swept: Swept) -> None:
    """A 403 is not a 404, and a 404 of the gateway is not one of the VPC API."""
    seed(cloud)
    body = b'{"error_code":"VPC.2201","error_msg":"Policy doesn\'t allow vpc:ports:get","request_id":"r"}'
    emulator.faults.append(Fault("show_port", status=403, body=body, times=-1))
    report = swept()
    assert (report.outcome, report.status) == ("failed", 502)
    assert report.sweep
    assert report.sweep.unknown == 3
    assert not emulator.changes()


def test_several_projects_are_swept_one_after_another_and_a_failing_one_stops_no_other(
    cloud: Cloud, emulator: Emulator, swept: Swept
) -> None:
    left, others = seed(cloud), seed(cloud, project_id=OTHER)
    body = b'{"error_code":"VPC.2201","error_msg":"Policy doesn\'t allow","request_id":"r"}'
    emulator.faults.append(Fault("list_sessions", status=403, body=body))
    report = swept(UNMIRROR_PROJECTS=f"{PROJECT},{OTHER}")
    assert [(part.project_id, part.outcome) for part in report.parts] == [(PROJECT, "failed"), (OTHER, "detached")]
    assert (report.outcome, report.status) == ("partial", 502)
    assert cloud.sources(OTHER) == others
    assert cloud.sources(PROJECT) != left


def test_the_deadline_ends_it_cleanly_and_the_same_event_goes_on(
    cloud: Cloud, emulator: Emulator, swept: Swept
) -> None:
    left = seed(cloud, sessions=60)
    emulator.latency = 0.1
    payload = {"type": "io.unmirror.sweep.due.v1", "id": "nightly", "time": "2026-01-02T03:00:00Z"}
    report = swept(payload, UNMIRROR_DEADLINE="1", UNMIRROR_SWEEP_LIMIT="100%")
    assert (report.outcome, report.status, report.retry) == ("partial", 503, True)
    done = {each.session_id for each in report.detachments if each.status == "detached"}
    assert done <= {id_ for id_, sources in cloud.sources(PROJECT).items() if sources == left[id_]}
    emulator.latency = 0
    assert swept(payload).outcome == "detached"
    assert cloud.sources(PROJECT) == left
