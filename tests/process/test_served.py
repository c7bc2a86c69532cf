"""The function as a process: how it starts and ends, and bodies over a real socket."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from handler import __version__
from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from handler.web.app import MAX_DRAINED
from tests.support.function import Answer, check, settings_for
from tests.support.processes import AS_THE_IMAGE, FRAMEWORK, environment, function, hold, run, serving
from tests.support.tenant import delete, deleted

JSON = {"Content-Type": "application/json"}


def told(
    child: subprocess.Popen[Any], url: str, event: object, reached: threading.Event, then: Callable[[], object]
) -> Answer:
    """Send an event; when a call of it is under way, tell the function to end, and return its answer."""
    received: list[requests.Response] = []
    sender = threading.Thread(target=lambda: received.append(requests.post(url, json=event, timeout=30)))
    sender.start()
    assert reached.wait(20)
    child.send_signal(signal.SIGTERM)
    then()
    sender.join(30)
    (response,) = received
    answer = Answer(response.status_code, response.headers, response.content)
    check(answer)
    return answer


# --- how it ends -----------------------------------------------------------------------------------------------


def test_no_call_begins_after_sigterm(tenant: Tenant, emulator: Emulator, tmp_path: Path) -> None:
    """The listing never ends: after five seconds the sender is told to come again, and not after its deadline."""
    held = hold(emulator, "list_sessions")
    with serving(AS_THE_IMAGE, tmp_path, settings_for(emulator, UNMIRROR_DEADLINE="300")) as (child, url):
        answer = told(child, url, deleted(delete(tenant)), held.reached, lambda: None)
        held.go_on.set()
        assert child.wait(20) == 0
    assert (answer.status, answer.report["outcome"]) == (503, "failed")
    assert {call.operation for call in emulator.calls} == {"list_sessions"}


def test_the_frameworks_own_command_ends_once_its_deliveries_have(
    tenant: Tenant, emulator: Emulator, tmp_path: Path
) -> None:
    held = hold(emulator, "remove_sources")
    with function(settings_for(emulator), tmp_path) as (child, url):
        answer = told(child, url, deleted(delete(tenant)), held.reached, held.go_on.set)
        assert child.wait(20) == 0
    assert (answer.status, answer.report["outcome"]) == (200, "detached")
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["function.started", "delivery.detached", *["interface.detached"] * 3]
    assert f"unmirror {__version__} starts at http://127.0.0.1:0; no setting is missing" in lines[0]["message"]


def test_without_a_server_sigterm_ends_the_process_as_ever(tmp_path: Path) -> None:
    code = "import os, signal, handler.main; os.kill(os.getpid(), signal.SIGTERM); print('it goes on')"
    ended = run(sys.executable, "-c", code, env=environment(tmp_path))
    assert ended.returncode == -signal.SIGTERM
    assert "it goes on" not in ended.stdout


# --- how it starts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["on_event", "on_cloud_event"])
def test_wrong_settings_end_the_start_with_one_line_that_names_them_all(tmp_path: Path, target: str) -> None:
    wrong = {
        "UNMIRROR_REGION": "marked!",
        "UNMIRROR_DRY_RUN": "marked",
        "UNMIRROR_WEBHOOK_SECRETS": "marked",
        "HUAWEICLOUD_SDK_SECURITY_TOKEN": "marked\nmarked",
    }
    ended = run(*FRAMEWORK, "handler/main.py", "--target", target, "--port", "0", env=environment(tmp_path, **wrong))
    assert ended.returncode == 3
    (line,) = (ended.stdout + ended.stderr).splitlines()
    said = json.loads(line)
    assert (said["level"], said["event"]) == ("critical", "config.invalid")
    assert all(name in said["message"] for name in wrong)
    assert "marked" not in line


# --- bodies ----------------------------------------------------------------------------------------------------


def connected(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2].strip("/"))), 10)


def heard(sender: socket.socket) -> bytes:
    """Return all that comes until the other end closes."""
    return b"".join(iter(lambda: sender.recv(65_536), b""))


def test_a_refused_body_is_drained_so_that_its_sender_gets_to_read_why(
    tenant: Tenant, emulator: Emulator, tmp_path: Path
) -> None:
    large = b" " * (3 * 1024 * 1024)
    with function(settings_for(emulator), tmp_path) as (_, url), requests.Session() as session:
        assert session.post(url, data=large, headers=JSON, timeout=20).status_code == 413
        chunks = (large[at : at + 65_536] for at in range(0, len(large), 65_536))
        assert session.post(url, data=chunks, headers=JSON, timeout=20).status_code == 413
        assert session.post(url, json=deleted(delete(tenant)), timeout=20).status_code == 200
        for path in (b"/", b"/robots.txt"):  # the second is the framework's own
            with connected(url) as sender:
                head = b"POST %s HTTP/1.1\r\nHost: unmirror\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
                sender.sendall(head % (path, MAX_DRAINED))
                sender.sendall(b" " * MAX_DRAINED)  # raises if the server closes meanwhile
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
    assert "unhandled_error" not in (tmp_path / "log").read_text()
