"""The attacks: what is sent, what the API says meanwhile, and the status that is the answer.

Each is tried against a function that admits one bearer token, one webhook secret and one SMN topic, in a tenant of
which every interface is alive. `LIVING` is mirrored by three sessions: whoever gets it out of one has won.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import reduce
from typing import Any

from standardwebhooks.webhooks import Webhook

from handler.emulator.sample import PROJECT_ID, seed
from handler.emulator.server import Fault
from tests.hostile.attacks.wire import JSON, TOKEN, chunked, post, stranger
from tests.web.test_on_event import cloud_event, deleted, trace

LIVING = seed().interfaces["api-3"]
GONE = "00000000-0000-4000-8000-000000000bad"
"""An interface that there is not: a session that lists it would lose it."""
REGION = "eu-west-101"
PATIENT_PROJECT = "project-of-its-own"
"""For what slows a project down, and with it the attacks after it."""
SECRET = f"whsec_{base64.b64encode(b'marked-secret-of-the-attacks').decode()}"
OTHER_SECRET = f"whsec_{base64.b64encode(b'another-secret-of-an-attacker').decode()}"
TOPIC = f"urn:smn:{REGION}:{PROJECT_ID}:deletions"

CLOUDEVENT = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
OURS = "io.unmirror.interface.deleted.v1"
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


def encoded(value: object) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else text(value).encode()).decode()


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
        at = datetime.now(timezone.utc) + timedelta(minutes=minutes)
        shown = {
            "webhook-id": "msg-of-the-attacks",
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": Webhook(secret).sign("msg-of-the-attacks", at, body.decode()),
        }
        shown |= {f"webhook-{name}": value for name, value in headers.items()}
        return stranger(body if sent is None else sent, shown)

    return make


def gateway(value: object, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    request = {"httpMethod": "POST", "requestContext": {"requestId": "1", "stage": "RELEASE"}, "isBase64Encoded": True}
    return {**request, "headers": {"content-type": JSON, **(headers or {})}, "body": encoded(value)}


def failure(value: object) -> dict[str, Any]:
    return {"request_context": {"request_id": "1"}, "request_payload": text(value)}


def log_lines(value: object) -> dict[str, Any]:
    return {"lts": {"data": encoded({"logs": text([{"message": text(value)}])})}}


def notification(value: object, topic: str = TOPIC) -> dict[str, Any]:
    return {"type": "Notification", "topic_urn": topic, "message_id": "1", "message": text(value)}


def smn(url: object, **members: object) -> bytes:
    """Return a message of the topic that is admitted, with a certificate from elsewhere."""
    message = {
        **notification(deleted(LIVING)),
        "timestamp": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "signature": encoded(bytes(256)),
        "signature_version": "v1",
        "signing_cert_url": url,
        "unsubscribe_url": "https://smn.example/unsubscribe",
        **members,
    }
    kind = str(message["type"])
    headers = {"X-SMN-MESSAGE-TYPE": kind, "X-SMN-TOPIC-URN": TOPIC, "X-SMN-MESSAGE-ID": "1"}
    return stranger(message, headers, media="text/plain; charset=utf-8")


def says(body: bytes, status: int = 200, operation: str = "list_sessions", **headers: str) -> tuple[Fault, ...]:
    return (Fault(operation, status=status, body=body, headers=headers, times=EVER),)


def lists(*sessions: object, **page_info: object) -> tuple[Fault, ...]:
    return says(text({"traffic_mirror_sessions": sessions, "page_info": page_info}).encode())


def session(id_: object, *sources: object, **members: object) -> dict[str, Any]:
    return {"id": id_, "name": "made up", "type": "eni", "traffic_mirror_sources": sources, **members}


def code(status: int, error_code: str, operation: str = "show_port", message: str = "") -> tuple[Fault, ...]:
    body = {"error_code": error_code, "error_msg": message, "request_id": "1"}
    return says(text(body).encode(), status, operation)


BODY = text(ours()).encode()


def with_x(value: bytes) -> bytes:
    """Return an event that would be acted on, with a member beside that no event has to have."""
    return BODY[:-1] + b',"x":' + value + b"}"


SWEEP = {"type": "io.unmirror.sweep.due.v1", "id": "1", "data": {"project_id": PROJECT_ID}}
BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/x", "ce-type": OURS}
DATA = text({"interface_ids": [LIVING]}).encode()
NESTED_JSON = reduce(lambda inner, _: text(inner), range(7), BODY.decode())
PAIR = [cloud_event(trace(LIVING)), cloud_event(trace(LIVING))]
BOMB = gzip.compress(b'{"traffic_mirror_sessions":[' + b" " * (65 * 1024 * 1024) + b"]}", 9)
CERTIFICATE = f"/smn/SMN_{REGION}_0123456789abcdef0123456789abcdef.pem"
HOST = f"smn.{REGION}.myhuaweicloud.com"

TABLE: dict[str, tuple[tuple[Any, ...], ...]] = {
    "forged": (
        ("nothing is shown", stranger(BODY), 401),
        ("a token that lacks its end", stranger(BODY, {"Authorization": f"Bearer {TOKEN[:-1]}"}), 401),
        ("two tokens, one of them right", post(BODY, {"Authorization": "Bearer other"}), 401),
        ("the token in the URL", stranger(BODY, path=f"/?access_token={TOKEN}"), 401),
        ("the token in a cookie", stranger(BODY, {"Cookie": f"Authorization=Bearer {TOKEN}"}), 401),
        ("the token as a password", stranger(BODY, {"Authorization": f"Basic {encoded(TOKEN.encode())}"}), 401),
        ("the token in the body's own headers", stranger(gateway(ours(), {"authorization": f"Bearer {TOKEN}"})), 401),
        (
            "as from a proxy of ours",
            stranger(BODY, {"X-Forwarded-For": "127.0.0.1", "Forwarded": "for=127.0.0.1", "X-Real-IP": "::1"}),
            401,
        ),
        (
            "as from FunctionGraph, with keys",
            stranger(BODY, {"X-CFF-Security-Access-Key": "AK", "X-CFF-Security-Secret-Key": "SK"}, path="/invoke"),
            401,
        ),
        (
            "the topic in a header alone",
            stranger(BODY, {"X-SMN-TOPIC-URN": TOPIC, "X-SMN-MESSAGE-TYPE": "Notification"}),
            401,
        ),
        ("a signature of another secret", signed(BODY, secret=OTHER_SECRET), 401),
        ("an empty signature", signed(BODY, signature="v1,"), 401),
        ("a signature of another kind", signed(BODY, signature=f"v1a,{encoded(bytes(64))}"), 401),
        (
            "250 signatures",
            signed(BODY, signature=" ".join(f"v1,{encoded(bytes(4) + bytes([n]))}" for n in range(250))),
            401,
        ),
        ("a body that was not signed", signed(b"{}", sent=BODY), 401),
        ("a living interface in our own event", signed(BODY), 503),
        ("a living interface in a trace", post(living()), 503),
        ("a living interface in EventGrid's event", post(cloud_event(trace(LIVING)), media=CLOUDEVENT), 503),
        ("a living interface in a binary CloudEvent", post(DATA, BINARY), 503),
        ("a living interface on /invoke", post(living(), path="/invoke"), 503),
        ("all the tenant's interfaces", post(about(*seed().interfaces.values())), 503),
        ("a sweep of a living tenant", post(SWEEP), 200),
        (
            "a load balancer that has the id of an interface",
            post(living(service_type="ELB", resource_type="loadbalancer", trace_name="deleteLoadbalancer")),
            200,
        ),
    ),
    "replayed": (
        ("ten minutes later", signed(BODY, minutes=-10), 401),
        ("dated ahead, to last longer", signed(BODY, minutes=10), 401),
        ("under another id", signed(BODY, id="msg-2"), 401),
        ("with a new time", signed(BODY, minutes=-10, timestamp=str(int(datetime.now(timezone.utc).timestamp()))), 401),
        ("at once, while the interface lives", (signed(BODY), signed(BODY)), 503),
        ("a hundred times in one delivery", post(PAIR * 50, media=BATCH), 503),
    ),
    "truncated": (
        ("less than was promised", post(BODY, framing=f"Content-Length: {len(BODY) + 9}"), 400),
        ("chunks without an end", post(chunked(BODY)[:-5], framing="Transfer-Encoding: chunked"), 400),
        ("within a chunk", post(chunked(BODY)[:-60], framing="Transfer-Encoding: chunked"), 400),
        ("JSON", post(BODY[:-3]), 400),
        ("within a character", post(with_x(b'"\xc3"')), 400),
        ("within the head", post(BODY)[:60], 0),
        ("base64 within", post({"lts": {"data": encoded({"logs": "[]"})[:-3]}}), 400),
        ("nothing is left", post(b""), 400),
    ),
    "re-ordered": (
        ("the result before its request", (post(living()), post(living(response={"job_id": "1"}))), 200),
        ("the deletion before the creation", (post(living()), post(living(trace_name="createPort"))), 200),
        (
            "a batch from its end",
            post([cloud_event(trace(LIVING, record_time=2)), cloud_event(trace(LIVING, record_time=1))], media=BATCH),
            503,
        ),
        ("the type after the data", post(dict(reversed(ours().items()))), 503),
    ),
    "re-encoded": (
        ("UTF-16", post(text(ours()).encode("utf-16")), 400),
        ("UTF-16 without its mark", post(text(ours()).encode("utf-16-be")), 400),
        ("UTF-16, and says so", post(text(ours()).encode("utf-16"), media=f"{JSON}; charset=utf-16"), 415),
        ("UTF-32", post(text(ours()).encode("utf-32")), 400),
        ("UTF-7", post(text(ours()).encode("utf-7"), media=f"{JSON}; charset=utf-7"), 415),
        ("UTF-8 with a byte order mark", post(b"\xef\xbb\xbf" + BODY), 503),
        ("UTF-8 with two of them", post(b"\xef\xbb\xbf" * 2 + BODY), 400),
        ("overlong UTF-8", post(BODY.replace(b"0", b"\xc0\xb0")), 400),
        ("surrogates as UTF-8", post(with_x(b'"\xed\xa0\x80"')), 400),
        (
            "escapes for every letter",
            post(b'{"type":"' + b"".join(b"\\u%04x" % ord(c) for c in OURS) + b'","id":"1","data":' + DATA + b"}"),
            503,
        ),
        ("gzip", post(gzip.compress(BODY), {"Content-Encoding": "gzip"}), 415),
        ("gzip that does not say so", post(gzip.compress(BODY)), 400),
        ("deflate", post(zlib.compress(BODY), {"Content-Encoding": "deflate"}), 415),
        ("gzip under identity", post(gzip.compress(BODY), {"Content-Encoding": "identity, gzip"}), 415),
        (
            "gzip as a transfer encoding",
            post(chunked(gzip.compress(BODY)), framing="Transfer-Encoding: gzip, chunked"),
            400,
        ),
        ("base64", post(encoded(ours()).encode()), 400),
        ("base64 in base64", post({"lts": {"data": encoded(encoded(ours()).encode())}}), 400),
        ("JSON as text of JSON", post(ours(data=text({"interface_ids": [LIVING]}))), 400),
        ("a form", post(b"event=" + BODY, media="application/x-www-form-urlencoded"), 415),
        ("a form of parts", post(b"--x\r\n\r\n" + BODY + b"\r\n--x--", media="multipart/form-data; boundary=x"), 415),
    ),
    "over-long": (
        ("a body over the limit", post(BODY + b" " * 300_000), 413),
        (
            "a body over the limit, in chunks",
            post(chunked(BODY, *[b" " * 65_536] * 5), framing="Transfer-Encoding: chunked"),
            413,
        ),
        ("a promise of ten gigabytes", post(BODY, framing="Content-Length: 10000000000"), 413),
        ("a length of a thousand digits", post(BODY, framing=f"Content-Length: {'9' * 1000}"), 413),
        ("a body over the limit of who is not let in", stranger(BODY + b" " * 300_000), 413),
        ("a path of 20,000 letters", post(BODY, path=f"/{'x' * 20_000}"), 414),
        ("a query of 20,000 letters", post(BODY, path=f"/?{'x' * 20_000}"), 414),
        ("a batch over the limit", post([ours(specversion="1.0")] * 2_000, media=BATCH), 413),
        ("a header of 20,000 bytes", post(BODY, {"X-Long": "x" * 20_000}), 431),
        ("a thousand headers", post(BODY, {f"X-{n}": "x" for n in range(1000)}), 431),
        ("an id of 513 letters", post(ours(id="x" * 513)), 400),
        ("a project of 100,000 letters", post(about(LIVING, project_id="p" * 100_000)), 400),
        ("an integer of 5,000 digits", post(with_x(b"9" * 5_000)), 400),
        ("a fraction of 5,000 digits", post(BODY[:-1] + b',"time":0.' + b"9" * 5_000 + b"}"), 400),
        ("a string that never ends", post(b'{"x":"' + b'\\"' * 100_000), 400),
    ),
    "too many": (
        ("1,001 events", post({"records": [{"messages": [text(ours())] * 1_001}], "trigger_type": "KAFKA"}), 400),
        ("one interface 6,000 times", post(about(*[LIVING] * 6_000)), 503),
        ("10,000 wrong ids", post(about(*range(10_000))), 400),
        ("20,000 members", post({str(n): 0 for n in range(20_000)}), 400),
        ("a member beside, which is no attack", post(with_x(b"[[1.5]]")), 503),
    ),
    "nested": (
        ("64 arrays within an event", post(with_x(b"[" * 64 + b"]" * 64)), 400),
        ("100,000 arrays that never end", post(b"[" * 100_000), 400),
        ("10,000 objects within an event", post(with_x(b'{"x":' * 10_000 + b"1" + b"}" * 10_000)), 400),
        ("JSON as text in text in text", post({"records": [{"messages": [NESTED_JSON]}]}), 400),
        ("ten failures of failures", post(reduce(lambda inner, _: failure(inner), range(10), ours())), 400),
        ("batches in batches", post(reduce(lambda inner, _: {"events": [inner, inner]}, range(10), {})), 400),
    ),
    "wrongly typed": (
        *(
            (f"ids that are {wrong!r:.30}", post(ours(data={"interface_ids": wrong})), 400)
            for wrong in (None, True, 17, LIVING, {LIVING: LIVING}, [], [[LIVING]], [None])
        ),
        ("a trace that is a list", post({"cts": [trace(LIVING)]}), 400),
        ("a trace's id that is a list", post(living(resource_id=[LIVING])), 400),
        ("a project that is a list", post(about(LIVING, project_id=[PROJECT_ID])), 400),
        ("NaN", post(with_x(b"NaN")), 400),
        ("Infinity", post(with_x(b"-Infinity")), 400),
        ("a number beyond all numbers", post(BODY[:-1] + b',"time":1e400}'), 400),
        ("the same name twice", post(b'{"type":"x",' + BODY[1:]), 400),
        ("the same name twice, once escaped", post(b'{"\\u0074ype":"x",' + BODY[1:]), 400),
    ),
    "confused": (
        ("two envelopes in one", post({**living(), "events": []}), 400),
        ("a trace that is our own event", post({**trace(LIVING), **ours()}), 400),
        ("a CloudEvent that is a trace", post({**cloud_event(trace(LIVING)), **trace(LIVING)}), 400),
        ("a batch in a batch", post([PAIR], media=BATCH), 503),
        ("a batch that is no array", post(ours(), media=BATCH), 400),
        ("an array that is no batch", post(PAIR), 400),
        (
            "a failure of a message of a CloudEvent of a trace",
            post(failure({"record": [{"smn": notification(cloud_event(trace(LIVING)))}]})),
            503,
        ),
        ("a log line of a request of a batch", post(log_lines(gateway({"events": PAIR}))), 503),
        ("a request in a request", post(gateway(gateway(ours())), path="/invoke"), 200),
        (
            "our event under another's type",
            post(cloud_event({"interface_ids": [LIVING]}, "com.example.other"), media=CLOUDEVENT),
            204,
        ),
        ("a CloudEvent in both modes", post(cloud_event(trace(LIVING)), BINARY, media=CLOUDEVENT), 503),
        (
            "a binary CloudEvent that brings its data as a header",
            post(b"", {**BINARY, "ce-data": DATA.decode()}, media=None),
            400,
        ),
        (
            "a deletion in another's answer",
            post(living(trace_name="createPort", resource_id="", response=text(trace(LIVING)))),
            200,
        ),
        ("another method in a header", post(BODY, {"X-HTTP-Method-Override": "DELETE"}), 503),
        ("a GET with a body", post(BODY, method="GET"), 200),
        ("PUT", post(BODY, method="PUT"), 405),
        ("TRACE", post(b"", method="TRACE"), 405),
        (
            "the API's own path",
            post(BODY, path=f"/v3/{PROJECT_ID}/vpc/traffic-mirror-sessions/x/remove-sources", method="PUT"),
            405,
        ),
    ),
    "smuggled": (
        ("a line's end in an interface", post(about(f"{LIVING}\r\nX-Odd: 1")), 400),
        ("a line's end after an interface", post(about(f"{LIVING}\n")), 400),
        ("a path in an interface", post(about(f"../../{LIVING}")), 400),
        ("an encoded path in an interface", post(about(f"%2e%2e%2f{LIVING}")), 400),
        ("a query in an interface", post(about(f"{LIVING}?force=1#")), 400),
        ("NUL after an interface", post(about(f"{LIVING}\0")), 400),
        ("an interface in wide digits", post(about(LIVING.translate({n: n + 0xFEE0 for n in range(0x30, 0x3A)}))), 400),
        ("an interface with Cyrillic letters", post(about(LIVING.translate(str.maketrans("aec", "аес")))), 400),  # noqa: RUF001 - look-alikes
        ("an interface from right to left", post(about(f"\u202e{LIVING}")), 400),
        ("an interface in braces", post(about(f"{{{LIVING}}}")), 400),
        ("an interface as a URN", post(about(f"urn:uuid:{LIVING}")), 400),
        ("an interface in capitals", post(about(LIVING.upper())), 503),
        ("an interface with a glob", post(about(f"{LIVING[:-1]}*")), 400),
        (
            "a path in a trace's message",
            post(living(resource_id="", message=f"DELETE /v1/x/ports/{LIVING}/../../other")),
            503,
        ),
        ("a log line in an id", post(ours(id='1"}\n{"event":"delivery.detached"')), 400),
        ("a terminal's command in an id", post(ours(id="\x1b[2J\x9b1m")), 400),
        ("right to left in an id", post(ours(id="\u202egpj.exe")), 503),
        (
            "a header in a CloudEvent's id",
            post(cloud_event({}, "com.example.other") | {"id": "1\r\nSet-Cookie: a=b"}, media=CLOUDEVENT),
            400,
        ),
        ("a header in a binary CloudEvent's id", post(DATA, BINARY | {"ce-id": "1%0d%0aSet-Cookie: a=b"}), 400),
        ("a path in a project", post(living(project_id=f"../{PROJECT_ID}")), 403),
        ("a line's end in a project", post(living(project_id=f"{PROJECT_ID}\r\nX-Odd: 1")), 403),
        (
            "a host in a region",
            post({"trigger_type": "KAFKA", "region": "evil.example/", "records": [{"messages": [text(ours())]}]}),
            403,
        ),
        ("another request after a short body", post(b"{}" + post(BODY), framing="Content-Length: 2"), 400),
        (
            "another request before a long body",
            post(BODY, framing=f"Content-Length: {len(BODY)}\r\nContent-Length: 0"),
            400,
        ),
        (
            "a length and chunks",
            post(chunked(BODY), framing=f"Content-Length: {len(BODY)}\r\nTransfer-Encoding: chunked"),
            400,
        ),
        ("chunks under another name", post(BODY, framing="Transfer-Encoding: xchunked"), 501),
        ("chunks twice", post(chunked(BODY), framing="Transfer-Encoding: chunked, chunked"), 400),
        ("a length with a sign", post(BODY, framing=f"Content-Length: +{len(BODY)}"), 400),
        ("a header's name with a space", stranger(BODY, {"Authorization ": f"Bearer {TOKEN}"}), 400),
        ("a header with an underscore", stranger(BODY, {"webhook_signature": "v1,x"}), 401),
        ("a header in a folded line", stranger(BODY, {"X-Odd": f"1\r\n Authorization: Bearer {TOKEN}"}), 400),
        ("lines that end in LF alone", stranger(BODY, {"X-Odd": f"1\nAuthorization: Bearer {TOKEN}"}), 400),
        ("NUL in a header", post(BODY, {"X-Odd": "1\0"}), 400),
        ("another host in the request line", post(BODY, path="http://evil.example/"), 503),
        ("no HTTP at all", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64) + b"\r\n\r\n", 400),
    ),
    "early": (
        ("a deletion that is under way", post(living(response={"job_id": "1", "status": "RUNNING"})), 200),
        ("a request of a deletion", post(living(response={"job_id": "1"})), 200),
        ("a deletion of the year 2100", post(living(record_time=4_102_444_800_000)), 503),
        ("a deletion at the end of time", post(living(time="9999-12-31T23:59:59-23:59", record_time=0)), 503),
    ),
    "failed": (
        ("by its rating", post(living(trace_rating="warning")), 200),
        ("by its status", post(living(trace_status="incident")), 200),
        ("by its answer", post(living(code=200, response={"error_code": "VPC.2500"})), 200),
        (
            "by Cloud Eye's state",
            post({"event_source": "SYS.ECS", "event_name": "deleteServer", "detail": {"event_state": "warning"}}),
            200,
        ),
    ),
    "stale": (
        ("a deletion of 1970", post(living(record_time=1)), 503),
        ("a deletion without a time", post(living(record_time=None, time=None)), 503),
        ("a deletion before all time", post(ours(time="0001-01-01T00:00:00+14:00")), 503),
    ),
    "elsewhere": (
        ("another project", post(about(LIVING, project_id="0" * 32)), 403),
        ("another project in a trace", post(living(project_id="0" * 32)), 403),
        (
            "another project of the topic",
            post({"record": [{"smn": notification(ours(), f"urn:smn:{REGION}:{'0' * 32}:deletions")}]}),
            403,
        ),
        (
            "another region of the topic",
            post({"record": [{"smn": notification(ours(), f"urn:smn:cn-north-4:{PROJECT_ID}:deletions")}]}),
            403,
        ),
        (
            "our project within another's region",
            post({"record": [{"smn": notification(living(), f"urn:smn:cn-north-4:{PROJECT_ID}:x")}]}),
            403,
        ),
        (
            "a sweep of another project",
            post({"type": "io.unmirror.sweep.due.v1", "id": "1", "data": {"project_id": "0" * 32}}),
            403,
        ),
    ),
    "hostile list": (
        ("a page of HTML", post(about(GONE)), 503, says(b"<html>sign in</html>")),
        ("a way elsewhere", post(about(GONE)), 503, says(b"", 302, Location="http://127.0.0.1:9/")),
        ("for ever elsewhere", post(about(GONE)), 503, says(b"", 308, Location="https://evil.example/")),
        ("a small page that unpacks to 65 MiB", post(about(GONE)), 503, says(BOMB, **{"Content-Encoding": "gzip"})),
        ("something that does not unpack", post(about(GONE)), 503, says(b"x" * 99, **{"Content-Encoding": "gzip"})),
        ("half of one", post(about(GONE)), 503, (Fault("list_sessions", "truncate", times=EVER),)),
        ("a list that is not found", post(about(GONE)), 503, code(404, "VPC.2803", "list_sessions")),
        ("null", post(about(GONE)), 503, says(b"null")),
        ("an object for a list", post(about(GONE)), 503, says(b'{"traffic_mirror_sessions":{},"page_info":{}}')),
        ("100,000 arrays", post(about(GONE)), 503, says(b"[" * 100_000)),
        ("a path for a session", post(about(GONE)), 503, lists(session("../../v1/x", GONE))),
        ("a line's end in a session", post(about(GONE)), 503, lists(session("1\r\nX-Odd: 1", GONE))),
        ("a session without an id", post(about(GONE)), 503, lists(session(None, GONE))),
        ("sources that are text", post(about(GONE)), 503, lists({**session("1"), "traffic_mirror_sources": GONE})),
        ("pages in a circle", post(about(GONE)), 503, lists(session("1"), next_marker="1")),
        ("a marker with a query", post(about(GONE)), 503, lists(session("1", GONE), next_marker="x&limit=0#\r\n")),
        ("a session that mirrors elastic IPs", post(about(GONE)), 200, lists(session("1", GONE, type="eip"))),
        ("paths for sources, in a sweep", post(SWEEP), 502, lists(session("1", "../../v1", "x\r\ny"))),
        (
            "only sources of others, in a sweep",
            post(SWEEP),
            200,
            (
                *lists(session("1", *(f"{n:08x}-0000-4000-8000-000000000000" for n in range(99)))),
                *says(b'{"ports":[],"page_info":{}}', 200, "list_ports"),
            ),
        ),
    ),
    "slow": (
        ("a list that never comes", post(about(GONE)), 503, (Fault("list_sessions", "hang", times=EVER),)),
        ("a list that drips", post(about(GONE)), 503, (Fault("list_sessions", "drip", times=EVER),)),
        ("an interface that never comes", post(about(LIVING)), 503, (Fault("show_port", "hang", times=EVER),)),
    ),
    "hostile interface": (
        ("another interface", post(about(LIVING)), 503, says(text({"port": {"id": GONE}}).encode(), 200, "show_port")),
        ("null", post(about(LIVING)), 503, says(b'{"port":null}', 200, "show_port")),
        ("HTML that is not found", post(about(LIVING)), 503, says(b"<h1>404</h1>", 404, "show_port")),
        ("nothing that is not found", post(about(LIVING)), 503, says(b"", 404, "show_port")),
        ("gone, says a proxy", post(about(LIVING)), 503, says(b"", 410, "show_port")),
        ("no content", post(about(LIVING)), 503, says(b"", 204, "show_port")),
        ("not found, or not allowed", post(about(LIVING)), 502, code(404, "VPC.2204")),
        ("not found by the gateway", post(about(LIVING)), 502, code(404, "APIGW.0101")),
        ("not found, with another service's code", post(about(LIVING)), 503, code(404, "ECS.0114")),
        ("not found, with a line's end in the code", post(about(LIVING)), 503, code(404, "VPC.2502\r\n")),
        ("not found, in wide digits", post(about(LIVING)), 503, code(404, "VPC.２５０２")),  # noqa: RUF001 - look-alikes
        ("not found, but 200", post(about(LIVING)), 503, code(200, "VPC.2502")),
        ("not found, but 500", post(about(LIVING)), 503, code(500, "VPC.2502")),
        (
            "forbidden, with markup",
            post(about(LIVING)),
            502,
            code(403, "VPC.2201", message="<script>marked</script>\r\nSet-Cookie: marked=1"),
        ),
        (
            "forbidden, by a request with control characters",
            post(about(LIVING)),
            502,
            says(
                text({"error_code": "VPC.2201", "request_id": "1\r\nSet-Cookie: a=b\x1b\u202e"}).encode(),
                403,
                "show_port",
            ),
        ),
        ("elsewhere", post(about(LIVING)), 503, says(b"", 301, "show_port", Location="https://evil.example/")),
        (
            "after thirty years",
            post(about(LIVING, project_id=PATIENT_PROJECT)),
            503,
            says(b"{}", 429, "*", **{"Retry-After": "999999999"}),
        ),
    ),
    "hostile certificate": (
        *(
            (name, smn(url), 401)
            for name, url in (
                ("none", None),
                ("nowhere", ""),
                ("a number", 17),
                ("another host", f"https://evil.example{CERTIFICATE}"),
                ("a host that begins alike", f"https://{HOST}.evil.example{CERTIFICATE}"),
                ("a host that ends alike", f"https://evil{HOST}{CERTIFICATE}"),
                ("a domain that ends alike", f"https://smn.{REGION}.evilmyhuaweicloud.com{CERTIFICATE}"),
                ("another service", f"https://obs.{REGION}.myhuaweicloud.com{CERTIFICATE}"),
                ("a bucket", f"https://smn.obs.{REGION}.myhuaweicloud.com{CERTIFICATE}"),
                ("another region", f"https://smn.cn-north-4.myhuaweicloud.com{CERTIFICATE}"),
                ("a name before the host", f"https://{HOST}@evil.example{CERTIFICATE}"),
                ("a name before the right host", f"https://evil.example@{HOST}{CERTIFICATE}"),
                ("a backslash", f"https://evil.example\\@{HOST}{CERTIFICATE}"),
                ("a fragment before the host", f"https://evil.example#@{HOST}{CERTIFICATE}"),
                ("an address", f"https://127.0.0.1{CERTIFICATE}"),
                ("an address as a number", f"https://2130706433{CERTIFICATE}"),
                ("an address in hexadecimal", f"https://0x7f000001{CERTIFICATE}"),
                ("an IPv6 address", f"https://[::1]{CERTIFICATE}"),
                ("an IPv4 address as IPv6", f"https://[::ffff:127.0.0.1]{CERTIFICATE}"),
                ("this machine", f"https://localhost{CERTIFICATE}"),
                ("a name for a private address", f"https://smn.10.0.0.1.nip.io{CERTIFICATE}"),
                ("the metadata service", "http://169.254.169.254/openstack/latest/securitykey"),
                ("a port", f"https://{HOST}:8443{CERTIFICATE}"),
                ("no TLS", f"http://{HOST}{CERTIFICATE}"),
                ("a file", "file:///etc/passwd"),
                ("FTP", f"ftp://{HOST}{CERTIFICATE}"),
                ("data", "data:application/x-pem-file,x"),
                ("no scheme", f"//{HOST}{CERTIFICATE}"),
                ("a path upwards", f"https://{HOST}/smn/../evil.pem"),
                ("an encoded path upwards", f"https://{HOST}/smn/%2e%2e/evil.pem"),
                ("a way elsewhere", f"https://{HOST}/redirect?to=https://evil.example/x.pem"),
                ("a query", f"https://{HOST}{CERTIFICATE}?x=1"),
                ("a line's end", f"https://{HOST}\r\nX-Odd: 1{CERTIFICATE}"),
                ("a space", f"https://{HOST} {CERTIFICATE}"),
                ("a wide full stop", f"https://smn。{REGION}.myhuaweicloud.com{CERTIFICATE}"),
                ("a look-alike host", f"https://smn.{REGION}.myhuаweicloud.com{CERTIFICATE}"),  # noqa: RUF001 - look-alike
                ("its punycode", f"https://smn.{REGION}.xn--myhuweicloud-8ij.com{CERTIFICATE}"),
                ("100,000 letters", f"https://{HOST}/{'x' * 100_000}.pem"),
            )
        ),
        (
            "a confirmation that leads elsewhere",
            smn(
                f"https://evil.example{CERTIFICATE}",
                type="SubscriptionConfirmation",
                subscribe_url="https://127.0.0.1/confirm",
            ),
            401,
        ),
        ("another topic", smn(f"https://evil.example{CERTIFICATE}", topic_urn=f"{TOPIC}-of-another"), 401),
        ("another version", smn(f"https://evil.example{CERTIFICATE}", signature_version="v0"), 401),
    ),
}
"""By kind: name, what is sent, the status, and what the API does meanwhile where it is not what it should."""

ATTACKS = tuple(Attack(kind, *row) for kind, rows in TABLE.items() for row in rows)
