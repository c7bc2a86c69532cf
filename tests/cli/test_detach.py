"""`unmirror detach`: take named interfaces out, if they are gone."""

from __future__ import annotations

import re

import pytest

from handler.emulator.operations import Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support.cli import Run, Start, described, interrupted
from tests.support.golden import same
from tests.support.processes import hold

NOTHING = "6134900d-31a6-4b71-8453-dbca7f26982a"
REFUSAL = b'{"error_code": "VPC.2201", "error_msg": "no"}'


@pytest.fixture
def several(settings: dict[str, str]) -> dict[str, str]:
    """Two projects; the one that sorts first has no sessions."""
    return {"HUAWEICLOUD_SDK_PROJECT_ID": "", "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"}


def test_a_deleted_interface_leaves_its_sessions(run: Run, dead: str, tenant: Tenant) -> None:
    same("detach", run.shown("detach", dead.upper()))
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


def test_more_than_one_delivery_takes_is_wrong_usage(run: Run, emulator: Emulator, several: dict[str, str]) -> None:
    ids = [f"6134900d-31a6-4b71-8453-{number:012x}" for number in range(5001)]
    result = run("detach", *ids, **several)
    assert (result.exit_code, "at most 5,000 ids at a time" in result.stderr) == (2, True)
    assert emulator.calls == []


def test_a_dry_run_says_what_would_be_done_and_changes_nothing(run: Run, dead: str, emulator: Emulator) -> None:
    result = run("detach", dead, "--dry-run")
    assert result.exit_code == 0
    same("detach-dry-run-pipe", result.stdout, width=None)
    assert run.json("detach", dead, "--dry-run")["outcome"] == "planned"
    assert emulator.changes() == []


def test_every_project_is_looked_in_and_those_that_list_it_are_shown(
    run: Run, several: dict[str, str], dead: str, tenant: Tenant
) -> None:
    planned = run.json("detach", dead, "--dry-run", **several)
    assert (planned["outcome"], [part["project_id"] for part in planned["parts"]]) == ("planned", ["0", PROJECT_ID])
    assert run.shown("detach", dead, **several).count("project  ") == 1
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


def test_of_several_projects_the_one_that_fails_is_named_and_the_others_are_done(
    run: Run, several: dict[str, str], dead: str, tenant: Tenant, emulator: Emulator
) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body=REFUSAL))
    result = run("detach", dead, **several)
    assert result.exit_code == 1
    assert "vpc:trafficMirrorSessions:list" in result.stderr
    failed = re.findall("unmirror: project ([^:]+): ", result.stderr)
    done = all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())
    assert failed == (["0"] if done else [PROJECT_ID])


def test_what_exists_hides_no_other_trouble(run: Run, dead: str, tenant: Tenant, emulator: Emulator) -> None:
    emulator.faults.append(Fault("remove_sources", status=403, body=REFUSAL, times=-1))
    living = tenant.interfaces["db-1"]
    result = run("detach", living, dead)
    assert result.exit_code == 1
    assert "vpc:trafficMirrorSessions:removeSource" in result.stderr
    assert f"exists\t{living}\t\t{tenant.sessions['ids-databases']}\tids-databases\n" in result.stdout


# --- ids that are no source's -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("session", "no interface is known by this id; it is the id of session ids-databases (SESSION)"),
        ("target", "the interface exists; it is no source, but the target of session edge-access (EDGE), ids-databas"),
        ("lost target", "no interface is known by this id any more; it is the target of session edge-access (EDGE)"),
        ("nothing", "no interface, session or target is known by this id"),
    ],
)
def test_an_id_that_is_no_source_is_called_what_it_is_and_is_no_success(
    run: Run, tenant: Tenant, name: str, words: str
) -> None:
    target, session = tenant.interfaces["ids-sensor-b"], tenant.sessions["ids-databases"]
    if name == "lost target":
        tenant.cloud.delete_port(target)
    id_ = {"session": session, "nothing": NOTHING}.get(name, target)
    words = words.replace("SESSION", session).replace("EDGE", tenant.sessions["edge-access"])
    result = run("detach", id_)
    assert result.exit_code == 1
    assert f"unmirror: {id_}: {words}" in result.stderr
    assert "gone" not in result.output


def test_a_source_that_exists_stays_and_is_said_where(run: Run, tenant: Tenant) -> None:
    before = tenant.cloud.sources(PROJECT_ID)
    living, session = tenant.interfaces["db-1"], tenant.sessions["ids-databases"]
    result = run("detach", living)
    assert result.exit_code == 1
    assert f"{living}: the interface exists, so it stays in session ids-databases ({session})\n" in result.stderr
    assert tenant.cloud.sources(PROJECT_ID) == before


def test_an_interface_that_exists_in_no_session_is_nothing_to_do(run: Run, tenant: Tenant) -> None:
    spare = tenant.cloud.add_port(PROJECT_ID)
    result = run("detach", spare)
    assert result.exit_code == 0
    assert result.stdout == f"not mirrored\t{spare}\tthe interface exists, and no session lists it\n"


def test_a_session_that_cannot_be_read_is_named_where_no_other_lists_the_interface(run: Run, tenant: Tenant) -> None:
    session = tenant.sessions["mail-dlp"]
    tenant.cloud.update_session(PROJECT_ID, session, {"traffic_mirror_sources": "none"})
    result = run("detach", tenant.interfaces["mail-1"])
    assert "unreadable\t\t" in result.stdout
    assert session in result.stdout


def test_a_project_without_sessions_is_asked_about(run: Run, dead: str) -> None:
    result = run("detach", dead, "--project", "another")
    assert result.exit_code == 1
    assert "project another has no traffic mirror session" in result.stderr


@pytest.mark.parametrize("wrong", ["web-1", "6134900d-31a6-4b71-8453", "", "\x1b[2J"])
def test_what_can_be_no_id_is_wrong_usage_and_calls_nothing(run: Run, emulator: Emulator, wrong: str) -> None:
    result = run("detach", "--", wrong)
    assert result.exit_code == 2
    assert f"{wrong!r} is no UUID, like" in result.stderr
    assert "\x1b" not in result.stderr
    assert emulator.counts == {}
    assert run("detach").exit_code == 2


# --- time and signals -------------------------------------------------------------------------------------------


def test_a_deadline_is_that_of_all_projects(run: Run, several: dict[str, str], dead: str, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", "hang", times=-1))
    report = run.json("detach", dead, "--deadline", "0.2", exit_code=1, **several)
    emulator.clear_faults()
    assert report["outcome"] == "failed"
    assert emulator.counts.get("list_sessions", 0) <= 1
    assert [part["error"]["status"] for part in report["parts"]] == [503, 503]


def test_ctrl_c_reports_what_was_under_way_and_begins_nothing_more(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator, tenant: Tenant
) -> None:
    held = hold(emulator, "remove_sources")
    with start("detach", dead, "--json", **settings) as child:
        output, _ = interrupted(child, held)
    detachments = described("detach", output)["detachments"]
    listing = {id_ for id_, sources in tenant.cloud.sources(PROJECT_ID).items() if dead in sources}
    assert len(detachments) == 3
    for each in detachments:  # the answer to what was done may be lost, as failed
        assert (each["session_id"] in listing) <= (each["status"] != "detached"), each
        assert (each["status"] == "not_tried") <= (each["session_id"] in listing), each
