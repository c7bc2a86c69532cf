"""Events in a file: one, a JSON array, JSON lines, or the `.json.gz` that CTS stores (CTS user guide, cts_02_0003)."""

import gzip
import json
import zlib
from collections.abc import Sequence
from typing import IO, NamedTuple

import click

from handler.errors import BadEvent
from handler.events.strict_json import NotStrict, decode_parts

# Bytes that the function takes as one delivery; a batch of CloudEvents may have 1 MiB, where it is sent as such.
MAX_BODY = 256 * 1024


class NotJson(NotStrict):
    """Stands for a line or a file that is not JSON at all; to be read as an event, it breaks its rule."""


class EventFile(NamedTuple):
    """What a file holds, in its order."""

    payloads: Sequence[tuple[str, object]]
    """Events in whatever envelope they came, each after its place: `line 3`, `item 3` of an array, or both."""
    too_large: bool = False
    """Whether it is one JSON text that the function would refuse for its size."""


def read_file(_: click.Context, __: click.Parameter, file: IO[bytes]) -> EventFile:
    """Return what a file of the command line holds; read before signals are handled, so that Ctrl-C ends it."""
    content = file.read()
    if content.startswith(b"\x1f\x8b"):  # gzip's magic number, RFC 1952
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return EventFile([("line 1", NotJson("a whole gzip file"))])
    whole = _decode(content)
    if not isinstance(whole, NotJson):
        return EventFile(_items(whole, ""), len(content) > MAX_BODY)
    lines = [(n, _decode(line, n)) for n, line in enumerate(content.splitlines(), 1) if line.strip()]
    if lines and all(isinstance(line, NotJson) for _, line in lines):
        return EventFile([("line 1", whole)])
    return EventFile([item for number, line in lines for item in _items(line, f"line {number}")])


def _items(value: object, line: str) -> list[tuple[str, object]]:
    if isinstance(value, list):
        return [(f"{line} item {number}".strip(), item) for number, item in enumerate(value, 1)]
    return [(line or "line 1", value)]


def _decode(content: bytes, line: int = 1) -> object:
    """Return the value, or NotJson that says in which line and column it is none."""
    try:
        return decode_parts(content)
    except BadEvent as error:
        rule = error.violations[0].rule
    try:
        json.loads(content)
    except json.JSONDecodeError as fault:
        rule = f"JSON; line {line + fault.lineno - 1}, column {fault.colno}: {fault.msg}"
    except (ValueError, RecursionError):
        pass
    return NotJson(rule)
