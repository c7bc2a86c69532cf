"""An SMN topic as its subscribers see it: signed messages, and over TLS the certificate and the confirmation.

The hosts of SMN are reached through a proxy on loopback, which the standard variables name, and which is all of them.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias
from unittest.mock import patch

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

from handler.emulator.sample import PROJECT_ID

REGION = "eu-west-101"
URN = f"urn:smn:{REGION}:{PROJECT_ID}:deletions"
HOST = f"smn.{REGION}.myhuaweicloud.com"
CONSOLE = "console.huaweicloud.com"
CERTIFICATE = f"https://{HOST}/smn/SMN_{REGION}_0123456789abcdef0123456789abcdef.pem"
CONFIRMATION = f"https://{CONSOLE}/smn/subscription/confirm?token=marked-token&topic_urn={URN}&region={REGION}"

PrivateKey: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
Page: TypeAlias = tuple[int, Mapping[str, str], bytes]

RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    key: PrivateKey = RSA_KEY,
    *,
    hash_: hashes.HashAlgorithm | None = None,
    days: tuple[int, int] = (-1, 1),
    signed_by: PrivateKey | None = None,
) -> x509.Certificate:
    """Return a certificate of that key, valid from and until so many days from now."""
    now, name = datetime.now(UTC), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "SMN of the tests")])
    unsigned = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
    )
    return unsigned.sign(signed_by or key, hash_ or hashes.SHA256())  # type: ignore[arg-type]


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def message(
    text: object = "",
    *,
    key: PrivateKey = RSA_KEY,
    hash_: hashes.HashAlgorithm | None = None,
    minutes: float = 0,
    **members: Any,
) -> dict[str, Any]:
    """Return a message as the topic posts it so many minutes from now, signed; a member that is None is left out."""
    kind = members.get("type", "Notification")
    said = {
        "type": kind,
        "topic_urn": URN,
        "message_id": "54bb04eddfc842e9b44ca36393f77cd3",
        "message": text if isinstance(text, str) else json.dumps(text),
        "timestamp": (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signature_version": "v1",
        "signing_cert_url": CERTIFICATE,
        **({"subject": "deletePort"} if kind == "Notification" else {"subscribe_url": CONFIRMATION}),
        **members,
    }
    said = {name: value for name, value in said.items() if value is not None}
    return {**said, "signature": signature(said, key, hash_)}


def signature(said: Mapping[str, Any], key: PrivateKey = RSA_KEY, hash_: hashes.HashAlgorithm | None = None) -> str:
    """Return the signature of what SMN's guide says is signed."""
    notification = ("message", "message_id", "subject", "timestamp", "topic_urn", "type")
    confirmation = ("message", "message_id", "subscribe_url", "timestamp", "topic_urn", "type")
    names = confirmation if str(said["type"]).endswith("Confirmation") else notification
    text = "".join(f"{name}\n{said[name]}\n" for name in names if said.get(name)).encode()
    if isinstance(key, rsa.RSAPrivateKey):
        made = key.sign(text, padding.PKCS1v15(), hash_ or hashes.SHA256())
    else:
        made = key.sign(text, ec.ECDSA(hash_ or hashes.SHA256()))
    return base64.b64encode(made).decode()


@dataclass
class Topic:
    """What SMN serves, and what it was asked for."""

    pages: dict[str, Page] = field(default_factory=dict)
    """By path, without the query."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Host and target of each request."""
    gate: threading.Event = field(default_factory=threading.Event)
    """No answer before it is set."""

    def serves(self, *certificates: x509.Certificate, url: str = CERTIFICATE) -> None:
        self.pages["/" + url.split("/", 3)[3]] = (200, {}, pem(*certificates))


@contextmanager
def serving(home: Path, *hosts: str) -> Iterator[Topic]:
    """Serve a topic over TLS, under the names that SMN and the console have, or others; lead `requests` to it."""
    authority, authorities, topic = trustme.CA(), str(home / "authorities.pem"), Topic()
    authority.cert_pem.write_to_path(authorities)
    topic.serves(certificate())
    topic.pages["/smn/subscription/confirm"] = (200, {}, b"{}")
    topic.gate.set()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(hosts or (HOST, CONSOLE))).configure_cert(context)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_CONNECT(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            self.connection.recv(1, socket.MSG_PEEK)  # of a client that is gone Python would leave the socket open
            with context.wrap_socket(self.connection, server_side=True) as tunnel:
                type(self)(tunnel, self.client_address, self.server)

        def do_GET(self) -> None:
            topic.asked.append((self.headers["Host"], self.path))
            topic.gate.wait(10)
            status, headers, body = topic.pages.get(self.path.partition("?")[0], (404, {}, b""))
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # a client that does not trust us says so by going away

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        proxy = f"http://127.0.0.1:{server.server_address[1]}"
        found = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "REQUESTS_CA_BUNDLE": authorities}
        try:
            with patch.dict(os.environ, {**found, "NO_PROXY": "", "no_proxy": ""}):
                yield topic
        finally:
            topic.gate.set()
            server.shutdown()
            thread.join()
