"""`unmirror replay`: what the function did not do is done here."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.operations import Fault
from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator
from tests.support.cli import TERMINAL, Run, Start, described, interrupted
from tests.support.golden import same
from tests.support.processes import hold

NOTHING = "6134900d-31a6-4b71-8453-dbca7f26982a"


def event(interface_id: str, number: int = 1, **data: Any) -> dict[str, Any]:
    return {
        "type": "io.unmirror.interface.deleted.v1",
        "id": f"letter-{number}",
        "time": "2026-01-02T03:04:05Z",
        "data": {"interface_ids": [interface_id], **data},
    }


def lines(*payloads: object) -> str:
    return "".join(f"{json.dumps(payload)}\n" for payload in payloads)


@pytest.fixture
def dead(tenant: Tenant) -> list[str]:
    """Four interfaces that are deleted, and still in sessions."""
    ids = [tenant.interfaces[name] for name in ("api-3", "web-1", "web-2", "db-2")]
    for id_ in ids:
        tenant.cloud.delete_port(id_)
    return ids


def still_mirrored(tenant: Tenant, ids: list[str]) -> set[str]:
    return {id_ for sources in tenant.cloud.sources(PROJECT_ID).values() for id_ in sources} & set(ids)


def test_every_line_is_worked_off_and_the_summary_says_how_each_ended(
    run: Run, dead: list[str], tenant: Tenant
) -> None:
    given = lines(*(event(id_, number) for number, id_ in enumerate(dead)), event(NOTHING, 9)) + '\n{"half": \n{}\n'
    result = run("replay", "-", given=given, **TERMINAL)
    assert result.exit_code == 1
    same("replay", result.stdout)
    assert "2 of 7 did not end well; 0 of them can end differently later" in result.stderr
    assert "\nnext: correct what the rules name; `unmirror explain FILE`" in result.stderr
    assert still_mirrored(tenant, dead) == set()


def test_a_check_that_finds_something_to_fix_did_not_end_well(run: Run, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body={"error_code": "VPC.2201", "error_msg": ""}))
    result = run("replay", "-", given=lines({"type": "io.unmirror.check.due.v1", "id": "1", "data": {}}))
    assert (result.exit_code, "to be fixed: list sessions" in result.stdout) == (1, True)


def test_a_pipe_gets_a_line_for_each_event(run: Run, dead: list[str]) -> None:
    result = run("replay", "-", given=lines(event(dead[0]), event(NOTHING)))
    assert [line.split("\t")[:2] for line in result.stdout.splitlines()] == [
        ["line 1", "detached"],
        ["line 2", "nothing to do"],
    ]


@pytest.mark.parametrize("form", ["lines", "array", "failure notification", "dead letter", "smn", "stored by CTS"])
def test_it_reads_every_form_in_which_events_are_kept(
    run: Run, dead: list[str], tenant: Tenant, tmp_path: Path, form: str
) -> None:
    payload = event(dead[0])
    context = {"request_id": "1c7e94d0", "function_urn": f"urn:fss:cn-north-4:{PROJECT_ID}:function:default:u:latest"}
    failure = {
        "timestamp": "2026-01-02T03:09:11.250Z",
        "request_context": {**context, "condition": "UnhandledInvocationError", "approximate_invoke_count": 3},
        "request_payload": json.dumps(payload),
        "response_context": {"status_code": 500, "function_error": "UnhandledInvocationError"},
        "response_payload": "{}",
    }
    attributes = {"specversion": "1.0", "id": "1", "source": "/x", "type": payload["type"], "knativeerrorcode": "503"}
    topic = f"urn:smn:cn-north-4:{PROJECT_ID}:deleted"
    smn = {"type": "Notification", "topic_urn": topic, "message_id": "m", "message": json.dumps(payload)}
    trace = {"trace_id": "t", "trace_name": "deletePort", "service_type": "VPC", "resource_type": "ports"}
    trace |= {"resource_id": dead[0], "trace_rating": "normal", "project_id": PROJECT_ID}
    written = {
        "lines": lines(payload).encode(),
        "array": json.dumps([payload], indent=2).encode(),
        "failure notification": lines(failure).encode(),
        "dead letter": lines({**attributes, "data": payload["data"]}).encode(),
        "smn": lines({**smn, "timestamp": "2026-01-02T03:04:05Z"}).encode(),
        "stored by CTS": gzip.compress(json.dumps([trace]).encode()),
    }
    file = tmp_path / "letters"
    file.write_bytes(written[form])
    printed = run.json("replay", str(file))
    assert (printed["events"], printed["outcomes"]) == (1, {"detached": 1})
    assert still_mirrored(tenant, dead[:1]) == set()


def test_a_dry_run_changes_nothing_and_nothing_is_remembered(run: Run, dead: list[str], emulator: Emulator) -> None:
    given = lines(event(dead[0]))
    assert run.json("replay", "-", "--dry-run", given=given)["outcomes"] == {"planned": 1}
    assert emulator.changes() == []
    assert [list(run.json("replay", "-", given=given)["outcomes"]) for _ in range(2)] == [
        ["detached"],
        ["nothing_to_do"],
    ]


def test_a_stopped_sweep_is_not_called_done(run: Run, dead: list[str]) -> None:
    sweep = {"type": "io.unmirror.sweep.due.v1", "id": "1", "data": {}}
    result = run("replay", "-", given=lines(sweep), UNMIRROR_SWEEP_LIMIT="0")
    assert (result.exit_code, result.stdout[:14]) == (3, "line 1\tstopped")


def test_a_foreign_project_explains_how_to_act_in_it(run: Run, dead: list[str]) -> None:
    given = lines(event(dead[0], project_id="another"))
    result = run("replay", "-", given=given)
    assert (result.exit_code, result.stdout[:16]) == (1, "line 1\tforbidden")
    assert "\nnext: add the project to UNMIRROR_PROJECTS, or act in it alone: --project" in result.stderr


def test_after_many_failures_in_a_row_the_rest_is_not_tried(run: Run, emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code": "VPC.2201"}', times=-1))
    given = lines(*(event(f"6134900d-31a6-4b71-8453-{number:012d}", number) for number in range(60)))
    printed = run.json("replay", "-", given=given, exit_code=1)
    assert set(printed["outcomes"]) == {"failed", "not_tried"}
    assert printed["results"][-1]["report"]["reason"] == "skipped: 20 before it failed in a row"
    assert emulator.counts["list_sessions"] < 60


def test_an_item_of_an_array_that_is_not_strict_json_costs_the_others_nothing(run: Run, dead: list[str]) -> None:
    content = f'[{json.dumps(event(dead[0]))}, {{"a": 1, "a": 2}}]'
    printed = json.loads(run("replay", "-", "--json", given=content).stdout)
    assert printed["outcomes"] == {"detached": 1, "unreadable": 1}


def test_what_was_skipped_does_not_advise_to_go_on_with_a_key_that_is_refused(run: Run, emulator: Emulator) -> None:
    emulator.keys.clear()
    given = lines(*(event(f"6134900d-31a6-4b71-8453-{number:012d}", number) for number in range(60)))
    result = run("replay", "-", given=given)
    assert (result.exit_code, "not tried" in result.stdout) == (1, True)
    assert "\nnext: correct the key before you run this again" in result.stderr


def test_an_empty_file_is_nothing_to_do(run: Run) -> None:
    assert run("replay", "-", given="[]").exit_code == 0
    assert run("replay", "-", given="\n").exit_code == 0


def test_without_settings_it_says_what_to_set_and_tries_nothing(tmp_path: Path) -> None:
    result = Run(tmp_path, {})("replay", "-", given=lines(event(NOTHING)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("unmirror: set UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT; ")


def test_ctrl_c_lets_what_is_under_way_end_and_calls_the_rest_not_tried(
    start: Start, settings: dict[str, str], dead: list[str], emulator: Emulator, tmp_path: Path
) -> None:
    held = hold(emulator, "remove_sources")
    file = tmp_path / "letters"
    file.write_text(lines(event(dead[0]), *(event(NOTHING, number) for number in range(100))))
    with start("replay", str(file), "--json", **settings) as child:
        printed = described("replay", interrupted(child, held)[0])
    assert printed["events"] == 101
    assert {result["outcome"] for result in printed["results"]} <= {
        *("detached", "partial", "nothing_to_do", "not_tried", "failed"),
    }
    assert printed["results"][0]["report"]
