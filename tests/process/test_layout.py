"""What is shipped and how it starts: the layers, the wheel, and the function as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
from pathlib import Path

import pytest
import requests

from handler import __version__
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.events import schemas
from handler.web.app import MOST_PASSED_OVER
from tests.support.function import Answer, check, settings_for
from tests.support.processes import FRAMEWORK, environment, function, hold, run
from tests.web.test_on_event import delete, deleted

# --- what is shipped -----------------------------------------------------------------------------------------


def test_each_module_imports_only_from_the_layers_below_its_own() -> None:
    linted = run(str(Path(sys.executable).with_name("lint-imports")), "--no-cache")
    assert linted.returncode == 0, linted.stdout


def test_the_wheel_holds_every_schema_and_works_where_it_is_installed(tmp_path: Path) -> None:
    built = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path))
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    target = tmp_path / "target"
    pip = ("-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--disable-pip-version-check")
    installed = run(sys.executable, *pip, "--target", str(target), str(wheel))
    assert installed.returncode == 0, installed.stderr
    assert sorted(file.stem for file in (target / "handler" / "schemas").glob("*.json")) == list(schemas.names())
    assert {entry.name for entry in target.iterdir()} <= {"handler", "bin", f"unmirror-{__version__}.dist-info"}
    use = """if True:
        import json, handler.functiongraph
        from handler import events
        from handler.events import schemas
        valid = [events.validate(name, example) == () for name in schemas.names()
                 for example in schemas.schema(name)["examples"]]
        print(json.dumps([handler.__file__, schemas.names(), all(valid), len(valid)]))
    """
    used = run(sys.executable, "-c", use, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(target)})
    assert used.returncode == 0, used.stderr
    place, names, valid, many = json.loads(used.stdout)
    command = run(str(target / "bin" / "unmirror"), "--version", env={**os.environ, "PYTHONPATH": str(target)})
    assert command.stdout == f"unmirror, version {__version__}\n"
    assert sorted(file.stem for file in (target / "handler" / "schemas" / "cli").iterdir()) == [
        "check",
        "demo",
        "emulate",
        "explain",
        "replay",
        "sessions",
    ]
    assert Path(place).is_relative_to(target)
    assert (tuple(names), valid) == (schemas.names(), True)
    assert many > len(names)


# --- how it starts and ends -----------------------------------------------------------------------------------


def test_the_function_serves_as_a_process_and_ends_when_it_is_told_to(
    tenant: Tenant, emulator: Emulator, tmp_path: Path
) -> None:
    """It is told while a delivery is under way, which is done to its end."""
    held = hold(emulator, "remove_sources")
    received: list[requests.Response] = []
    with function(settings_for(emulator), tmp_path) as (child, url):
        event = deleted(delete(tenant))
        sender = threading.Thread(target=lambda: received.append(requests.post(url, json=event, timeout=20)))
        sender.start()
        assert held.reached.wait(10)
        child.send_signal(signal.SIGTERM)
        held.go_on.set()
        sender.join(20)
        assert child.wait(20) == 0
    (response,) = received
    answer = Answer(response.status_code, response.headers, response.content)
    check(answer)
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["delivery.detached", *["interface.detached"] * 3]


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2].strip("/"))), 10)


def heard(sender: socket.socket) -> bytes:
    """Return all that comes until the other end closes."""
    return b"".join(iter(lambda: sender.recv(65_536), b""))


def test_a_body_that_is_too_large_is_answered_over_a_real_socket(
    tenant: Tenant, emulator: Emulator, tmp_path: Path
) -> None:
    """The sender, who is still writing, gets to read why, and can go on with the connection."""
    large = b" " * (3 * 1024 * 1024)
    with function(settings_for(emulator), tmp_path) as (_, url), requests.Session() as session:
        kind = {"Content-Type": "application/json"}
        assert session.post(url, data=large, headers=kind, timeout=20).status_code == 413
        chunks = (large[at : at + 65_536] for at in range(0, len(large), 65_536))
        assert session.post(url, data=chunks, headers=kind, timeout=20).status_code == 413
        assert session.put(url, data=large, timeout=20).status_code == 405
        assert session.post(url, json=deleted(delete(tenant)), timeout=20).status_code == 200
        for path in (b"/", b"/robots.txt"):  # the second is the framework's own
            with connected(url) as sender:
                head = b"POST %s HTTP/1.1\r\nHost: unmirror\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                sender.sendall(head % (path, MOST_PASSED_OVER))
                sender.sendall(b" " * MOST_PASSED_OVER)  # raises if the server closes meanwhile
                assert heard(sender).startswith(b"HTTP/1.1 413 ")


BROKEN = {
    "a size that is no number": b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "a size below nothing": b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer than its size": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}XX0\r\n\r\n",
    "a chunk that is shorter": b"Transfer-Encoding: chunked\r\n\r\n10\r\n{}",
    "no last chunk": b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
    "less than the length": b"Content-Length: 100\r\n\r\n{}",
}


def test_a_body_that_breaks_off_on_its_way_is_a_400(emulator: Emulator, tmp_path: Path) -> None:
    with function(settings_for(emulator), tmp_path) as (_, url):
        for kind, rest in BROKEN.items():
            with connected(url) as sender:
                sender.sendall(b"POST / HTTP/1.1\r\nHost: unmirror\r\nContent-Type: application/json\r\n" + rest)
                sender.shutdown(socket.SHUT_WR)
                answer = heard(sender)
            assert answer.startswith(b"HTTP/1.1 400 "), kind
            assert b"the body broke off" in answer, kind
    assert "defect" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_wrong_settings_end_the_start_with_one_line_that_names_them_all(tmp_path: Path, target: str) -> None:
    wrong = {"UNMIRROR_REGION": "marked!", "UNMIRROR_DRY_RUN": "marked", "UNMIRROR_WEBHOOK_SECRETS": "marked"}
    ended = run(*FRAMEWORK, "handler/main.py", "--target", target, "--port", "0", env=environment(tmp_path, **wrong))
    assert ended.returncode == 3
    (line,) = (ended.stdout + ended.stderr).splitlines()
    said = json.loads(line)
    assert (said["level"], said["event"]) == ("critical", "start.refused")
    assert all(name in said["message"] for name in wrong)
    assert "marked" not in line
