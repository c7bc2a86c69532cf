"""What the attacks are made of: events about an interface that lives, wrapped, signed and forged."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from standardwebhooks.webhooks import Webhook

from handler.emulator.operations import Fault
from handler.emulator.sample import PROJECT_ID, seed
from tests.hostile.attacks.wire import stranger
from tests.support.events import b64
from tests.support.smn_topic import message
from tests.support.tenant import DELETED, cloud_event, deleted, trace

LIVING = seed().interfaces["api-3"]
GONE = "00000000-0000-4000-8000-000000000bad"
"""An interface that there is not: a session that lists it would lose it."""
PATIENT_PROJECT = "project-of-its-own"
"""For what slows a project down, and with it the attacks after it."""
SECRET = f"whsec_{b64('marked-secret-of-the-attacks')}"
OTHER_SECRET = f"whsec_{b64('another-secret-of-an-attacker')}"
EVER = -1

Sent = bytes | Callable[[], bytes]


@dataclass(frozen=True)
class Attack:
    """One attack."""

    kind: str
    name: str
    sent: Sent | tuple[Sent, ...]
    """The request, made when it is sent if it holds a time; several are sent one after another."""
    status: int
    """Of the last answer; 0 where the server closes the connection without a word."""
    api: tuple[Fault, ...] = ()
    """What the API does instead of what it should."""

    @property
    def requests(self) -> tuple[bytes, ...]:
        """The bytes, one element for each connection."""
        sent = self.sent if isinstance(self.sent, tuple) else (self.sent,)
        return tuple(each() if callable(each) else each for each in sent)


def text(value: object) -> str:
    return json.dumps(value)


def ours(**members: object) -> dict[str, Any]:
    return {**deleted(LIVING), **members}


def about(*ids: object, **data: object) -> dict[str, Any]:
    return {**deleted(), "data": {"interface_ids": list(ids), **data}}


def living(**members: object) -> dict[str, Any]:
    return {"cts": trace(LIVING, **members)}


def signed(
    body: bytes, *, secret: str = SECRET, minutes: int = 0, sent: bytes | None = None, **headers: str
) -> Callable[[], bytes]:
    """Return what makes a signed request; with another body than was signed, or other headers, where asked."""

    def make() -> bytes:
        at = datetime.now(UTC) + timedelta(minutes=minutes)
        signature = Webhook(secret).sign("msg-of-the-attacks", at, body.decode())
        shown = {"id": "msg-of-the-attacks", "timestamp": str(int(at.timestamp())), "signature": signature, **headers}
        return stranger(body if sent is None else sent, {f"webhook-{name}": value for name, value in shown.items()})

    return make


def failure(value: object) -> dict[str, Any]:
    return {"request_context": {"request_id": "1"}, "request_payload": text(value)}


def smn(url: object, **members: object) -> bytes:
    """Return a message of the topic that is admitted, with a certificate from elsewhere."""
    return stranger(message(deleted(LIVING), signing_cert_url=url, **members), media="text/plain; charset=utf-8")


def says(body: bytes, status: int = 200, operation: str = "list_sessions", **headers: str) -> tuple[Fault, ...]:
    return (Fault(operation, status=status, body=body, headers=headers, times=EVER),)


def port(body: object, status: int = 200, **headers: str) -> tuple[Fault, ...]:
    """Answer so to the question for an interface; bytes as they are."""
    return says(body if isinstance(body, bytes) else text(body).encode(), status, "show_port", **headers)


def lists(*sessions: object, **page_info: object) -> tuple[Fault, ...]:
    return says(text({"traffic_mirror_sessions": sessions, "page_info": page_info}).encode())


def session(id_: object, *sources: object, **members: object) -> dict[str, Any]:
    return {"id": id_, "name": "made up", "type": "eni", "traffic_mirror_sources": sources, **members}


def code(error_code: str, message: str = "", request_id: str = "1") -> dict[str, str]:
    return {"error_code": error_code, "error_msg": message, "request_id": request_id}


BODY = text(ours()).encode()


def with_x(value: bytes) -> bytes:
    """Return an event that would be acted on, with a member beside that no event has to have."""
    return BODY[:-1] + b',"x":' + value + b"}"


SWEEP = {"type": "io.unmirror.sweep.due.v1", "id": "1", "data": {"project_id": PROJECT_ID}}
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": DELETED}
DATA = text({"interface_ids": [LIVING]}).encode()
PAIR = [cloud_event(trace(LIVING)), cloud_event(trace(LIVING))]
LENGTH, CHUNKED = f"Content-Length: {len(BODY)}", "Transfer-Encoding: chunked"

Rows = tuple[tuple[Any, ...], ...]
"""Of each attack: name, what is sent, the status, and what the API does meanwhile where it is not what it should."""
