"""What one delivery does from its payload to its report, over real HTTP: servers, projects, and several events."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.deadline import Clock
from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from handler.errors import BadEvent, NotConfigured, Overloaded
from handler.mirror.removal import still_exists
from handler.report import Report
from handler.service import MAX_SWEPT_PROJECTS, Service
from tests.support.clock import RealClock
from tests.support.cloud import FakeApi, FakeCloud
from tests.support.function import settings_for
from tests.support.tenant import cts, delete, deleted, operations, server_deleted, timer

DENIED = b'{"error_code":"VPC.2201","error_msg":"denied"}'
OTHER = "00000000000000000000000000000b0b"


@dataclass
class Skipping:
    """A clock on which a pause is over at once; `paused` runs at each of them."""

    paused: Callable[[], object] = lambda: None
    pauses: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return time.monotonic() + sum(self.pauses)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=sum(self.pauses))

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.paused()


@dataclass
class FakeClient:
    """The VPC API of several projects, each a fake cloud."""

    clouds: dict[str, FakeCloud]

    def api(self, project_id: str, key: object, *, on_call: Any, attempts: int) -> FakeApi:
        return FakeApi(self.clouds[project_id], on_call, project_id)


@pytest.fixture
def time_out() -> Skipping:
    return Skipping()


@pytest.fixture
def new_service(emulator: Emulator, time_out: Skipping) -> Callable[..., Service]:
    def make(**settings: Any) -> Service:
        threads = settings.pop("threads", 64)
        clock = Clock(time_out.monotonic, time_out.now, time_out.sleep)
        return Service(settings_for(emulator, **settings), clock=clock, jitter=lambda: 1.0, threads=threads)

    return make


@pytest.fixture
def service(new_service: Callable[..., Service]) -> Service:
    return new_service()


def deliver(service: Service, payload: object, seconds: float = 25.0) -> Report:
    return service.deliver(payload, deadline=service.deadline(seconds))


class TestServers:
    """A deleted server names no interface; the cloud may remove its interfaces at once, later, or not at all."""

    @pytest.fixture
    def server(self, tenant: Tenant) -> str:
        """A server with two interfaces, both mirrored."""
        server_id = tenant.cloud.add_server(PROJECT_ID, interfaces=2)
        tenant.cloud.add_session(
            PROJECT_ID,
            name="watched",
            target_id=tenant.interfaces["ids-sensor-a"],
            sources=tenant.cloud.ports_of(server_id),
        )
        return server_id

    def watched(self, tenant: Tenant) -> tuple[str, ...]:
        return list(tenant.cloud.sources(PROJECT_ID).values())[-1]

    def test_interfaces_that_are_gone_at_once_leave_by_a_sweep(
        self, service: Service, tenant: Tenant, server: str
    ) -> None:
        tenant.cloud.delete_server(server)
        report = deliver(service, server_deleted(server))
        assert (report.outcome, report.by, self.watched(tenant)) == ("detached", "server", ())
        assert report.sweep is not None
        assert report.sweep.detached == 2

    def test_interfaces_that_go_while_it_waits_leave_within_the_same_delivery(
        self, service: Service, tenant: Tenant, server: str, time_out: Skipping
    ) -> None:
        tenant.cloud.delete_server(server, ports="pending")
        time_out.paused = lambda: tenant.cloud.finish_deletion(server, 1)
        report = deliver(service, server_deleted(server))
        assert (report.outcome, self.watched(tenant)) == ("detached", ())
        assert time_out.pauses == pytest.approx([0.25, 0.75])

    def test_interfaces_that_stay_make_the_sender_come_again(
        self, service: Service, tenant: Tenant, server: str, emulator: Emulator, time_out: Skipping
    ) -> None:
        tenant.cloud.delete_server(server, ports="pending")
        tenant.cloud.finish_deletion(server, 1)
        report = deliver(service, server_deleted(server))
        assert (report.status, report.outcome, len(self.watched(tenant))) == (503, "still_exists", 2)
        assert report.sweep is None
        assert time_out.pauses == pytest.approx([0.25, 0.75, 1.5])
        assert operations(emulator) == ["list_sessions", *["list_ports"] * 4]

    def test_interfaces_that_no_list_shows_and_that_live_make_the_sender_come_again_too(
        self, service: Service, tenant: Tenant, server: str, emulator: Emulator
    ) -> None:
        hidden = tenant.cloud.ports_of(server)
        emulator.behaviour = Behaviour(hidden_from_lists=frozenset(hidden))
        tenant.cloud.delete_server(server, ports="pending")
        report = deliver(service, server_deleted(server))
        assert (report.status, report.outcome) == (503, "still_exists")
        assert {each.interface_id for each in report.kept} == {*hidden}
        tenant.cloud.finish_deletion(server)
        assert deliver(service, server_deleted(server)).outcome == "detached"

    def test_an_interface_that_lives_on_unbound_is_no_longer_the_servers(
        self, service: Service, tenant: Tenant, server: str
    ) -> None:
        kept = tenant.cloud.ports_of(server)[0]
        tenant.cloud.delete_server(server, keep=[kept])
        assert deliver(service, server_deleted(server)).outcome == "detached"
        assert self.watched(tenant) == (kept,)

    def test_a_server_without_mirrored_interfaces_costs_a_list_and_a_share_of_a_sweep(
        self, service: Service, tenant: Tenant, emulator: Emulator
    ) -> None:
        server = tenant.cloud.add_server(PROJECT_ID)
        report = deliver(service, server_deleted(server))
        assert (report.status, report.outcome) == (200, "nothing_to_do")
        assert operations(emulator) == ["list_sessions", "list_ports", "list_sessions", "list_ports"]

    def test_several_servers_of_one_delivery_share_list_and_sweep(
        self, service: Service, tenant: Tenant, server: str, emulator: Emulator
    ) -> None:
        second = tenant.cloud.add_server(PROJECT_ID)
        tenant.cloud.delete_server(server)
        tenant.cloud.delete_server(second)
        report = deliver(service, [server_deleted(server), server_deleted(second)])
        assert [part.outcome for part in report.parts] == ["detached", "detached"]
        assert [part.coalesced for part in report.parts] == [False, True]
        assert operations(emulator).count("list_sessions") == 2

    def test_a_list_that_fails_is_no_sweep(self, service: Service, emulator: Emulator, server: str) -> None:
        emulator.faults.append(Fault("list_ports", status=503))
        report = deliver(service, server_deleted(server))
        assert (report.status, report.sweep) == (503, None)

    def test_a_sweep_that_is_stopped_after_a_server_says_so(
        self, new_service: Callable[..., Service], tenant: Tenant, server: str
    ) -> None:
        tenant.cloud.delete_server(server)
        report = deliver(new_service(UNMIRROR_SWEEP_LIMIT="1"), server_deleted(server))
        assert (report.status, report.outcome, len(self.watched(tenant))) == (200, "stopped", 2)
        alive = (still_exists("an interface of the server", []),)
        seen_alive = Report("a server", "cts", sweep=report.sweep, kept=alive)
        assert (seen_alive.status, seen_alive.outcome) == (503, "stopped")


class TestProjects:
    @pytest.fixture
    def both(self, tenant: Tenant) -> Tenant:
        gone = tenant.cloud.add_port(OTHER)
        tenant.cloud.add_session(OTHER, name="elsewhere", target_id=tenant.cloud.add_port(OTHER), sources=[gone])
        tenant.cloud.delete_port(gone)
        return tenant

    def test_a_timer_sweeps_them_all_and_one_that_fails_stops_no_other(
        self, new_service: Callable[..., Service], both: Tenant, emulator: Emulator
    ) -> None:
        service = new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER}", HUAWEICLOUD_SDK_PROJECT_ID="")
        emulator.faults.append(Fault("list_sessions", status=403, body=DENIED))
        report = deliver(service, timer())
        assert sorted(part.status for part in report.parts) == [200, 502]
        assert report.part_kind == "projects"

    def test_each_part_at_each_level_says_how_long_the_delivery_took(
        self, new_service: Callable[..., Service], both: Tenant
    ) -> None:
        report = deliver(new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER}"), [timer(), timer()])
        told = {each.seconds for part in report.parts for each in (part, *part.parts)}
        assert told == {report.seconds}
        assert report.seconds > 0

    def test_more_projects_than_are_swept_at_a_time_share_the_time(self, new_service: Callable[..., Service]) -> None:
        projects = [f"{number:032}" for number in range(2 * MAX_SWEPT_PROJECTS + 1)]
        service = new_service(UNMIRROR_PROJECTS=",".join(projects), HUAWEICLOUD_SDK_PROJECT_ID="")
        report = deliver(service, timer())
        assert sorted(str(part.project_id) for part in report.parts) == projects
        assert {part.outcome for part in report.parts} == {"nothing_to_do"}

    def test_one_that_hangs_starves_no_other(self) -> None:
        healthy, opened = FakeCloud(RealClock()), threading.Event()
        healthy.add("s", ["a", "b"], gone=["a"])
        hanging = FakeCloud(RealClock())
        hanging.then("list_sessions", lambda: opened.wait(30))
        projects = {"a-hangs": hanging, "b-lives": healthy}
        environ = {"UNMIRROR_VPC_ENDPOINT": "https://vpc.example", "UNMIRROR_PROJECTS": ",".join(projects)}
        service = Service(environ, clock=healthy.clock.clock, jitter=lambda: 1.0, threads=64)
        service.client = FakeClient(projects)  # type: ignore[assignment]
        report = deliver(service, timer(), seconds=0.5)
        opened.set()
        assert [part.outcome for part in report.parts] == ["failed", "detached"]

    def test_an_event_that_names_none_needs_a_default(self, new_service: Callable[..., Service]) -> None:
        service = new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER}", HUAWEICLOUD_SDK_PROJECT_ID="")
        with pytest.raises(NotConfigured, match="HUAWEICLOUD_SDK_PROJECT_ID"):
            deliver(service, deleted("5d3b7f92-1c64-4e0a-b8d7-2a96e4c1f058"))

    def test_a_project_that_holds_its_threads_turns_others_of_it_away_and_no_other_project(
        self, new_service: Callable[..., Service], both: Tenant
    ) -> None:
        service = new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER}", threads=2)
        with service._bulkhead.slot([PROJECT_ID], service.deadline()):
            reports = [deliver(service, timer_for(project), seconds=0.05) for project in (PROJECT_ID, OTHER)]
        assert isinstance(reports[0].error, Overloaded)
        assert not isinstance(reports[1].error, Overloaded)

    def test_deliveries_to_several_hold_threads_of_their_own(
        self, new_service: Callable[..., Service], both: Tenant
    ) -> None:
        """They last as long as the slowest project; the others' own deliveries go on."""
        service = new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER}", threads=2)
        with service._bulkhead.slot([PROJECT_ID, OTHER], service.deadline()):
            assert deliver(service, timer_for(PROJECT_ID), seconds=10).status == 200
            mixed = deliver(service, [timer_for(PROJECT_ID), timer_for(OTHER)], seconds=0.05)
        assert isinstance(mixed.error, Overloaded)

    def test_deliveries_to_several_take_none_of_a_project_that_has_none_left(
        self, new_service: Callable[..., Service], both: Tenant
    ) -> None:
        service = new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER},third", threads=2)
        with service._bulkhead.slot([PROJECT_ID], service.deadline()):
            with pytest.raises(Overloaded), service._bulkhead.slot([PROJECT_ID, OTHER], service.deadline(0.05)):
                pass
            with service._bulkhead.slot([OTHER, "third"], service.deadline()):
                pass


CHECK = {"type": "io.unmirror.check.due.v1", "id": "check", "data": {}}


def timer_for(project_id: str) -> dict[str, Any]:
    return {"type": "io.unmirror.sweep.due.v1", "id": "due", "data": {"project_id": project_id}}


class TestSeveralEvents:
    def test_each_is_answered_and_the_worst_decides(self, service: Service, tenant: Tenant) -> None:
        gone, lives = delete(tenant), tenant.interfaces["web-2"]
        traces = [cts(gone, number=1), cts(lives, number=2), cts(gone, number=3, trace_name="createPort")]
        report = deliver(service, traces)
        assert [part.delivery_id for part in report.parts] == [each["cts"]["trace_id"] for each in traces]
        assert [part.outcome for part in report.parts] == ["detached", "still_exists", "ignored"]
        assert {part.seconds for part in report.parts} == {report.seconds}
        assert (report.status, report.outcome) == (503, "partial")

    def test_one_that_cannot_be_read_or_is_not_ours_costs_the_others_nothing(
        self, service: Service, tenant: Tenant
    ) -> None:
        gone = delete(tenant)
        report = deliver(service, [cts("no id"), cts(gone, project_id=OTHER), cts(gone)])
        assert [part.status for part in report.parts] == [400, 403, 200]
        assert report.status in (400, 403), "sent again it would be the same"
        assert gone not in str(tenant.cloud.sources(PROJECT_ID))

    def test_a_check_that_is_out_of_time_costs_the_others_nothing(
        self, service: Service, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("handler.calls.Calls.map", lambda *_: iter(()))
        report = deliver(service, [cts(delete(tenant)), CHECK])
        assert [part.outcome for part in report.parts] == ["detached", "failed"]
        assert report.status == 503

    def test_a_check_that_names_no_project_is_of_all_and_tells_the_worst(
        self, new_service: Callable[..., Service], emulator: Emulator
    ) -> None:
        emulator.faults.append(Fault("list_sessions", status=403, body=DENIED))
        report = deliver(new_service(UNMIRROR_PROJECTS=f"{PROJECT_ID},{OTHER}"), CHECK)
        assert [(part.project_id, part.outcome) for part in report.parts] == [
            (each, "checked") for each in sorted((PROJECT_ID, OTHER))
        ]
        assert report.reason == "2 projects, at worst: to be fixed: list sessions"

    def test_checks_one_after_another_share_their_threads(self, service: Service) -> None:
        before = threading.active_count()
        for _ in range(30):
            assert deliver(service, CHECK).outcome == "checked"
        assert threading.active_count() - before < 15

    def test_calls_that_they_share_are_counted_once(self, service: Service, tenant: Tenant, emulator: Emulator) -> None:
        gone = delete(tenant)
        report = deliver(service, [*(cts(gone, number=number) for number in range(9)), timer(), timer(), CHECK, CHECK])
        asked = {name: many for name, many in emulator.counts.items() if name != "unknown"}  # at the root
        assert report.api_calls == sum(asked.values())
        assert [part.coalesced for part in report.parts[9:11]] == [False, True]

    def test_none_that_can_be_read_is_an_error_of_the_delivery(self, service: Service) -> None:
        with pytest.raises(BadEvent):
            deliver(service, [cts("no id"), cts("none either")])


def test_a_report_tells_the_event_that_led_to_it(service: Service, tenant: Tenant) -> None:
    cause = deliver(service, cts(delete(tenant), age=60, user={"name": "terraform" * 9})).cause
    assert cause is not None
    assert (cause.operation, cause.actor) == ("VPC deletePort", ("terraform" * 9)[:64])
    assert 60 <= (cause.seconds or 0) < 90


def test_a_sweep_that_is_refused_names_the_sessions_that_cannot_be_read(
    service: Service, tenant: Tenant, emulator: Emulator
) -> None:
    tenant.cloud.add_session(PROJECT_ID, name="odd", sources=["odd id"], target_id=tenant.interfaces["ids-sensor-a"])
    emulator.faults.append(Fault("list_ports", status=403, body=b'{"error_code":"VPC.2201"}', times=-1))
    tenant.cloud.add_session(PROJECT_ID, name="many", sources=[tenant.cloud.new_id() for _ in range(300)])
    report = deliver(service, timer())
    assert (report.status, report.outcome, len(report.unreadable_sessions)) == (502, "failed", 1)


def test_an_emptied_session_that_the_api_lists_as_null_stops_nothing(
    service: Service, tenant: Tenant, emulator: Emulator
) -> None:
    emulator.behaviour = Behaviour(empty_sources="null")
    for name in ("vpn-gw", "jump-host"):
        assert deliver(service, deleted(delete(tenant, name))).outcome == "detached"
    assert deliver(service, timer()).outcome == "nothing_to_do"
