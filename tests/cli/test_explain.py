"""`unmirror explain`: what an event means, or which rule it breaks."""

from __future__ import annotations

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from handler.events import schemas
from tests.cli.conftest import Run, described
from tests.cli.golden import same


def example(name: str) -> Any:
    return deepcopy(schemas.schema(name)["examples"][0])


def test_it_says_in_words_what_was_unwrapped_and_what_came_out(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(example("smn-trigger")))
    result = run("explain", str(file))
    assert (result.exit_code, result.stderr) == (0, "")
    same("explain-smn", result.stdout)


def test_it_reads_standard_input_and_prints_json(run: Run) -> None:
    result = run("explain", "-", "--json", given=json.dumps(example("cts")))
    told = described("explain", result.stdout)
    assert (result.exit_code, told["readable"], told["envelope"]) == (0, True, "cts")
    assert told["events"][0]["event"] == "interfaces_deleted"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ('{"cts": {"trace_name": "deletePort"}}', "required: trace_id"),
        ('{"cts": ', "JSON"),
        ("[]", "empty"),
        ("7", "type: object"),
        (b"\xff", "UTF-8"),
    ],
)
def test_what_cannot_be_read_is_a_1_with_the_rule_that_fails(run: Run, given: str | bytes, said: str) -> None:
    for result in (run("explain", "-", given=given), run("explain", "-", "--json", given=given)):
        assert said in result.output
        assert result.exit_code == (0 if given == "[]" else 1)
        assert ("\nnext: " in result.stderr) is (result.exit_code == 1)


def test_it_shows_what_the_nearest_envelopes_miss(run: Run) -> None:
    trace = {**example("cts")["cts"]}
    del trace["trace_id"]
    result = run("explain", "-", given=json.dumps(trace))
    assert "required: trace_id" in result.stdout
    assert "nearest" in result.stdout
    assert result.stderr.startswith("unmirror: no envelope that is known")
    assert "\nnext: " in result.stderr


def test_what_an_event_says_cannot_steer_the_terminal(run: Run) -> None:
    event = example("cts")
    event["cts"]["user"]["name"] = "\x1b[2J[red]:boom:"
    result = run("explain", "-", given=json.dumps(event))
    assert "\x1b" not in result.stdout
    assert "[2J[red]:boom:" in result.stdout


def test_it_needs_no_settings_not_even_right_ones(run: Run) -> None:
    wrong = {"UNMIRROR_REGION": "!", "HUAWEICLOUD_SDK_AK": "x"}
    assert run("explain", "-", given=json.dumps(example("timer")), settings=wrong).exit_code == 0


def test_a_file_that_is_not_there_is_wrong_usage(run: Run) -> None:
    result = run("explain", "/nowhere/event.json")
    assert result.exit_code == 2
    assert "No such file" in result.stderr
