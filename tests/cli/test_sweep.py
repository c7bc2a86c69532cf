"""`unmirror sweep`: all projects, for people, for pipes and for machines."""

from __future__ import annotations

import signal

import pytest

from handler.emulator.operations import Behaviour, Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support.cli import Run, Start, described, interrupted, on_terminal
from tests.support.golden import same
from tests.support.processes import hold

REFUSAL = b'{"error_code": "VPC.2201", "error_msg": "no"}'


def test_what_is_gone_leaves_and_is_shown_by_session(run: Run, dead: str, tenant: Tenant) -> None:
    tenant.cloud.delete_port(tenant.interfaces["ids-sensor-b"])
    same("sweep", run.shown("sweep"))
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


def test_a_dry_run_shows_what_would_be_and_changes_nothing(run: Run, dead: str, emulator: Emulator) -> None:
    result = run("sweep", "--dry-run")
    assert (result.exit_code, len(result.stderr.splitlines())) == (0, 1)
    assert "; dry run; " in result.stderr
    same("sweep-dry-run-pipe", result.stdout, width=None)
    figures = run.json("sweep", "--dry-run")["sweep"]
    assert [figures[name] for name in ("detached", "would_detach", "places_freed", "would_free")] == [0, 1, 0, 3]
    assert emulator.changes() == []


def test_over_the_limit_it_stops_with_3_and_says_how_to_go_on(run: Run, dead: str, emulator: Emulator) -> None:
    result = run("sweep", "--limit", "0")
    assert result.exit_code == 3
    same("sweep-stopped", result.stdout, width=None)
    assert "unmirror sweep --limit" in result.stderr
    assert "\nnext: `unmirror sweep --dry-run`" in result.stderr
    assert emulator.changes() == []
    assert run("sweep", "--limit", "50%").exit_code == 0


@pytest.mark.parametrize("wrong", [["--limit", "many"], ["--limit", "101%"], ["--format", "csv"], ["x"]])
def test_wrong_usage_is_a_2_and_shows_the_value(run: Run, wrong: list[str]) -> None:
    result = run("sweep", *wrong)
    assert result.exit_code == 2
    assert wrong[-1 if wrong[0] == "--limit" else 0] in result.stderr


def test_a_project_that_fails_does_not_stop_the_others(run: Run, dead: str, emulator: Emulator) -> None:
    """They are swept side by side; the one that asks first is refused."""
    emulator.faults.append(Fault("list_sessions", status=403, body=REFUSAL))
    result = run("sweep", UNMIRROR_PROJECTS=f"another,{PROJECT_ID}")
    assert result.exit_code == 1
    assert result.stdout.count("project\t") == 1
    assert ("\nunmirror: project another: " in result.stderr) != (
        f"\nunmirror: project {PROJECT_ID}: " in result.stderr
    )
    assert "vpc:trafficMirrorSessions:list" in result.stderr
    assert "\nrequest: " in result.stderr


def test_one_project_of_several_and_one_without_sessions_is_asked_about(run: Run, dead: str) -> None:
    result = run("sweep", "--project", "another", UNMIRROR_PROJECTS=f"another,{PROJECT_ID}")
    assert result.exit_code == 0
    assert "project another has no traffic mirror session at http://127.0.0.1:" in result.stderr
    assert ": is it the right one?\n" in result.stderr
    assert "\nnext: each region has projects of its own" in result.stderr


def test_what_is_to_be_looked_at_is_named(run: Run, dead: str, tenant: Tenant, emulator: Emulator) -> None:
    """A session left empty, one protected, a target gone, and an interface that no list shows."""
    for name in ("mail-1", "mail-2", "ids-sensor-a"):
        tenant.cloud.delete_port(tenant.interfaces[name])
    emulator.behaviour = Behaviour(hidden_from_lists=frozenset({tenant.interfaces["db-1"]}))
    same("sweep-warnings", run.shown("sweep", "--dry-run", UNMIRROR_PROTECT="pci-*"))


def test_a_terminal_shows_a_hundred_of_many_and_a_pipe_all(run: Run, tenant: Tenant) -> None:
    ids = [tenant.cloud.new_id() for _ in range(120)]
    tenant.cloud.set_sources(PROJECT_ID, tenant.sessions["mail-dlp"], ids)
    shown = run.shown("sweep", "--dry-run", "--limit", "500")
    assert "and 20 more" in shown
    assert shown.count("would detach ") == 101  # one of them in the reason
    piped = run("sweep", "--dry-run", "--limit", "500").stdout
    assert all(id_ in piped for id_ in ids)


def test_a_deadline_ends_it_and_says_how_to_go_on(run: Run, dead: str, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_ports", "hang", times=-1))
    result = run("sweep", "--deadline", "0.3")
    emulator.clear_faults()
    assert result.exit_code == 1
    assert "next: " in result.stderr


def test_ctrl_c_ends_it_and_what_it_left_untried_is_called_so(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator, tenant: Tenant
) -> None:
    """It comes while the first removals are under way."""
    held = hold(emulator, "remove_sources")
    for name in (*(f"web-{number}" for number in range(1, 5)), "db-1", "mail-1", "build-1", "vpn-gw"):
        tenant.cloud.delete_port(tenant.interfaces[name])
    with start("sweep", "--json", "--limit", "100", **settings) as child:
        report = described("sweep", interrupted(child, held)[0])
    sources = tenant.cloud.sources(PROJECT_ID)
    assert report["detachments"]
    for each in report["detachments"]:
        left = not set(each["interface_ids"]) & set(sources[each["session_id"]])
        assert each["status"] in ({"detached", "failed"} if left else {"not_tried"}), each
        assert bool(each["error"]) is (each["status"] != "detached")


def test_the_second_ctrl_c_waits_for_nothing(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    held = hold(emulator, "list_ports")
    with start("sweep", **settings) as child:
        assert held.reached.wait(20)
        child.send_signal(signal.SIGINT)
        assert child.stderr is not None
        while "once more ends it at once" not in child.stderr.readline():
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=30)
    held.go_on.set()
    assert (child.returncode, output) == (130, "")


def test_the_first_ctrl_c_is_heard_while_the_api_lets_us_wait(
    start: Start, settings: dict[str, str], emulator: Emulator
) -> None:
    emulator.faults.append(Fault("list_sessions", status=503, headers={"Retry-After": "30"}, times=-1))
    with start("sweep", **settings) as child:
        while not emulator.counts.get("list_sessions"):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=25)
    assert child.returncode == 130
    assert "\nnext: run it again" in errors


@pytest.mark.parametrize(("given", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_has_progress_and_colours_unless_told_not_to(
    start: Start, settings: dict[str, str], dead: str, given: dict[str, str], coloured: bool
) -> None:
    code, shown = on_terminal(start, "sweep", "--dry-run", **settings, **given)
    assert code == 0
    assert "listing the sessions" in shown
    assert ("\x1b[36mplanned" in shown) == coloured
    assert "would detach" in shown
