"""Ctrl-C: in every command, 130, and nothing that is half reported."""

from __future__ import annotations

import fcntl
import json
import signal
import sys
import termios

import pytest

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.cli.conftest import Start, Terminal, described, interrupted
from tests.support.function import check_report
from tests.support.processes import hold


def test_check_says_what_it_did_not_come_to_try(start: Start, settings: dict[str, str], emulator: Emulator) -> None:
    held = hold(emulator, "list_sessions")
    with start("check", "--json", settings=settings) as child:
        told = described("check", interrupted(child, held)[0])
    steps = {step["step"]: step for step in told["steps"]}
    assert not told["ok"]
    assert steps["clock"]["status"] == "ok"
    assert (steps["find an interface"]["status"], steps["find an interface"]["detail"]) == ("not_tried", "interrupted")


def test_sessions_names_the_project_that_it_did_not_come_to_list(
    start: Start, settings: dict[str, str], emulator: Emulator
) -> None:
    held = hold(emulator, "list_ports")
    with start("sessions", "--json", settings=settings) as child:
        output, errors = interrupted(child, held)
    told = described("sessions", output)
    assert (told["sessions"], len(told["failed"])) == ([], 1)
    assert "interrupted before " in errors
    assert "--deadline" not in errors


def test_detach_reports_what_was_under_way(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator, tenant: Tenant
) -> None:
    """The removal that Ctrl-C met is reported as what it became; the others were not begun, and say so."""
    held = hold(emulator, "remove_sources")
    with start("detach", dead, "--json", settings=settings) as child:
        output, errors = interrupted(child, held)
    report = json.loads(output)
    check_report(report)
    listing = {id_ for id_, sources in tenant.cloud.sources(PROJECT_ID).items() if dead in sources}
    assert len(listing) == 2
    for each in report["detachments"]:
        if each["session_id"] in listing:
            assert (each["status"], each["error"]["detail"][:11]) == ("failed", "interrupted")
        else:
            assert each["status"] == "detached" or "answer" in each["error"]["detail"]
    assert len(report["detachments"]) == 3
    assert emulator.counts["remove_sources"] == 1
    assert report["api_calls"] == sum(emulator.counts.values())
    assert "next: run it again to go on from here" in errors


def test_detach_begins_with_no_further_project(
    start: Start, settings: dict[str, str], dead: str, emulator: Emulator
) -> None:
    held = hold(emulator, "remove_sources")
    several = {**settings, "UNMIRROR_PROJECTS": f"{PROJECT_ID},another"}
    with start("detach", dead, "--json", settings=several) as child:
        output, errors = interrupted(child, held)
    report = json.loads(output)
    check_report(report)
    assert (report["parts"][0]["project_id"], len(report["parts"][0]["detachments"])) == (PROJECT_ID, 3)
    assert (report["parts"][1]["error"]["title"], report["parts"][1]["api_calls"]) == ("Interrupted", 0)
    assert "unmirror: project another: interrupted before " in errors


@pytest.mark.parametrize("command", ["explain", "replay"])
def test_a_command_that_waits_for_its_input_ends_at_once(start: Start, command: str) -> None:
    with start(command, "-") as child:
        assert child.stdin is not None
        child.stdin.write("{")
        child.stdin.flush()
        while _unread(child.stdin.fileno()):
            assert child.poll() is None
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (130, "unmirror: stopped\n")


def _unread(pipe: int) -> int:
    """Return how many bytes of a pipe nobody has read yet."""
    count = fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4)
    return int.from_bytes(count, sys.byteorder)


def test_on_a_terminal_the_cursor_comes_back(terminal: Terminal, settings: dict[str, str], emulator: Emulator) -> None:
    """Interrupted while the bar is shown."""
    emulator.latency = 0.1
    code, shown = terminal("sessions", settings=settings, interrupt_at="looking at")
    assert code == 130
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
    assert "Traceback" not in shown
