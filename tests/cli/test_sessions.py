"""`unmirror sessions`: what is mirrored where, and what of it is gone."""

from __future__ import annotations

from typing import Any

import pytest

from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support.cli import Run, Start, described, interrupted, on_terminal
from tests.support.golden import same
from tests.support.processes import hold

NOTHING = "6134900d-31a6-4b71-8453-dbca7f26982a"
REFUSAL = b'{"error_code": "VPC.2201"}'


def listed(run: Run, *arguments: str, **settings: str) -> dict[str, Any]:
    return {each["name"]: each for each in run.json("sessions", *arguments, **settings)["sessions"]}


def test_what_is_gone_and_what_is_protected_is_marked(run: Run, dead: str, tenant: Tenant, emulator: Emulator) -> None:
    tenant.cloud.delete_port(tenant.interfaces["ids-sensor-b"])
    options = ("sessions", "--name", "[ep]*")
    same("sessions", run.shown(*options, UNMIRROR_PROTECT="edge-*"))
    same("sessions-pipe", run(*options, UNMIRROR_PROTECT="edge-*").stdout, width=None)
    assert listed(run, UNMIRROR_PROTECT="edge-*")["edge-access"]["protected"]
    assert emulator.changes() == []


def test_nothing_is_promised_of_a_sweep_that_it_will_not_do(run: Run, dead: str) -> None:
    shown = run.shown("sessions", UNMIRROR_PROTECT="*")
    assert "8 sessions; 1 source gone, in 3 places, 3 of them protected\n" in shown
    assert "sweep" not in shown
    assert "`unmirror sweep --dry-run` shows what a sweep would detach" in run.shown("sessions")


def test_filters_narrow_what_is_listed(run: Run, tenant: Tenant) -> None:
    names = {"ids-api-tier", "pci-payments", "forensics-case-17"}
    assert set(listed(run, "--interface", tenant.interfaces["api-3"].upper())) == names
    to_a = {"ids-web-tier", "ids-api-tier", "forensics-case-17", "build-chain"}
    assert set(listed(run, "--target", tenant.interfaces["ids-sensor-a"])) == to_a
    assert set(listed(run, "--name", "ids-*")) == {"ids-web-tier", "ids-api-tier", "ids-databases"}
    assert len(listed(run)) == 8
    wrong = run("sessions", "--interface", "web-1")
    assert (wrong.exit_code, "'web-1' is no UUID" in wrong.stderr) == (2, True)


def test_an_id_is_called_what_it_is_and_gone_only_a_source(run: Run, dead: str, tenant: Tenant) -> None:
    sensor, lost, session = tenant.interfaces["ids-sensor-a"], tenant.interfaces["ids-sensor-b"], "ids-databases"
    tenant.cloud.delete_port(lost)
    states = {
        dead: ("gone", 3, 0),
        tenant.interfaces["web-1"]: ("exists", 1, 0),
        sensor: ("exists", 0, 4),
        lost: ("target", 0, 4),
        tenant.sessions[session]: ("session", 0, 0),
        NOTHING: ("unknown", 0, 0),
    }
    shown = ""
    for id_, (state, mirroring, targeting) in states.items():
        asked = run.json("sessions", "--interface", id_)["interface"]
        assert (asked["state"], len(asked["mirrored_by"]), len(asked["target_of"])) == (state, mirroring, targeting)
        shown += run.shown("sessions", "--interface", id_, "--name", "none")
    same("sessions-interface", shown)


def test_a_list_that_shows_less_marks_nothing_as_gone(run: Run, tenant: Tenant, emulator: Emulator) -> None:
    emulator.behaviour = Behaviour(hidden_from_lists=frozenset(tenant.interfaces.values()))
    sessions = listed(run)
    assert {source["state"] for each in sessions.values() for source in each["sources"]} == {"exists"}
    assert sessions["ids-web-tier"]["room"] == 2


def test_what_the_api_does_not_answer_is_undecided(run: Run, tenant: Tenant, emulator: Emulator) -> None:
    tenant.cloud.delete_port(tenant.interfaces["mail-1"])
    emulator.faults.append(Fault("show_port", status=403, body=REFUSAL, times=-1))
    states = [source["state"] for source in listed(run)["mail-dlp"]["sources"]]
    assert states == ["undecided", "exists"]
    assert "0 sources gone; 1 source undecided" in run.shown("sessions")


def test_what_is_no_interface_is_not_checked(run: Run, tenant: Tenant) -> None:
    tenant.cloud.add_session(
        PROJECT_ID, name="vip", type="eip", sources=["1.2.3.4"], target_type="elb", target_id="elb-1"
    )
    session = listed(run, "--name", "vip")["vip"]
    assert (session["target"]["state"], session["sources"][0]["state"]) == ("not_checked", "not_checked")


def test_no_session_at_all_asks_whether_it_is_the_right_project(run: Run) -> None:
    result = run("sessions", "--project", "another")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "project another has no traffic mirror session at http://127.0.0.1:" in result.stderr


def test_a_project_that_cannot_be_listed_does_not_stop_the_others(run: Run, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body=REFUSAL))
    result = run("sessions", UNMIRROR_PROJECTS=f"0,{PROJECT_ID}")
    assert result.exit_code == 1
    assert "ids-databases" in result.stdout
    assert "project 0: " in result.stderr
    assert "vpc:trafficMirrorSessions:list" in result.stderr


@pytest.mark.parametrize("command", [("sessions",), ("sweep", "--dry-run"), ("detach", "DEAD"), ("sessions", "--json")])
def test_a_name_from_the_cloud_moves_no_cursor(run: Run, dead: str, tenant: Tenant, command: tuple[str, ...]) -> None:
    """In any output, errors too: of a session that is protected by such a name."""
    for session in ("ids-api-tier", "pci-payments"):
        tenant.cloud.update_session(PROJECT_ID, tenant.sessions[session], {"name": "x\x1b[2J\r\n\u202e\tred"})
    command = tuple(dead if each == "DEAD" else each for each in command)
    for result in (run(*command, UNMIRROR_PROTECT="x*"), run(*command, FORCE_COLOR="1", UNMIRROR_PROTECT="x*")):
        coloured = result.output
        for number in ("0", "1", "31", "32", "33", "36"):
            coloured = coloured.replace(f"\x1b[{number}m", "")  # our own
        assert not {"\x1b", "\r", "\u202e"} & set(coloured)
        assert "x�[2J���" in coloured or "x\\u001b[2J" in coloured


def test_ctrl_c_names_the_project_that_it_did_not_come_to_list(
    start: Start, settings: dict[str, str], emulator: Emulator
) -> None:
    held = hold(emulator, "list_ports")
    with start("sessions", "--json", **settings) as child:
        output, errors = interrupted(child, held)
    printed = described("sessions", output)
    assert (printed["sessions"], len(printed["failed"])) in (([], 1), (printed["sessions"], 0))
    assert "--deadline" not in errors


def test_on_a_terminal_ctrl_c_leaves_a_clean_line(start: Start, settings: dict[str, str], emulator: Emulator) -> None:
    """While the progress is shown."""
    emulator.latency = 0.1
    code, shown = on_terminal(start, "sessions", interrupt_at="listing the", **settings)
    assert code == 130
    assert "\r\x1b[K" in shown.rpartition("listing the")[2]
    assert "Traceback" not in shown


def test_on_a_terminal_an_error_takes_the_place_of_the_progress(
    start: Start, settings: dict[str, str], emulator: Emulator
) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body=REFUSAL))
    code, shown = on_terminal(start, "sessions", **{**settings, "UNMIRROR_PROJECTS": f"0,{PROJECT_ID}"})
    assert code == 1
    assert "listing the sessions of 0" in shown
    assert "\r\x1b[Kunmirror: project 0: " in shown


def test_a_session_that_cannot_be_read_is_named(run: Run, tenant: Tenant) -> None:
    session = tenant.sessions["mail-dlp"]
    tenant.cloud.update_session(PROJECT_ID, session, {"traffic_mirror_sources": "none"})
    result = run("sessions")
    assert f"session {session} cannot be read: " in result.stderr
    assert "ids-databases" in result.stdout
