"""`unmirror check`: what works, and what to fix."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from handler.deadline import Deadline
from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from handler.model import Listing
from handler.service import Service
from handler.vpc.client import VpcApi
from handler.vpc.credentials import AccessKey
from tests.support.cli import Run, Start, described, interrupted
from tests.support.function import settings_for
from tests.support.golden import same
from tests.support.processes import hold

EVENT = {"type": "io.unmirror.check.due.v1", "id": "console", "data": {}}
REFUSAL = b'{"error_code": "VPC.2201", "error_msg": "no"}'


def steps(printed: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the steps by name, of the only project."""
    return {step["step"]: step for step in printed["projects"][0]["steps"]}


def statuses(printed: dict[str, Any], status: str) -> set[str]:
    return {name for name, step in steps(printed).items() if step["status"] == status}


def test_where_all_is_well_it_says_so_and_changes_nothing(run: Run, emulator: Emulator) -> None:
    same("check", run.shown("check"))
    printed = run.json("check")
    assert (printed["ok"], statuses(printed, "failed"), statuses(printed, "skipped")) == (
        True,
        set(),
        {"remove sources"},
    )
    assert emulator.changes() == []


def test_a_pipe_gets_a_step_a_line_and_nothing_secret(run: Run) -> None:
    result = run("check", UNMIRROR_PROTECT="ids-*", UNMIRROR_DRY_RUN="1")
    assert result.stdout.splitlines()[0] == (
        f"ok\tsettings: region not set; project {PROJECT_ID}; protected: ids-*; dry run"
    )
    assert all(line.split("\t")[0] in ("ok", "skipped") for line in result.stdout.splitlines())
    assert SECRET_KEY not in result.output
    assert ACCESS_KEY not in result.output


@pytest.mark.parametrize(
    ("operation", "step", "permission"),
    [
        ("list_sessions", "list sessions", "vpc:trafficMirrorSessions:list"),
        ("show_session", "show a session", "vpc:trafficMirrorSessions:get"),
        ("show_port", "show an interface", "vpc:ports:get"),
        ("list_ports", "list interfaces", "vpc:ports:list"),
    ],
)
def test_each_call_that_is_refused_is_named_with_its_permission_and_its_request(
    run: Run, emulator: Emulator, operation: str, step: str, permission: str
) -> None:
    emulator.faults.append(Fault(operation, status=403, body=REFUSAL, times=-1))
    printed = run.json("check", exit_code=1)
    assert statuses(printed, "failed") == {step}
    assert permission in steps(printed)[step]["detail"]
    assert steps(printed)[step]["request_id"]
    result = run("check")
    assert f"it cannot work here: {step}; " in result.stderr
    assert "(request 0" in result.stderr
    assert "\nnext: " in result.stderr


def test_a_key_that_is_not_accepted_fails_once(run: Run, emulator: Emulator) -> None:
    printed = run.json("check", exit_code=1, HUAWEICLOUD_SDK_SK="marked-wrong")
    assert statuses(printed, "failed") == {"list sessions"}
    assert "access key" in steps(printed)["list sessions"]["detail"]
    assert "locks a key" in steps(printed)["list sessions"]["detail"]
    assert "show an interface" in statuses(printed, "skipped")
    assert sum(call.status == 401 and bool(call.access_key) for call in emulator.calls) == 1


def test_no_key_says_which_profile_file_was_looked_for(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handler.vpc.credentials.METADATA", "http://127.0.0.1:9")  # no machine of the cloud's
    printed = run.json("check", exit_code=1, HUAWEICLOUD_SDK_AK="", HUAWEICLOUD_SDK_SK="")
    assert statuses(printed, "failed") == {"credentials"}
    assert f"{run.home}/.huaweicloud/credentials" in steps(printed)["credentials"]["detail"]
    assert steps(printed)["calls"]["status"] == "skipped"


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [("http://127.0.0.1:9", "the connection is refused"), ("https://127.0.0.1:PORT", "does not speak TLS")],
)
def test_an_endpoint_that_is_none_is_one_thing_to_fix(run: Run, emulator: Emulator, endpoint: str, words: str) -> None:
    endpoint = endpoint.replace("PORT", emulator.url.rpartition(":")[2])
    printed = run.json("check", "--endpoint", endpoint, exit_code=1)
    assert statuses(printed, "failed") == {"endpoint"}
    assert words in steps(printed)["endpoint"]["detail"]


def test_an_endpoint_that_is_a_web_page_is_said_to_be_one(run: Run, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", status=200, body=b"<html>login</html>", times=-1))
    printed = run.json("check", exit_code=1)
    assert "web page" in steps(printed)["list sessions"]["detail"]


def test_the_endpoint_is_named_with_the_reason_for_it(run: Run) -> None:
    result = run("check", "--region", "eu-west-101", "--deadline", "0.01")
    assert "endpoint https://vpc.eu-west-101.myhuaweicloud.eu (" in result.stderr.splitlines()[0]
    assert "eu-west-1" in result.stderr.splitlines()[0].partition(".eu (")[2]


@pytest.mark.parametrize(("minutes", "status", "words"), [(60, "failed", "behind"), (-2, "warning", "ahead")])
def test_a_clock_that_is_off_is_said(run: Run, cloud: Cloud, minutes: int, status: str, words: str) -> None:
    with Emulator(cloud, now=lambda: datetime.now(UTC) + timedelta(minutes=minutes)) as late:
        printed = run.json("check", exit_code=int(status == "failed"), **settings_for(late, UNMIRROR_TRUST=""))
    assert steps(printed)["clock"]["status"] == status
    assert words in steps(printed)["clock"]["detail"]


def test_every_project_is_tried_and_one_without_sessions_is_a_warning(run: Run) -> None:
    printed = run.json("check", UNMIRROR_PROJECTS=f"0,{PROJECT_ID}")
    assert [project["project_id"] for project in printed["projects"]] == ["0", PROJECT_ID]
    assert statuses(printed, "warning") == {"list sessions"}
    assert "is it the right project" in steps(printed)["list sessions"]["fix"]
    assert steps(printed)["show a session"]["status"] == "skipped"


def test_a_list_that_shows_less_than_there_is_is_a_warning(run: Run, emulator: Emulator, cloud: Cloud) -> None:
    emulator.behaviour = Behaviour(hidden_from_lists=frozenset(cloud.ports(PROJECT_ID)))
    assert statuses(run.json("check"), "warning") == {"list interfaces"}


def test_ctrl_c_lets_it_say_how_far_it_came(start: Start, settings: dict[str, str], emulator: Emulator) -> None:
    held = hold(emulator, "list_sessions")
    with start("check", "--json", **settings) as child:
        output, errors = interrupted(child, held)
    printed = described("check", output)
    assert statuses(printed, "ok") >= {"settings", "credentials", "endpoint", "clock"}
    assert (statuses(printed, "failed"), printed["ok"]) == (set(), False)
    assert "interrupted" in steps(printed)["show an interface"]["detail"]
    assert "interrupted before the end of the check\nnext: " in errors
    assert "it cannot work here" not in errors


def test_a_project_whose_check_hangs_takes_no_time_from_another(
    run: Run, monkeypatch: pytest.MonkeyPatch, emulator: Emulator
) -> None:
    list_sessions, released = VpcApi.list_sessions, threading.Event()

    def hang(api: VpcApi, deadline: Deadline) -> Listing:
        if api.project_id == "0":
            released.wait(20)
        return list_sessions(api, deadline)

    monkeypatch.setattr(VpcApi, "list_sessions", hang)
    printed = run.json("check", "--deadline", "2", exit_code=1, UNMIRROR_PROJECTS=f"0,{PROJECT_ID}")
    released.set()
    hung, other = printed["projects"]
    assert [step["step"] for step in hung["steps"]] == ["settings", "credentials", "endpoint", "clock"]
    assert {step["status"] for step in other["steps"]} == {"ok", "skipped"}


@pytest.fixture
def service(settings: dict[str, str]) -> Iterator[Service]:
    service = Service(settings)
    yield service
    service.client.close()


def test_the_key_that_comes_with_an_event_is_the_one_that_is_tried(service: Service, emulator: Emulator) -> None:
    report = service.deliver(EVENT, deadline=service.deadline(20), key=AccessKey("another", "key"))
    found = {step.step: step for step in report.check or ()}
    assert found["credentials"].detail == "the key that came with the delivery"
    assert found["list sessions"].status == "failed"
    assert {call.access_key for call in emulator.calls} == {"", "another"}


def test_an_event_that_asks_for_a_check_gets_the_same_steps(service: Service, run: Run) -> None:
    report = service.deliver(EVENT, deadline=service.deadline(20))
    assert report.outcome == "checked"
    assert [step.step for step in report.check or ()] == list(steps(run.json("check")))
