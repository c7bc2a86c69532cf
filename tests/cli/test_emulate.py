"""`unmirror emulate`: an API to try things on."""

from __future__ import annotations

import shlex
import signal
import socket

import pytest

from tests.cli.conftest import Run, Start, described
from tests.cli.golden import same
from tests.support.function import Function


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_it_prints_points_the_function_at_it(start: Start, number: signal.Signals) -> None:
    with start("emulate", "--port", "0") as child:
        assert child.stdout is not None
        lines = [child.stdout.readline().rstrip("\n") for _ in range(8)]
        same("emulate", "\n".join(lines))
        words = [shlex.split(line, comments=True) for line in lines]
        exported = dict(word.split("=", 1) for line in words if line for word in line[1:])
        deleted, living = (lines[lines.index(line) + 1].removeprefix("# ") for line in lines if line.endswith(":"))
        function = Function({**exported, "UNMIRROR_TRUST": "platform", "NO_PROXY": "*"})
        event = {"type": "io.unmirror.interface.deleted.v1", "id": "by-hand", "data": {"interface_ids": [deleted]}}
        report = function.post(event).report
        assert (report["outcome"], len(report["detachments"])) == ("detached", 3)
        assert living != deleted
        child.send_signal(number)
        _, errors = child.communicate(timeout=20)
    assert (child.returncode, errors) == (0, "")


@pytest.mark.parametrize("option", ["--json", "--quiet"])
def test_scripts_get_the_variables_alone(start: Start, option: str) -> None:
    with start("emulate", "--port", "0", option) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(10 if option == "--json" else 4)]
        child.send_signal(signal.SIGTERM)
        rest, _ = child.communicate(timeout=20)
    assert (child.returncode, rest) == (0, "")
    if option == "--json":
        assert "UNMIRROR_VPC_ENDPOINT" in described("emulate", "".join(lines))["variables"]
    else:
        assert all(line.startswith("export ") for line in lines)


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
    assert "Invalid value for" in result.stderr


def test_a_port_that_is_taken_is_said_at_once(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run("emulate", "--port", str(taken.getsockname()[1]))
    assert result.exit_code == 1
    assert "--port 0" in result.stderr
