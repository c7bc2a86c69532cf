"""Attacks by the form of what is sent: cut, turned round, encoded, too long, nested, of the wrong type."""

from __future__ import annotations

import gzip
import zlib
from functools import reduce

from handler.emulator.sample import PROJECT_ID
from tests.hostile.attacks.made import (
    BODY,
    CHUNKED,
    DATA,
    LIVING,
    Rows,
    about,
    failure,
    living,
    ours,
    text,
    with_x,
)
from tests.hostile.attacks.wire import JSON, chunked, post, stranger
from tests.support.events import b64
from tests.support.tenant import BATCH, DELETED, cloud_event, messages, trace

NESTED_JSON = reduce(lambda inner, _: text(inner), range(7), BODY.decode())
ESCAPED = b'{"type":"' + b"".join(b"\\u%04x" % ord(c) for c in DELETED) + b'","id":"1","data":' + DATA + b"}"
PARTS = b"--x\r\n\r\n" + BODY + b"\r\n--x--"

TABLE: dict[str, Rows] = {
    "truncated": (
        ("less than was promised", post(BODY, framing=f"Content-Length: {len(BODY) + 9}"), 400),
        ("chunks without an end", post(chunked(BODY)[:-5], framing=CHUNKED), 400),
        ("within a chunk", post(chunked(BODY)[:-60], framing=CHUNKED), 400),
        ("JSON", post(BODY[:-3]), 400),
        ("within a character", post(with_x(b'"\xc3"')), 400),
        ("within the head", post(BODY)[:60], 0),
        ("base64 within", post({"lts": {"data": b64({"logs": "[]"})[:-3]}}), 400),
        ("nothing is left", post(b""), 400),
    ),
    "re-ordered": (
        ("the result before its request", (post(living()), post(living(response={"job_id": "1"}))), 200),
        ("the deletion before the creation", (post(living()), post(living(trace_name="createPort"))), 200),
        ("a batch from its end", post([cloud_event(trace(LIVING, record_time=at)) for at in (2, 1)], media=BATCH), 503),
        ("the type after the data", post(dict(reversed(ours().items()))), 503),
    ),
    "re-encoded": (
        ("UTF-16", post(text(ours()).encode("utf-16")), 400),
        ("UTF-16, and says so", post(text(ours()).encode("utf-16"), media=f"{JSON}; charset=utf-16"), 415),
        ("UTF-7", post(text(ours()).encode("utf-7"), media=f"{JSON}; charset=utf-7"), 415),
        ("UTF-8 with a byte order mark", post(b"\xef\xbb\xbf" + BODY), 503),
        ("UTF-8 with two of them", post(b"\xef\xbb\xbf" * 2 + BODY), 400),
        ("overlong UTF-8", post(BODY.replace(b"0", b"\xc0\xb0")), 400),
        ("surrogates as UTF-8", post(with_x(b'"\xed\xa0\x80"')), 400),
        ("escapes for every letter", post(ESCAPED), 503),
        ("gzip", post(gzip.compress(BODY), {"Content-Encoding": "gzip"}), 415),
        ("deflate", post(zlib.compress(BODY), {"Content-Encoding": "deflate"}), 415),
        ("gzip under identity", post(gzip.compress(BODY), {"Content-Encoding": "identity, gzip"}), 415),
        ("gzip as it is sent", post(chunked(gzip.compress(BODY)), framing="Transfer-Encoding: gzip, chunked"), 400),
        ("base64 in base64", post({"lts": {"data": b64(b64(ours()))}}), 400),
        ("JSON as text of JSON", post(ours(data=text({"interface_ids": [LIVING]}))), 400),
        ("a form", post(b"event=" + BODY, media="application/x-www-form-urlencoded"), 415),
        ("a form of parts", post(PARTS, media="multipart/form-data; boundary=x"), 415),
    ),
    "over-long": (
        ("a body over the limit", post(BODY + b" " * 300_000), 413),
        ("a body over the limit, in chunks", post(chunked(BODY, b" " * 300_000), framing=CHUNKED), 413),
        ("a promise of ten gigabytes", post(BODY, framing="Content-Length: 10000000000"), 413),
        ("a length of a thousand digits", post(BODY, framing=f"Content-Length: {'9' * 1000}"), 413),
        ("a body over the limit of who is not let in", stranger(BODY + b" " * 300_000), 413),
        ("a path of 20,000 letters", post(BODY, path=f"/{'x' * 20_000}"), 414),
        ("a query of 20,000 letters", post(BODY, path=f"/?{'x' * 20_000}"), 414),
        ("a batch over the limit", post([ours(specversion="1.0")] * 8_000, media=BATCH), 413),
        ("a header of 20,000 bytes", post(BODY, {"X-Long": "x" * 20_000}), 431),
        ("a thousand headers", post(BODY, {f"X-{n}": "x" for n in range(1000)}), 431),
        ("an id of 513 letters", post(ours(id="x" * 513)), 400),
        ("a project of 100,000 letters", post(about(LIVING, project_id="p" * 100_000)), 400),
        ("an integer of 5,000 digits", post(with_x(b"9" * 5_000)), 400),
        ("a fraction of 5,000 digits", post(BODY[:-1] + b',"time":0.' + b"9" * 5_000 + b"}"), 400),
        ("a string that never ends", post(b'{"x":"' + b'\\"' * 100_000), 400),
    ),
    "too many": (
        ("1,001 events", post(messages(*[ours()] * 1_001)), 503),
        ("one interface 6,000 times", post(about(*[LIVING] * 6_000)), 503),
        ("10,000 wrong ids", post(about(*range(10_000))), 400),
        ("20,000 members", post({str(n): 0 for n in range(20_000)}), 400),
        ("a member beside, which is no attack", post(with_x(b"[[1.5]]")), 503),
    ),
    "nested": (
        ("64 arrays within an event", post(with_x(b"[" * 64 + b"]" * 64)), 400),
        ("100,000 arrays that never end", post(b"[" * 100_000), 400),
        ("10,000 objects within an event", post(with_x(b'{"x":' * 10_000 + b"1" + b"}" * 10_000)), 400),
        ("JSON as text in text in text", post(messages(NESTED_JSON)), 400),
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
}
