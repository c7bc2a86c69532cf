"""A plain machine: the unit and the front are accepted by systemd and nginx, and the front does what it says."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from tests.support.processes import run

HOST = Path("deploy/host")
NAME = "unmirror.example.com"

Connect = Callable[[], http.client.HTTPConnection]


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze")
    units = [tmp_path / unit.name for unit in sorted(HOST.glob("*.service")) + sorted(HOST.glob("*.timer"))]
    for unit in units:
        text = (HOST / unit.name).read_text("utf-8")
        unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", text), "utf-8")  # ours is not installed
    verified = run(analyze, "verify", "--man=no", *map(str, units))
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")


class _Function(BaseHTTPRequestHandler):
    """Answers with the headers that reached it, and remembers when a request did."""

    reached = threading.Event()

    def do_POST(self) -> None:
        self.reached.set()
        self.rfile.read(int(self.headers["Content-Length"]))
        body = "\n".join(name.lower() for name in self.headers).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Connect]:
    """Serve the site before a function, at a socket in the file system instead of a port; return what connects."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    if nginx is None:
        pytest.skip("no nginx")
    authority, trusting = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trusting)
    certificate = authority.issue_cert(NAME)
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "fullchain.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "privkey.pem")

    def is_listening() -> bool:  # the socket's file is there before
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(tmp_path / "socket")) == 0

    def connect() -> http.client.HTTPConnection:
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(str(tmp_path / "socket"))
        connection = http.client.HTTPConnection(NAME)
        connection.sock = trusting.wrap_socket(plain, server_hostname=NAME)
        return connection

    with ThreadingHTTPServer(("127.0.0.1", 0), _Function) as function:
        threading.Thread(target=function.serve_forever, args=(0.02,), daemon=True).start()
        command = [nginx, "-p", str(tmp_path), "-c", str(_configuration(tmp_path, function.server_port))]
        tested = run(*command, "-t")
        assert tested.returncode == 0, tested.stderr
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own words
            while process.poll() is None and not is_listening():
                time.sleep(0.01)
            yield connect
            process.terminate()
        function.shutdown()


def _configuration(folder: Path, port: int) -> Path:
    site = (HOST / "nginx.conf").read_text("utf-8")
    for there, here in (
        ("127.0.0.1:8000", f"127.0.0.1:{port}"),
        ("listen 443", f"listen unix:{folder}/socket"),
        ("/etc/unmirror/tls", str(folder)),
    ):
        assert there in site
        site = site.replace(there, here)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {folder};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {folders}\n{site} }}\n",
        "utf-8",
    )
    return path


def _ask(front: Connect, method: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    connection = front()
    connection.request(method, "/", body, headers)
    answer = connection.getresponse()
    said = answer.read().decode()
    connection.close()
    return answer.status, said


def test_the_front_lets_deliveries_through_and_nothing_that_must_not(front: Connect) -> None:
    forged = {"X-CFF-Security-Access-Key": "forged", "X-CFF-Security-Secret-Key": "forged"}
    status, reached = _ask(front, "POST", b"{}", **forged, **{"webhook-id": "1"})
    assert status == 200
    assert "webhook-id" in reached
    assert "x-cff" not in reached
    assert _ask(front, "POST", b"x" * 1024 * 1024)[0] == 200, "the largest batch of CloudEvents"
    assert _ask(front, "POST", b"", **{"Content-Length": str(1024 * 1024 + 1)})[0] == 413
    assert _ask(front, "DELETE")[0] == 403


def test_a_sender_that_drips_holds_nothing_of_the_function(front: Connect) -> None:
    """The function does not watch slow senders: the front hands a request on when all of it is there."""
    _Function.reached.clear()
    connection = front()
    connection.putrequest("POST", "/")
    connection.putheader("Content-Length", "2")
    connection.endheaders(b"{")
    assert _ask(front, "GET")[0] == 501, "another request has come and gone meanwhile"
    assert not _Function.reached.is_set()
    connection.send(b"}")
    assert connection.getresponse().status == 200
    assert _Function.reached.is_set()
    connection.close()
