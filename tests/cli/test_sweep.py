"""`unmirror sweep`: all projects, for people, for machines and for tickets."""

from __future__ import annotations

import csv
import json
import signal

import pytest

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Behaviour, Emulator, Fault
from tests.cli.conftest import Run, Start, Terminal, interrupted
from tests.cli.golden import same
from tests.support.function import check_report
from tests.support.processes import hold


def test_what_is_gone_leaves_and_the_table_says_so(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant
) -> None:
    tenant.cloud.delete_port(tenant.interfaces["ids-sensor-b"])
    result = run("sweep", settings=settings)
    assert (result.exit_code, result.stderr) == (0, "")
    same("sweep", result.stdout)
    assert all(dead not in sources for sources in tenant.cloud.sources(PROJECT_ID).values())


def test_a_dry_run_shows_the_plan_and_changes_nothing(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    result = run("sweep", "--dry-run", settings=settings)
    assert result.exit_code == 0
    same("sweep-dry-run", result.stdout)
    assert emulator.changes() == []


def test_over_the_limit_it_stops_with_3_and_says_how_to_go_on(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    result = run("sweep", "--limit", "0", settings=settings)
    assert result.exit_code == 3
    same("sweep-stopped", result.stdout)
    assert "unmirror sweep --limit" in result.stderr
    assert "\nnext: `unmirror sweep --dry-run`" in result.stderr
    assert emulator.changes() == []
    assert run("sweep", "--limit", "50%", settings=settings).exit_code == 0


def test_a_project_that_fails_does_not_stop_the_others(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    """The first is the one that sorts first, and it is refused."""
    refusal = b'{"error_code": "VPC.2201", "error_msg": "no", "request_id": "req-7"}'
    emulator.faults.append(Fault("list_sessions", status=403, body=refusal))
    both = {**settings, "UNMIRROR_PROJECTS": f"0-refused,{PROJECT_ID}"}
    result = run("sweep", settings=both)
    assert result.exit_code == 1
    same("sweep-two-projects", result.stdout)
    assert "project 0-refused: " in result.stderr
    assert "vpc:trafficMirrorSessions:list" in result.stderr


def test_what_is_to_be_looked_at_is_named(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant, emulator: Emulator
) -> None:
    """A session left empty, one near its quota, one protected, a target gone, and an interface that is hidden."""
    for name in ("mail-1", "mail-2", "ids-sensor-a"):
        tenant.cloud.delete_port(tenant.interfaces[name])
    full = [tenant.interfaces[f"{kind}-{number}"] for kind in ("pay", "db") for number in range(1, 5)]
    tenant.cloud.set_sources(PROJECT_ID, tenant.sessions["ids-databases"], [*full, tenant.interfaces["web-1"]])
    emulator.behaviour = Behaviour(hidden_from_lists=frozenset({tenant.interfaces["db-1"]}))
    protecting = {**settings, "UNMIRROR_PROTECT": "pci-*"}
    result = run("sweep", "--dry-run", settings=protecting)
    assert result.exit_code == 0
    same("sweep-warnings", result.stdout)
    for_tickets = run("sweep", "--format", "csv", settings=protecting)
    rows = list(csv.DictReader(for_tickets.stdout.splitlines()))
    whats = {row["what"] for row in rows}
    assert {row["session_name"] for row in rows if row["what"] == "protected"} == {"pci-payments"}
    assert whats == {"detached", "protected", "no_target", "emptied", "near_quota"}


def test_a_ticket_says_why_a_sweep_stopped(run: Run, settings: dict[str, str], dead: str) -> None:
    result = run("sweep", "--limit", "0", "--format", "markdown", settings=settings)
    assert result.exit_code == 3
    assert result.stdout.startswith("**stopped**: stopped and changed nothing")


def test_a_table_of_many_says_how_many_more(run: Run, settings: dict[str, str], tenant: Tenant) -> None:
    ids = [tenant.cloud.new_id() for _ in range(120)]
    tenant.cloud.set_sources(PROJECT_ID, tenant.sessions["mail-dlp"], ids)
    shown = run("sweep", "--dry-run", "--limit", "500", settings=settings).stdout
    assert "and 20 more" in shown
    assert shown.count("would leave") == 100
    all_of_them = run("sweep", "--limit", "500", "--format", "csv", settings=settings).stdout
    assert all(id_ in all_of_them for id_ in ids)


def test_one_project_of_several(run: Run, settings: dict[str, str], dead: str) -> None:
    both = {**settings, "UNMIRROR_PROJECTS": f"another,{PROJECT_ID}"}
    report = json.loads(run("sweep", "--project", "another", "--json", settings=both).stdout)
    assert (report["project_id"], report["outcome"], report["parts"]) == ("another", "nothing_to_do", [])


def test_json_is_the_report_and_nothing_else(run: Run, settings: dict[str, str], dead: str) -> None:
    result = run("sweep", "--json", settings=settings)
    report = json.loads(result.stdout)
    check_report(report, 200)
    assert report["sweep"]["gone"] == 1


def test_csv_has_a_row_for_each_finding_and_no_formulas(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant
) -> None:
    tenant.cloud.update_session(PROJECT_ID, tenant.sessions["ids-api-tier"], {"name": '=cmd|"x"'})
    result = run("sweep", "--dry-run", "--format", "csv", settings=settings)
    rows = list(csv.DictReader(result.stdout.splitlines()))
    assert {row["session_name"] for row in rows} == {'\'=cmd|"x"', "pci-payments", "forensics-case-17"}
    assert {(row["project_id"], row["what"], row["interface_id"]) for row in rows} == {(PROJECT_ID, "planned", dead)}


def test_markdown_is_a_table_that_a_name_cannot_break(
    run: Run, settings: dict[str, str], dead: str, tenant: Tenant
) -> None:
    tenant.cloud.update_session(PROJECT_ID, tenant.sessions["ids-api-tier"], {"name": "a|b\n<img>"})
    result = run("sweep", "--dry-run", "--format", "markdown", settings=settings)
    first, _, heading, *rows = result.stdout.splitlines()
    assert first.startswith("**planned**: dry run")
    assert heading.startswith("| project_id | what |")
    assert len(rows) == 4
    assert any(r"a\|b \<img\>" in row for row in rows)


def test_csv_names_what_was_kept_and_what_failed(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    kept = run("sweep", "--format", "csv", settings={**settings, "UNMIRROR_PROTECT": "ids-*"})
    whats = [row["what"] for row in csv.DictReader(kept.stdout.splitlines())]
    assert sorted(whats) == ["detached", "detached", "protected"]
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code": "VPC.2201"}', times=-1))
    failed = run("sweep", "--format", "csv", settings=settings)
    (row,) = csv.DictReader(failed.stdout.splitlines())
    assert (failed.exit_code, row["what"]) == (1, "failed")


@pytest.mark.parametrize("wrong", [["--limit", "many"], ["--format", "pdf"], ["--json", "--format", "csv"], ["x"]])
def test_wrong_usage_is_a_2(run: Run, settings: dict[str, str], wrong: list[str]) -> None:
    assert run("sweep", *wrong, settings=settings).exit_code == 2


def test_a_deadline_ends_it_and_says_how_to_go_on(
    run: Run, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    emulator.faults.append(Fault("list_ports", "hang", times=-1))
    result = run("sweep", "--deadline", "0.3", settings=settings)
    emulator.clear_faults()
    assert result.exit_code == 1
    assert "next: " in result.stderr


def test_ctrl_c_ends_it_and_what_was_under_way_is_reported(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator, tenant: Tenant
) -> None:
    """It comes while the first removals are under way."""
    held = hold(emulator, "remove_sources")
    with start("sweep", "--json", settings=settings) as child:
        report = json.loads(interrupted(child, held)[0])
    check_report(report)
    told = {each["session_name"]: each["status"] for each in report["detachments"]}
    sources = tenant.cloud.sources(PROJECT_ID)
    holders = ("ids-api-tier", "pci-payments", "forensics-case-17")
    assert {name for name in holders if dead not in sources[tenant.sessions[name]]} <= set(told)
    assert told
    assert set(told.values()) <= {"detached", "failed"}  # failed: the answer that came could no longer be read
    assert all(each["error"] for each in report["detachments"] if each["status"] == "failed")


@pytest.mark.parametrize("form", ["csv", "markdown"])
def test_a_ticket_says_that_it_was_interrupted_and_names_no_deadline(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator, form: str
) -> None:
    held = hold(emulator, "list_sessions")
    with start("sweep", "--format", form, settings=settings) as child:
        output, errors = interrupted(child, held)
    assert "interrupted" in output
    assert "time" not in output
    assert "interrupted before " in errors
    assert errors.splitlines()[-1].startswith("next: run it again")


def test_the_second_ctrl_c_waits_for_nothing(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    emulator.faults.append(Fault("list_ports", "hang", times=-1))
    with start("sweep", settings=settings) as child:
        while not emulator.counts.get("list_ports"):
            assert child.poll() is None
        assert child.stderr is not None
        child.send_signal(signal.SIGINT)
        assert "once more ends it at once" in child.stderr.readline()
        child.send_signal(signal.SIGINT)
        output, _ = child.communicate(timeout=5)
    emulator.clear_faults()
    assert (child.returncode, output) == (130, "")


@pytest.mark.parametrize(("given", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_on_a_terminal_it_shows_progress_and_colours_unless_told_not_to(
    terminal: Terminal, settings: dict[str, str], dead: str, given: dict[str, str], coloured: bool
) -> None:
    code, shown = terminal("sweep", "--dry-run", settings={**settings, **given})
    assert code == 0
    assert "looking" in shown or "clearing" in shown
    assert ("\x1b[36mplanned" in shown) == coloured
    assert "would leave" in shown
