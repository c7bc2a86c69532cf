"""Requests that nobody meant, against the running function: `python -m tests.bench.hostile [--requests 20000]`.

Hypothesis makes them: events as the schemas allow them, in any carrier, with the wrong thing at some place, cut off,
under any headers, and plain bytes. The function is functions-framework's own server on a real socket, the API is the
emulator in a process of its own. Prints how many were answered with which status and how long the slowest took. Ends
with 1 after a 500, no answer, an answer that is not JSON, or one that took longer than the deadline.
"""

from __future__ import annotations

import argparse
import base64
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any
from urllib.parse import urlsplit

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from handler.events import schemas
from handler.events.envelopes import ARRAY, ENVELOPES
from tests.bench import processes
from tests.bench.cloud import PROJECT_ID, Region

DEADLINE = 10
"""Seconds that the function gives a delivery; an answer may take a second more."""
OF_THE_EXAMPLES = "3f6b1d8e42a94c07b5e20d9f7c81a6d4"
"""The project that the schemas' examples are about."""
NAMES = tuple(envelope.name for envelope in (*ENVELOPES, ARRAY))
GONE: list[str] = []
"""Interfaces that can be detached, so that deliveries are worked off to their end."""

_scalars: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
json_values = st.recursive(
    _scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)


# --- what the schemas allow --------------------------------------------------------------------------------


def allowed(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return the values of a schema: of the few keywords that ours have."""
    if "$ref" in schema:
        return allowed(schemas.schema(schema["$ref"].removeprefix(schemas.BASE).removesuffix(".json")))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    kinds = schema.get("type", [])
    return st.one_of([_KINDS[kind](schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)] or [json_values])


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    members = {name: st.deferred(lambda child=child: allowed(child)) for name, child in schema["properties"].items()}
    required = {name: members.get(name, json_values) for name in schema.get("required", ())}
    optional = {name: member for name, member in members.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional)


def _arrays(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    items = allowed(schema["items"]) if "items" in schema else st.deferred(lambda: events)
    return st.lists(items, min_size=schema.get("minItems", 0), max_size=4)


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    pattern = schema.get("pattern", "")
    if pattern.startswith("^[0-9A-Fa-f]"):
        return st.uuids().map(str) | st.deferred(lambda: st.sampled_from(GONE))
    if pattern.startswith("^[0-9A-Za-z_-]"):
        return st.sampled_from((PROJECT_ID, OF_THE_EXAMPLES, "another"))
    if "contentEncoding" in schema:
        return st.deferred(lambda: texts).map(lambda text: base64.b64encode(text.encode("utf-8", "replace")).decode())
    known = st.sampled_from(("VPC", "ports", "deletePort", "deleteServer", "normal", "HC.VPC", "2026-01-01T00:00:00Z"))
    return st.text(min_size=schema.get("minLength", 0), max_size=20) | known | st.deferred(lambda: texts)


def _object_or_any(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    return _objects(schema) if "properties" in schema else st.dictionaries(st.text(max_size=8), json_values, max_size=3)


_KINDS: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "object": _object_or_any,
    "array": _arrays,
    "string": _strings,
    "integer": lambda _: st.integers(),
    "number": lambda _: st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    "boolean": lambda _: st.booleans(),
    "null": lambda _: st.none(),
}


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """Return an example with any value at some place of it."""
    value = json.loads(json.dumps(draw(st.sampled_from(NAMES).flatmap(_examples))))
    place = value
    while isinstance(place, (dict, list)) and place:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not draw(st.booleans()):
            place[key] = draw(json_values)
            break
        place = place[key]
    return value


def _examples(name: str) -> st.SearchStrategy[Any]:
    return st.sampled_from(schemas.schema(name)["examples"])


events = damaged() | st.sampled_from(NAMES).flatmap(lambda name: allowed(schemas.schema(name)))
texts = st.recursive(events.map(json.dumps), lambda inner: inner.map(json.dumps), max_leaves=3)


# --- what is sent --------------------------------------------------------------------------------------------


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode("utf-8", "replace")).decode()


CARRIERS: tuple[Callable[[str], Any], ...] = (
    lambda text: {"lts": {"data": _encoded(json.dumps({"logs": text}))}},
    lambda text: {"records": [{"messages": [text, text]}]},
    lambda text: {"record": [{"smn": {"message": text, "topic_urn": f"urn:smn:x:{PROJECT_ID}:t"}}]},
    lambda text: {"httpMethod": "POST", "requestContext": {}, "body": _encoded(text), "isBase64Encoded": True},
    lambda text: {"request_context": {}, "request_payload": text},
    lambda text: {"events": [json.loads(text)] * 2},
    lambda text: [json.loads(text)] * 2,
)
NAMES_OF_HEADERS = ("ce-id", "ce-specversion", "ce-type", "ce-source", "Content-Encoding", "X-CFF-Request-Id", "Prefer")
BINARY_MODE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "HC.VPC", "ce-type": "VPC:CloudTrace:ApiCall"}


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """Return a request, on one of the paths, perhaps broken off or with a few other bytes in it."""
    carried = st.builds(lambda carrier, text: carrier(text), st.sampled_from(CARRIERS), events.map(json.dumps))
    body = draw((events | carried).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=200))
    media = draw(
        st.sampled_from(("application/json", "application/json", "application/cloudevents+json", "text/plain"))
    )
    path = draw(st.sampled_from(("/", "/", "/invoke", "/init", "/x?y=%00", "//")))
    printable = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30)
    odd = st.dictionaries(st.sampled_from(NAMES_OF_HEADERS), printable, max_size=3)
    shown = {"Host": "function.test", "Content-Type": media, "Connection": "close", "Content-Length": str(len(body))}
    shown |= draw(st.sampled_from([{}, BINARY_MODE]) | odd)
    lines = (f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in shown.items()), "", "")
    raw = bytearray("\r\n".join(lines).encode("latin-1") + body)
    if draw(st.integers(0, 9)):
        return bytes(raw)
    for place, byte in draw(st.lists(st.tuples(st.integers(0, len(raw) - 1), st.integers(0, 255)), max_size=3)):
        raw[place] = byte
    return bytes(raw[: draw(st.integers(len(raw) // 2, len(raw)))])


def send(port: int, raw: bytes) -> tuple[int, str, bytes]:
    """Send the bytes and an end; return status, media type and body, status 0 where there was no answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE + 5) as connection:
        with suppress(ConnectionError):  # it has answered before it read all
            connection.sendall(raw)
        with suppress(OSError):  # and perhaps closed
            connection.shutdown(socket.SHUT_WR)
        response = HTTPResponse(connection)
        try:
            response.begin()
            return response.status, response.getheader("Content-Type", ""), response.read()
        except (HTTPException, OSError):
            return 0, "", b""


# --- what comes back -----------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What was answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    broken: list[tuple[str, bytes]] = field(default_factory=list)
    """Why, and what was sent."""

    def note(self, raw: bytes, answer: tuple[int, str, bytes], seconds: float) -> None:
        """Count an answer, and keep the request if it is one that must not be."""
        status, media, body = answer
        self.statuses[status] += 1
        self.slowest = max(self.slowest, seconds)
        if status == 500:
            self.broken.append(("a defect", raw))
        if seconds > DEADLINE + 1:
            self.broken.append((f"{seconds:.1f} s", raw))
        if body and "html" not in media:  # else it is the server's, for what is no HTTP
            try:
                json.loads(body)
            except ValueError:
                self.broken.append(("no JSON", raw))


def main() -> int:
    """Send them all; return the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    tally = Tally()
    environ = {"UNMIRROR_PROJECTS": f"{PROJECT_ID},{OF_THE_EXAMPLES}", "UNMIRROR_DEADLINE": str(DEADLINE)}
    began = time.monotonic()
    with (
        processes.cloud(Region(sessions=200, deleted=100, latency=0)) as cloud,
        processes.function("unmirror", cloud.url, environ) as served,
    ):
        GONE.extend(cloud.gone)
        port = urlsplit(served.url).port or 0

        @seed(chosen.seed)
        @settings(
            max_examples=chosen.requests,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(requests())
        def deliver(raw: bytes) -> None:
            sent = time.monotonic()
            tally.note(raw, send(port, raw), time.monotonic() - sent)
            if not sum(tally.statuses.values()) % 1000:
                print(f"{sum(tally.statuses.values()):>7,} after {time.monotonic() - began:.0f} s", file=sys.stderr)

        deliver()
        counts = cloud.state()["counts"]
        last = b"GET / HTTP/1.1\r\nHost: function.test\r\nConnection: close\r\n\r\n"
        if send(port, last)[0] != 200:
            tally.broken.append(("it serves no more", last))
    for status, count in sorted(tally.statuses.items()):
        print(f"{status or 'closed':>8} {count:>8,}")
    print(f"   total {sum(tally.statuses.values()):>8,} in {time.monotonic() - began:.0f} s")
    print(f"slowest answer: {tally.slowest:.2f} s; calls of the API: {counts}")
    for why, raw in tally.broken[:10]:
        print(f"BROKEN, {why}: {raw!r}")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
