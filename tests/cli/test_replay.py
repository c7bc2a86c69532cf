"""`unmirror replay`: what was not answered is sent again, and what was is not."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import functions_framework
import pytest
from werkzeug.wrappers import Response

from handler.emulator.sample import PROJECT_ID, Tenant
from handler.emulator.server import Emulator, Fault
from tests.cli.conftest import Run, Start, described, interrupted, listening
from tests.cli.golden import same
from tests.support.function import check_report, settings_for
from tests.support.processes import hold

SECRET = "whsec_" + base64.b64encode(b"an example, and no secret").decode()


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


@contextmanager
def served(emulator: Emulator, **settings: str) -> Iterator[str]:
    """Serve the function over a real socket; yield its URL."""
    with patch.dict(os.environ, settings_for(emulator, **settings)):
        app = functions_framework.create_app("on_event", "tests/support/at_once.py", "http")
    with listening(app) as url:
        yield url


def still_mirrored(tenant: Tenant, ids: list[str]) -> set[str]:
    return {id_ for sources in tenant.cloud.sources(PROJECT_ID).values() for id_ in sources} & set(ids)


# --- what is read ---------------------------------------------------------------------------------------------


def test_lines_are_sent_again_and_the_summary_says_how_each_ended(
    run: Run, settings: dict[str, str], dead: list[str], tenant: Tenant
) -> None:
    payloads = [event(id_, number) for number, id_ in enumerate(dead)]
    given = lines(*payloads, payloads[0], event("6134900d-31a6-4b71-8453-dbca7f26982a", 9)) + '\n{"half": \n{}\n'
    result = run("replay", "-", settings=settings, given=given)
    assert result.exit_code == 1
    same("replay", result.stdout)
    assert "2 of 8 did not end well; 0 can be sent again" in result.stderr
    assert still_mirrored(tenant, dead) == set()


@pytest.mark.parametrize("form", ["lines", "array", "failure notification", "dead letter", "smn"])
def test_it_reads_every_form_in_which_deliveries_are_kept(
    run: Run, settings: dict[str, str], dead: list[str], tenant: Tenant, tmp_path: Path, form: str
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
    written = {
        "lines": lines(payload),
        "array": json.dumps([payload, payload], indent=2),
        "failure notification": lines(failure),
        "dead letter": lines({**attributes, "data": payload["data"]}),
        "smn": lines({**smn, "timestamp": "2026-01-02T03:04:05Z"}),
    }
    file = tmp_path / "letters"
    file.write_text(written[form])
    result = run("replay", str(file), "--json", settings=settings)
    told = described("replay", result.stdout)
    assert (result.exit_code, told["ended"]) == (0, {"detached": 1})
    check_report(told["endings"][0]["report"], 200)
    assert still_mirrored(tenant, dead[:1]) == set()


def test_without_settings_it_says_what_to_set_and_tries_nothing(run: Run) -> None:
    result = run("replay", "-", given='{"type": "io.unmirror.sweep.due.v1", "id": "1"}')
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("unmirror: set ")


def test_an_empty_file_is_nothing_to_do(run: Run, settings: dict[str, str]) -> None:
    assert run("replay", "-", settings=settings, given="[]").exit_code == 0
    assert run("replay", "-", settings=settings, given="\n").exit_code == 0


def test_a_dry_run_changes_nothing_and_settles_nothing(
    run: Run, settings: dict[str, str], dead: list[str], emulator: Emulator, tmp_path: Path
) -> None:
    state, given = str(tmp_path / "state"), lines(event(dead[0]))
    planned = run("replay", "-", "--dry-run", "--resume", state, "--json", settings=settings, given=given)
    assert (planned.exit_code, json.loads(planned.stdout)["ended"]) == (0, {"planned": 1})
    assert emulator.changes() == []
    done = run("replay", "-", "--resume", state, "--json", settings=settings, given=given)
    assert json.loads(done.stdout)["ended"] == {"detached": 1}


# --- what is left, and going on -------------------------------------------------------------------------------


def test_only_what_was_not_answered_is_sent_again(
    run: Run, settings: dict[str, str], dead: list[str], emulator: Emulator, tmp_path: Path
) -> None:
    """The second one is refused at first; a line of the state file is torn, as where a machine failed."""
    state, given = tmp_path / "state", lines(event(dead[0]), event(dead[1], 2))
    command = ("replay", "-", "--in-flight", "1", "--resume", str(state))
    emulator.faults.append(Fault("show_port", status=403, body=b'{"error_code": "VPC.2201"}', skip=1))
    first = run(*command, settings=settings, given=given)
    assert first.exit_code == 1
    assert "1 of 2 did not end well; 1 can be sent again" in first.stderr
    assert "line 2" in first.stdout
    assert dead[0] not in state.read_text()
    with state.open("a") as torn:
        torn.write('{"deliv')
    calls = sum(emulator.counts.values())
    second = run(*command, "--json", settings=settings, given=given)
    told = described("replay", second.stdout)
    assert (second.exit_code, told["answered_before"], told["ended"]) == (0, 1, {"detached": 1})
    assert sum(emulator.counts.values()) - calls == 3
    third = run(*command, "--json", settings=settings, given=given)
    assert json.loads(third.stdout)["answered_before"] == 2


def test_what_ails_all_is_not_tried_with_each(run: Run, settings: dict[str, str], emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", status=403, body=b'{"error_code": "VPC.2201"}', times=-1))
    ids = (f"6134900d-31a6-4b71-8453-{number:012d}" for number in range(60))
    given = lines(*(event(id_, number) for number, id_ in enumerate(ids)))
    result = run("replay", "-", "--in-flight", "1", "--json", settings=settings, given=given)
    told = described("replay", result.stdout)
    assert (result.exit_code, told["ended"]) == (1, {"failed": 20, "not_sent": 40})
    assert told["left"] == 60


def test_events_of_other_projects_stop_none_of_ours(
    run: Run, settings: dict[str, str], dead: list[str], tenant: Tenant
) -> None:
    others = (event(dead[0], number, project_id=f"other-{number}") for number in range(30))
    given = lines(*others, event(dead[0], 99))
    result = run("replay", "-", "--in-flight", "1", settings=settings, given=given)
    assert result.exit_code == 1
    assert "(and 29 more)" in " ".join(result.stdout.split())
    assert still_mirrored(tenant, dead[:1]) == set()


def test_where_nothing_can_be_read_it_says_what_to_do(run: Run, settings: dict[str, str]) -> None:
    result = run("replay", "-", given='{"a": 1}\n{"b": 2}\n', settings=settings)
    assert result.exit_code == 1
    assert "0 can be sent again\nnext: give one of them to `unmirror explain`" in result.stderr


def test_people_are_told_once_of_each_way_of_not_ending_well(run: Run) -> None:
    given = lines(*({"number": number} for number in range(25)))
    result = run("replay", "-", "--url", "http://127.0.0.1:9/", "--in-flight", "1", given=given)
    assert result.exit_code == 1
    said = " ".join(result.stdout.split())
    assert "line 1 unanswered: no answer: ConnectionError (and 19 more)" in said
    assert "line 21 not sent: not sent, because 20 before it failed in a row (and 4 more)" in said


def test_a_deadline_leaves_the_rest(run: Run, settings: dict[str, str], dead: list[str], emulator: Emulator) -> None:
    emulator.faults.append(Fault("list_sessions", "hang", times=-1))
    given = lines(*(event(id_, number) for number, id_ in enumerate(dead)))
    result = run("replay", "-", "--deadline", "0.3", "--in-flight", "1", "--json", settings=settings, given=given)
    emulator.clear_faults()
    told = described("replay", result.stdout)
    assert (result.exit_code, told["left"]) == (1, 4)
    assert told["ended"]["not_sent"] >= 3


def test_ctrl_c_lets_what_is_under_way_end_and_leaves_the_rest(
    start: Start, settings: dict[str, str], dead: list[str], emulator: Emulator, tenant: Tenant, tmp_path: Path
) -> None:
    held = hold(emulator, "remove_sources")
    file, state = tmp_path / "letters", tmp_path / "state"
    file.write_text(lines(*(event(id_, number) for number, id_ in enumerate(dead))))
    command = ("replay", str(file), "--resume", str(state), "--in-flight", "1", "--json")
    with start(*command, settings=settings) as child:
        told = described("replay", interrupted(child, held)[0])
    assert told["ended"] == {"detached": 1, "not_sent": 3}
    assert still_mirrored(tenant, dead) == set(dead[1:])
    assert state.read_text().count("detached") == 1


def test_a_state_file_that_cannot_be_used_is_said_before_anything_is_sent(
    run: Run, settings: dict[str, str], dead: list[str], emulator: Emulator, tmp_path: Path
) -> None:
    nowhere = str(tmp_path / "nowhere" / "state")
    result = run("replay", "-", "--resume", nowhere, settings=settings, given=lines(event(dead[0])))
    assert result.exit_code == 1
    assert "the state file cannot be used: No such file or directory\nnext: " in result.stderr
    assert emulator.counts == {}


# --- to a function --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("door", "option", "variable"),
    [
        ({"UNMIRROR_WEBHOOK_SECRETS": SECRET}, "--secret-env", {"OURS": SECRET}),
        ({"UNMIRROR_BEARER_TOKENS": "let-me-in"}, "--token-env", {"OURS": "let-me-in"}),
    ],
)
def test_a_function_is_sent_what_it_admits(
    run: Run, emulator: Emulator, dead: list[str], tenant: Tenant, door: Mapping[str, str], option: str, variable: Any
) -> None:
    given = lines(*(event(id_, number) for number, id_ in enumerate(dead)))
    with served(emulator, **{"UNMIRROR_TRUST": "", **door}) as url:
        refused = run("replay", "-", "--url", url, "--json", given=given)
        admitted = run("replay", "-", "--url", url, option, "OURS", "--json", settings=variable, given=given)
    told = [json.loads(result.stdout[result.stdout.index("{\n") :]) for result in (refused, admitted)]  # after its log
    assert [result.exit_code for result in (refused, admitted)] == [1, 0]
    assert "next: say how the function admits you" in refused.stderr
    assert [(each["ended"], each["left"]) for each in told] == [({"refused": 4}, 4), ({"detached": 4}, 0)]
    assert still_mirrored(tenant, dead) == set()


@pytest.mark.parametrize(
    ("answer", "outcome", "left"),
    [
        (Response(status=302, headers={"Location": "/elsewhere"}), "refused", 1),
        (Response("<html>", status=503), "refused", 1),
        (Response("[1]", status=400), "unreadable", 0),
        (Response("OK", status=200), "answered", 0),
        (Response(status=204), "answered", 0),
    ],
)
def test_a_url_that_is_no_function_is_judged_by_its_status(run: Run, answer: Response, outcome: str, left: int) -> None:
    with listening(answer) as url:
        result = run("replay", "-", "--url", url, "--json", given=lines({"any": "payload"}))
    told = described("replay", result.stdout)
    assert (told["ended"], told["left"]) == ({outcome: 1}, left)
    assert result.exit_code == (0 if outcome == "answered" else 1)


def test_a_function_that_is_not_there_leaves_everything(run: Run, dead: list[str]) -> None:
    result = run("replay", "-", "--url", "http://127.0.0.1:9/", given=lines(event(dead[0])))
    assert result.exit_code == 1
    assert "unanswered: no answer" in result.stdout
    assert "next: run it again, with --resume FILE" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--secret-env", "NOT_SET", "--url", "https://f.example"], "not set"),
        (["--token-env", "SET", "--url", "http://f.example"], "https only"),
        (["--secret-env", "SET", "--url", "https://f.example"], "whsec_"),
        (["--url", "ftp://f.example"], "https://host/path"),
        (["--url", "https://me:marked@f.example"], "without a name or a password"),
        (["--url", "https://f.example", "--dry-run"], "its own settings"),
        (["--token-env", "SET"], "are for --url"),
        (["--resume", "/"], "directory"),
    ],
)
def test_wrong_usage_is_a_2_that_shows_no_secret(run: Run, options: list[str], said: str) -> None:
    result = run("replay", "-", *options, settings={"SET": "marked"}, given="[]")
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("\u2502", " ").split())
    assert "marked" not in result.output
