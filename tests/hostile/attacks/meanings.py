"""Attacks by what is said: forged, replayed, of two readings, smuggled, early, failed, stale, about somebody else's."""

from __future__ import annotations

from datetime import UTC, datetime

from handler.emulator.sample import PROJECT_ID, seed
from tests.hostile.attacks.made import (
    BINARY,
    BODY,
    CHUNKED,
    DATA,
    LENGTH,
    LIVING,
    OTHER_SECRET,
    PAIR,
    SWEEP,
    Rows,
    about,
    failure,
    living,
    ours,
    signed,
    text,
)
from tests.hostile.attacks.wire import TOKEN, chunked, post, stranger
from tests.support import events
from tests.support.events import b64
from tests.support.functiongraph import key_headers
from tests.support.smn_topic import REGION, URN
from tests.support.tenant import BATCH, CLOUDEVENT, cloud_event, messages, through_gateway, trace

OTHER = "0" * 32
NOW = str(int(datetime.now(UTC).timestamp()))
WIDE = LIVING.translate({n: n + 0xFEE0 for n in range(0x30, 0x3A)})
CYRILLIC = LIVING.translate(str.maketrans("aec", "аес"))  # noqa: RUF001 - look-alikes
SIGNATURES = " ".join(f"v1,{b64(str(n))}" for n in range(250))
WARNING = {"event_source": "SYS.ECS", "event_name": "deleteServer", "detail": {"event_state": "warning"}}

TABLE: dict[str, Rows] = {
    "forged": (
        ("nothing is shown", stranger(BODY), 401),
        ("a token that lacks its end", stranger(BODY, {"Authorization": f"Bearer {TOKEN[:-1]}"}), 401),
        ("two tokens, one of them right", post(BODY, {"Authorization": "Bearer other"}), 401),
        ("the token in the URL", stranger(BODY, path=f"/?access_token={TOKEN}"), 401),
        ("the token in a cookie", stranger(BODY, {"Cookie": f"Authorization=Bearer {TOKEN}"}), 401),
        ("the token as a password", stranger(BODY, {"Authorization": f"Basic {b64(TOKEN)}"}), 401),
        ("the token in the body's own headers", stranger(events.apig(BODY.decode(), Authorization=TOKEN)), 401),
        ("as from a proxy of ours", stranger(BODY, {"X-Forwarded-For": "127.0.0.1", "X-Real-IP": "::1"}), 401),
        ("as from FunctionGraph, with keys", stranger(BODY, key_headers("AK", "SK", "T"), path="/invoke"), 401),
        ("the topic in a header alone", stranger(BODY, {"X-SMN-TOPIC-URN": URN}), 401),
        ("a signature of another secret", signed(BODY, secret=OTHER_SECRET), 401),
        ("an empty signature", signed(BODY, signature="v1,"), 401),
        ("a signature of another kind", signed(BODY, signature=f"v1a,{b64('x' * 64)}"), 401),
        ("250 signatures", signed(BODY, signature=SIGNATURES), 401),
        ("a body that was not signed", signed(b"{}", sent=BODY), 401),
        ("a living interface in our own event", signed(BODY), 503),
        ("a living interface in a trace", post(living()), 503),
        ("all the tenant's interfaces", post(about(*seed().interfaces.values())), 503),
        ("a sweep of a living tenant", post(SWEEP), 200),
    ),
    "replayed": (
        ("ten minutes later", signed(BODY, minutes=-10), 401),
        ("dated ahead, to last longer", signed(BODY, minutes=10), 401),
        ("under another id", signed(BODY, id="msg-2"), 401),
        ("with a new time", signed(BODY, minutes=-10, timestamp=NOW), 401),
        ("at once, while the interface lives", (signed(BODY), signed(BODY)), 503),
        ("a hundred times in one delivery", post(PAIR * 50, media=BATCH), 503),
    ),
    "confused": (
        ("two envelopes in one", post({**living(), "events": []}), 400),
        ("a trace that is our own event", post({**trace(LIVING), **ours()}), 400),
        ("a CloudEvent that is a trace", post({**cloud_event(trace(LIVING)), **trace(LIVING)}), 400),
        ("a batch in a batch", post([PAIR], media=BATCH), 503),
        ("a batch that is no array", post(ours(), media=BATCH), 400),
        ("an array that is no batch", post(PAIR), 503),
        ("a failure of a message of a CloudEvent", post(failure(events.smn(PAIR[0], topic_urn=URN))), 503),
        ("a log line of a request of a batch", post(events.lts({"message": text(through_gateway(PAIR))})), 503),
        ("a request in a request", post(through_gateway(through_gateway(ours())), path="/invoke"), 200),
        ("our event under another's type", post(cloud_event(about(LIVING)["data"], "x.y"), media=CLOUDEVENT), 204),
        ("a CloudEvent in both modes", post(cloud_event(trace(LIVING)), BINARY, media=CLOUDEVENT), 503),
        ("a CloudEvent's data in a header", post(b"", {**BINARY, "ce-data": DATA.decode()}, media=None), 400),
        ("a deletion in another's answer", post(living(trace_name="createPort", response=text(trace(LIVING)))), 200),
        ("another method in a header", post(BODY, {"X-HTTP-Method-Override": "DELETE"}), 503),
        ("a GET with a body", post(BODY, method="GET"), 200),
        ("PUT", post(BODY, method="PUT"), 405),
        ("TRACE", post(b"", method="TRACE"), 405),
    ),
    "smuggled": (
        ("a line's end in an interface", post(about(f"{LIVING}\r\nX-Odd: 1")), 400),
        ("a path in an interface", post(about(f"../../{LIVING}")), 400),
        ("a query in an interface", post(about(f"{LIVING}?force=1#")), 400),
        ("NUL after an interface", post(about(f"{LIVING}\0")), 400),
        ("an interface in wide digits", post(about(WIDE)), 400),
        ("an interface with Cyrillic letters", post(about(CYRILLIC)), 400),
        ("an interface from right to left", post(about(f"\u202e{LIVING}")), 400),
        ("an interface in capitals", post(about(LIVING.upper())), 503),
        ("a path in a trace", post(living(resource_id="", message=f"DELETE /v1/x/ports/{LIVING}/../../y")), 503),
        ("a log line in an id", post(ours(id='1"}\n{"event":"delivery.detached"')), 400),
        ("a terminal's command in an id", post(ours(id="\x1b[2J\x9b1m")), 400),
        ("a header in a CloudEvent's id", post(cloud_event({}, "x.y") | {"id": "1\r\nX: a"}, media=CLOUDEVENT), 400),
        ("a header in a binary CloudEvent's id", post(DATA, BINARY | {"ce-id": "1%0d%0aSet-Cookie: a=b"}), 400),
        ("a path in a project", post(living(project_id=f"../{PROJECT_ID}")), 403),
        ("a line's end in a project", post(living(project_id=f"{PROJECT_ID}\r\nX-Odd: 1")), 403),
        ("a host in a region", post({**messages(ours()), "region": "evil.example/"}), 403),
        ("another request after a short body", post(b"{}" + post(BODY), framing="Content-Length: 2"), 400),
        ("another request before a long body", post(BODY, framing=f"{LENGTH}\r\nContent-Length: 0"), 400),
        ("a length and chunks", post(chunked(BODY), framing=f"{LENGTH}\r\n{CHUNKED}"), 400),
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
        ("by its status", post(living(trace_status="warning")), 200),
        ("not, but with serious consequences", post(living(trace_status="incident")), 503),
        ("by its answer", post(living(code=200, response={"error_code": "VPC.2500"})), 200),
        ("by Cloud Eye's state", post(WARNING), 200),
    ),
    "stale": (
        ("a deletion of 1970", post(living(record_time=1)), 503),
        ("a deletion without a time", post(living(record_time=None, time=None)), 503),
        ("a deletion before all time", post(ours(time="0001-01-01T00:00:00+14:00")), 503),
    ),
    "elsewhere": (
        ("another project", post(about(LIVING, project_id=OTHER)), 403),
        ("another project in a trace", post(living(project_id=OTHER)), 403),
        ("a topic of another project", post(events.smn(ours(), topic_urn=URN.replace(PROJECT_ID, OTHER))), 403),
        ("a topic of another region", post(events.smn(ours(), topic_urn=URN.replace(REGION, "cn-north-4"))), 403),
        ("our project in another region", post(events.smn(living(), topic_urn=URN.replace(REGION, "cn-north-4"))), 403),
        ("a sweep of another project", post({**SWEEP, "data": {"project_id": OTHER}}), 403),
    ),
}
