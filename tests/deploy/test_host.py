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
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin:/opt/homebrew/bin")


def test_systemd_takes_the_units(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze")
    units = sorted(path for path in Path("deploy/host").iterdir() if path.suffix in (".service", ".timer"))
    for unit in units:
        text = re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", unit.read_text("utf-8"))  # ours is not installed
        (tmp_path / unit.name).write_text(text, "utf-8")
    names = [tmp_path / unit.name for unit in units]
    done = subprocess.run([analyze, "verify", "--man=no", *names], capture_output=True, text=True, check=False)  # noqa: S603
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


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


@dataclass(frozen=True)
class Front:
    """nginx with deploy/host/nginx.conf, at a socket in the file system instead of a port."""

    socket: Path
    certificate: Path

    @contextmanager
    def connected(self) -> Iterator[http.client.HTTPConnection]:
        """Open a connection over TLS."""
        tls = ssl.create_default_context(cafile=self.certificate)
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(self.socket))
            with tls.wrap_socket(plain, server_hostname="unmirror.example.com") as wrapped:
                connection = http.client.HTTPConnection("unmirror.example.com")
                connection.sock = wrapped
                yield connection

    def ask(self, method: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
        """Send one request; return status and body."""
        with self.connected() as connection:
            connection.request(method, "/", body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    """Serve the site with a certificate made here."""
    openssl = shutil.which("openssl")
    if NGINX is None or openssl is None:
        pytest.skip("no nginx, or no openssl to make a certificate")
    certificate, name = tmp_path / "fullchain.pem", "unmirror.example.com"
    request = f"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN={name}"
    files: list[str | Path] = [
        "-addext",
        f"subjectAltName=DNS:{name}",
        "-keyout",
        tmp_path / "privkey.pem",
        "-out",
        certificate,
    ]
    subprocess.run([openssl, *request.split(), *files], check=True, capture_output=True)  # noqa: S603 - our own words
    with ThreadingHTTPServer(("127.0.0.1", 0), _Function) as function:
        threading.Thread(target=function.serve_forever, args=(0.02,), daemon=True).start()
        command: list[str | Path] = [NGINX, "-p", tmp_path, "-c", _configuration(tmp_path, function.server_port)]
        tested = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)  # noqa: S603
        assert tested.returncode == 0, tested.stderr
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:  # noqa: S603 - our own words
            while process.poll() is None and not (tmp_path / "socket").exists():
                time.sleep(0.01)
            yield Front(tmp_path / "socket", certificate)
            process.terminate()
        function.shutdown()


def _configuration(folder: Path, port: int) -> Path:
    site = Path("deploy/host/nginx.conf").read_text("utf-8")
    moved = {
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "listen 443": f"listen unix:{folder}/socket",
        "/etc/unmirror/tls": str(folder),
    }
    for there, here in moved.items():
        assert there in site
        site = site.replace(there, here)
    (folder / "site.conf").write_text(site, "utf-8")
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    folders = " ".join(f"{kind}_temp_path {folder};" for kind in kinds)
    user = "user root;" if os.geteuid() == 0 else ""
    path = folder / "nginx.conf"
    path.write_text(
        f"daemon off; {user} pid {folder}/pid; error_log {folder}/error.log; events {{}}\n"
        f"http {{ access_log off; {folders} include {folder}/site.conf; }}\n",
        "utf-8",
    )
    return path


def test_the_front_lets_deliveries_through_and_nothing_that_must_not(front: Front) -> None:
    forged = {"X-CFF-Security-Access-Key": "forged", "X-CFF-Security-Secret-Key": "forged"}
    status, reached = front.ask("POST", b"{}", **forged, **{"webhook-id": "1"})
    assert status == 200
    assert "webhook-id" in reached
    assert "x-cff" not in reached
    assert front.ask("POST", b"x" * 1024 * 1024)[0] == 200, "the largest batch of CloudEvents"
    assert front.ask("POST", b"", **{"Content-Length": str(1024 * 1024 + 1)})[0] == 413
    assert front.ask("DELETE")[0] == 403


def test_a_sender_that_drips_holds_nothing_of_the_function(front: Front) -> None:
    """The function does not watch slow senders: the front hands a request on when all of it is there."""
    _Function.reached.clear()
    with front.connected() as connection:
        connection.putrequest("POST", "/")
        connection.putheader("Content-Length", "2")
        connection.endheaders(b"{")
        assert front.ask("GET")[0] == 501, "another request has come and gone meanwhile"
        assert not _Function.reached.is_set()
        connection.send(b"}")
        assert connection.getresponse().status == 200
    assert _Function.reached.is_set()
