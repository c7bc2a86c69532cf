"""Coverage-guided fuzzing of `handler.events`, by hand: no exception but the project's own may come out.

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install atheris
    PYTHONPATH=. /tmp/fuzz/bin/python tests/bench/fuzz_events.py -max_total_time=600 -timeout=5 -max_len=16384

The first byte chooses the way in: plain, a CloudEvent in binary mode, or within a carrier, so that what a carrier
holds as text or base64 is within the fuzzer's reach. All options are libFuzzer's. An input that takes five seconds
counts as a failure.
"""

from __future__ import annotations

import base64
import json
import sys
import tempfile
from pathlib import Path

import atheris  # has no wheels for every platform: installed by hand, see above

with atheris.instrument_imports(include=["handler", "json"]):
    from handler import events
    from handler.errors import BadEvent, UnsupportedMedia
    from handler.events import schemas
    from handler.events.envelopes import ARRAY, ENVELOPES
    from handler.events.explain import explain

BINARY = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "HC.VPC", "ce-type": "VPC:CloudTrace:ApiCall"}
HEADERS: tuple[dict[str, str], ...] = (
    {},
    {"content-type": "application/json"},
    BINARY,
    {"content-type": "application/cloudevents-batch+json"},
)


def carried(way: int, body: bytes) -> object:
    """Return the body within one of the carriers."""
    text, encoded = body.decode("utf-8", "replace"), base64.b64encode(body).decode()
    return (
        {"lts": {"data": encoded}},
        {"lts": {"data": base64.b64encode(json.dumps({"logs": text}).encode()).decode()}},
        {"records": [{"messages": text.split("\n")}]},
        {"httpMethod": "POST", "requestContext": {}, "body": encoded, "isBase64Encoded": True, "headers": BINARY},
        {"request_context": {}, "request_payload": text},
        {"cts": {**schemas.schema("trace")["examples"][1], "request": text, "response": text}},
    )[way % 6]


def one_input(data: bytes) -> None:
    """Read one input; whatever is raised beyond the project's own errors is a finding."""
    way, body = (data[0], data[1:]) if data else (0, b"")
    try:
        payload = events.from_http(HEADERS[way % len(HEADERS)], body) if way < 128 else carried(way, body)
        json.dumps(explain(payload))
        events.parse(payload)
    except (BadEvent, UnsupportedMedia):
        return


def main() -> None:
    """Seed a corpus with the schemas' examples, and fuzz."""
    with tempfile.TemporaryDirectory() as corpus:
        for envelope in (*ENVELOPES, ARRAY):
            for index, example in enumerate(schemas.schema(envelope.name)["examples"]):
                for way in (b"\x01", b"\x82"):
                    name = f"{envelope.name}-{index}-{way.hex()}"
                    (Path(corpus) / name).write_bytes(way + json.dumps(example).encode())
        atheris.Setup([*sys.argv, corpus], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
