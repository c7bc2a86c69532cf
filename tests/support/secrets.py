"""Marked secrets, and what finds a mark in anything that came out."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import pytest

from handler.emulator.operations import Fault
from handler.emulator.server import Emulator
from tests.support.function import settings_for
from tests.support.tenant import CLOUDEVENT, cloud_event, cts, deleted, encoded, messages, through_gateway

MARKED = {
    "access key": "MARKEDAK7F3A0001",
    "secret key": "marked-sk-7f3a-0002",
    "security token": "marked-security-token-7f3a-0003",
    "access key of the platform": "MARKEDAK7F3A0004",
    "secret key of the platform": "marked-sk-7f3a-0005",
    "token of the platform": "marked-security-token-7f3a-0006",
    "access key of the profile": "MARKEDAK7F3A0007",
    "secret key of the profile": "marked-sk-7f3a-0008",
    "a line of a broken profile": "marked-line-7f3a-0009",
    "token of a pod": "marked-pod-token-7f3a-0010",
    "bearer token": "marked-bearer-7f3a-0011",
    "a wrong bearer token": "marked-bearer-7f3a-0012",
    "webhook secret": "marked-webhook-secret-7f3a-0013",
    "a header": "marked-header-7f3a-0014",
    "a value of an event": "marked-value-7f3a-0015",
    "a name in an event": "marked-name-7f3a-0016",
    "a password in a URL": "marked-password-7f3a-0017",
    "what a defect is raised with": "marked-defect-7f3a-0018",
    "what the API says": "marked-message-7f3a-0019",
    "key of a collector": "marked-collector-7f3a-0020",
    "a member of a message": "marked-member-7f3a-0021",
}
"""Every secret that there is, and the values that may come back to nobody."""

ALL = " ".join(MARKED.values())
WEBHOOK_SECRET = f"whsec_{base64.b64encode(MARKED['webhook secret'].encode()).decode()}"
PLATFORM = (MARKED["access key of the platform"], MARKED["secret key of the platform"], MARKED["token of the platform"])


def spilled(text: str) -> list[str]:
    """Return the names of the marks that a text has, plain or in any dress that they might come out in."""
    dresses: tuple[Callable[[str], str], ...] = (
        str,
        quote,
        lambda mark: mark[::-1],
        lambda mark: mark.encode().hex(),
        lambda mark: base64.b64encode(mark.encode()).decode().rstrip("="),
        lambda mark: json.dumps(mark)[1:-1],
    )
    folded = text.lower()
    return [name for name, mark in MARKED.items() if any(dress(mark).lower() in folded for dress in dresses)]


@dataclass
class Ear:
    """Hears all that comes out."""

    heard: list[str] = field(default_factory=list)

    def hear(self, *values: object) -> None:
        for value in values:
            if isinstance(value, BaseException):
                self.heard.append("".join(traceback.format_exception(value)))
            self.heard += [str(value), repr(value)]


@contextmanager
def listening(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Ear]:
    """Hear a whole test, down to the last word of any library's logger, and find no mark."""
    caplog.set_level(logging.DEBUG)
    ear = Ear()
    yield ear
    out, err = capfd.readouterr()
    ear.hear(out, err, *(record.__dict__ for record in caplog.records))
    assert spilled("\n".join(ear.heard)) == []


def secret_settings(emulator: Emulator) -> dict[str, str]:
    """Return settings with every secret that they can hold; the keys are right."""
    ak, sk, token = (MARKED[name] for name in ("access key", "secret key", "security token"))
    emulator.keys |= {ak: (sk, token), PLATFORM[0]: PLATFORM[1:]}
    return settings_for(
        emulator,
        UNMIRROR_TRUST="",
        HUAWEICLOUD_SDK_AK=ak,
        HUAWEICLOUD_SDK_SK=sk,
        HUAWEICLOUD_SDK_SECURITY_TOKEN=token,
        UNMIRROR_BEARER_TOKENS=MARKED["bearer token"],
        UNMIRROR_WEBHOOK_SECRETS=WEBHOOK_SECRET,
    )


def api_says(status: int, code: str, operation: str = "*") -> Fault:
    """Return an answer that quotes what it was sent, as gateways do."""
    said = {"error_code": code, "error_msg": ALL, "request_id": "1", "detail": MARKED}
    return Fault(operation, status=status, body=json.dumps(said).encode(), times=-1)


FAULTS: dict[str, tuple[Fault, ...]] = {
    "none": (),
    "401": (api_says(401, "APIGW.0301"),),
    "403": (api_says(403, "VPC.2201", "show_port"),),
    "404": (api_says(404, "APIGW.0101"),),
    "429": (api_says(429, "APIGW.0308", "list_sessions"),),
    "500": (api_says(500, "VPC.0002", "remove_sources"),),
    "no JSON": (Fault(status=200, body=ALL.encode(), times=-1),),
    "elsewhere": (Fault(status=302, headers={"Location": f"http://{MARKED['what the API says']}/"}, times=-1),),
    "lost": (Fault("remove_sources", "lost", times=-1),),
    "reset": (Fault(kind="reset", times=-1),),
}
"""What the API does instead of what it should."""


def marked(interface_id: str, **members: object) -> dict[str, Any]:
    """Return a trace with marks wherever it has room for them."""
    value, name = MARKED["a value of an event"], MARKED["a name in an event"]
    said = {"resource_name": value, "source_ip": value, "message": value, "request": {name: value}, name: {name: value}}
    return cts(interface_id, **{**said, **members})


def everything(interface_id: str, living: str) -> Iterator[tuple[Any, dict[str, str]]]:
    """Yield deliveries for every kind of answer, each with its headers."""
    value, name = MARKED["a value of an event"], MARKED["a name in an event"]
    plain = {"Content-Type": "application/json"}
    yield marked(interface_id), {}
    yield marked(living), {}
    yield marked(living, trace_rating="warning"), {}
    yield marked(living, response={"job_id": value}), {}
    yield marked(living, trace_name=value + " "), {}
    yield marked(value), {}
    yield marked(living, project_id=value), {}
    yield deleted(value, value, **{name: value}), {}
    yield {**deleted(living), "id": 17, name: value}, {}
    yield through_gateway(marked(living)), {}
    yield encoded(cloud_event(marked(living)["cts"]) | {"marked": value}), {"Content-Type": CLOUDEVENT}
    yield messages("[" * 99 + value, marked(living)), {}
    yield {"events": [cloud_event(marked(living)["cts"]), value]}, {}
    yield {name: value}, {}
    yield f'{{"{name}": "{value}'.encode(), plain
    yield value.encode(), {"Content-Type": f"text/{value}"}
    yield value.encode(), plain | {"Content-Encoding": value}
    yield value.encode() * 20_000, plain
    yield value.encode(), plain | {"ce-specversion": "1.0", "ce-data": value, "ce-source": f"{value}%ff"}
