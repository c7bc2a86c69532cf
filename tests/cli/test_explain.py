"""`unmirror explain`: what an event means, or which rule it breaks."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import TERMINAL, Run
from tests.support.golden import same
from tests.support.schemas import schema


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """The command with settings that are wrong: it needs none."""
    return Run(tmp_path, {"UNMIRROR_REGION": "!", "HUAWEICLOUD_SDK_AK": "x"})


def example(name: str) -> Any:
    return deepcopy(schema(name)["examples"][0])


def test_it_says_in_words_what_was_unwrapped_and_what_came_out(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(example("smn-trigger")))
    result = run("explain", str(file), **TERMINAL)
    assert (result.exit_code, result.stderr) == (0, "")
    same("explain-smn", result.stdout)


def test_it_reads_standard_input_and_prints_json(run: Run) -> None:
    printed = run.json("explain", "-", given=json.dumps(example("cts")))
    assert (printed["readable"], printed["envelope"]) == (True, "cts")
    assert printed["events"][0]["event"] == "interfaces_deleted"


@pytest.mark.parametrize("form", ["array", "lines", "stored"])
def test_of_several_events_each_is_explained(run: Run, form: str) -> None:
    """As CTS stores them, too: a compressed array."""
    traces = [example("cts")["cts"], {**example("cts")["cts"], "trace_name": "createPort"}]
    lines = "".join(f"{json.dumps(trace)}\n" for trace in traces).encode()
    array = json.dumps(traces, indent=1).encode()
    given = {"array": array, "lines": lines, "stored": gzip.compress(array)}[form]
    printed = run.json("explain", "-", given=given)
    assert [item["place"] for item in printed["items"]] == [
        f"{'line' if form == 'lines' else 'item'} {n}" for n in (1, 2)
    ]
    assert [item["explanation"]["events"][0]["event"] for item in printed["items"]] == ["interfaces_deleted", "ignored"]
    assert run("explain", "-", given=given).stdout.startswith(f"{printed['items'][0]['place']}\nenvelope\ttrace")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('{"cts": {"trace_name": "deletePort"}}', "required: trace_id"),
        ('{\n  "cts": {,\n', "must be JSON; line 2, column 11: Expecting property name"),
        ('{"cts": 1}\n{"cts": }\n', "line 2: what is sent must be JSON; line 2, column 9: Expecting value"),
        ('{"a": 1, "a": 2}', "duplicate names"),
        ("7", "type: object"),
        (b"\xff", "UTF-8"),
        (b"\x1f\x8bhalf", "must be a whole gzip file"),
    ],
)
def test_what_cannot_be_read_is_a_1_with_the_rule_or_the_place(run: Run, given: str | bytes, words: str) -> None:
    result = run("explain", "-", given=given)
    assert result.exit_code == 1
    assert words in result.output
    assert "\nnext: " in result.stderr
    assert run.json("explain", "-", given=given, exit_code=1)["readable"] is False


def test_an_empty_file_holds_no_event(run: Run) -> None:
    for given in ("", "\n", "[]"):
        assert run.json("explain", "-", given=given) == {"readable": True, "items": []}
        assert run("explain", "-", given=given).stderr == "unmirror: the file holds no event\n"


def test_what_the_function_would_refuse_for_its_size_is_said(run: Run) -> None:
    event = {**example("interface-deleted"), "padding": "x" * 256 * 1024}
    result = run("explain", "-", given=json.dumps(event))
    assert result.exit_code == 1
    assert "interfaces deleted" in result.stdout
    assert "the function would refuse this as one delivery: it is over 256 KiB\nnext: " in result.stderr


def test_it_shows_what_the_nearest_envelopes_miss(run: Run) -> None:
    trace = example("cts")["cts"]
    del trace["trace_id"]
    result = run("explain", "-", given=json.dumps(trace))
    assert "nearest\ttrace\tbut for:\nrule\t$: required: trace_id" in result.stdout
    assert result.stderr.startswith("unmirror: no envelope that is known")


def test_what_an_event_says_cannot_steer_the_terminal(run: Run) -> None:
    event = example("interface-deleted")
    event["data"]["reason"] = event["id"] = "\u202ered"
    result = run("explain", "-", given=json.dumps(event))
    assert "\u202e" not in result.output


def test_a_file_that_is_not_there_is_wrong_usage(run: Run) -> None:
    result = run("explain", "/nowhere/event.json")
    assert result.exit_code == 2
    assert "No such file" in result.stderr
