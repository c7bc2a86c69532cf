"""`unmirror emulate`: an API to try things on."""

from __future__ import annotations

import shlex
import signal
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from tests.support.cli import Run, Start, described
from tests.support.function import Function
from tests.support.golden import same


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path, {})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_points_the_function_at_it_and_deletes_things(start: Start, number: signal.Signals) -> None:
    with start("emulate", "--port", "0", "--log") as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().rstrip("\n") for _ in range(9)]
        same("emulate", "\n".join(lines), width=None)
        words = [shlex.split(line, comments=True) for line in lines]
        exported = dict(word.split("=", 1) for line in words if line[:1] == ["export"] for word in line[1:])
        deletions = [line[-1] for line in words if line[:3] == ["curl", "-X", "DELETE"]]
        for url in deletions:
            assert requests.delete(url.replace("after=2", "after=0"), timeout=10).status_code == 204
        function = Function({**exported, "UNMIRROR_TRUST": "platform", "NO_PROXY": "*"})
        deleted = [lines[4].rpartition(" ")[2], urlsplit(deletions[0]).path.rpartition("/")[2]]
        event = {"type": "io.unmirror.interface.deleted.v1", "id": "by-hand", "data": {"interface_ids": deleted}}
        report = function.post(event).report
        assert (report["outcome"], len(report["detachments"])) == ("detached", 4)
        child.send_signal(number)
        _, errors = child.communicate(timeout=20)
    assert child.returncode == 0
    assert " 200 PUT " in errors


def test_json_has_the_variables_and_the_ids(start: Start) -> None:
    with start("emulate", "--port", "0", "--json") as child:
        assert child.stdout is not None
        lines = []
        while "}\n" not in lines:
            lines.append(child.stdout.readline())
        child.send_signal(signal.SIGTERM)
        rest, errors = child.communicate(timeout=20)
    assert (child.returncode, rest, errors) == (0, "", "")
    assert "UNMIRROR_VPC_ENDPOINT" in described("emulate", "".join(lines))["variables"]


@pytest.mark.parametrize(
    "wrong",
    [
        *("--page-cap 0", "--page-cap -3", "--rate-limit 0", "--rate-limit 0.5", "--rate-limit nan"),
        *("--latency nan", "--latency -1", "--latency inf"),
    ],
)
def test_figures_that_make_no_sense_are_wrong_usage(run: Run, wrong: str) -> None:
    result = run("emulate", "--port", "0", *wrong.split())
    assert result.exit_code == 2
    assert f"Invalid value for '{wrong.split()[0]}'" in result.stderr
    assert wrong.split()[1] in result.stderr


def test_a_port_that_is_taken_is_said_at_once(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("emulate", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "--port 0" in result.stderr
