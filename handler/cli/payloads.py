"""Events in a file: one, a JSON array, JSON lines, or the `.json.gz` that CTS stores (CTS user guide, cts_02_0003)."""

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import click

from handler.errors import BadEvent
from handler.events.strict_json import decode_parts

# Bytes that the function takes as one delivery; a batch of CloudEvents may have 1 MiB, where it is sent as such.
MAX_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class Payload:
    """One event of a file, in whatever envelope it came, or why it cannot be read."""

    place: str
    """`line 3`, `item 3` of an array, or both."""
    value: object = None
    error: BadEvent | None = None


@dataclass(frozen=True, slots=True)
class EventFile:
    """What a file holds, in its order."""

    payloads: tuple[Payload, ...]
    too_large: bool = False
    """Whether it is one JSON text that the function would refuse for its size."""


def read_file(_: click.Context, __: click.Parameter, file: IO[bytes]) -> EventFile:
    """Return what a file of the command line holds; read before signals are handled, so that Ctrl-C ends it."""
    content = file.read()
    if content.startswith(b"\x1f\x8b"):  # gzip's magic number, RFC 1952
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return EventFile((Payload("line 1", error=BadEvent("the file is no whole gzip file")),))
    try:
        return EventFile(tuple(_items(decode_parts(content), "")), len(content) > MAX_BODY)
    except BadEvent as error:
        lines = tuple(_lines(content))
        if any(line.error is None for line in lines):
            return EventFile(lines)
        return EventFile((Payload("line 1", error=_located(content, error)),) if lines else ())


def _lines(content: bytes) -> Iterator[Payload]:
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            try:
                yield from _items(decode_parts(line), f"line {number}")
            except BadEvent as error:
                yield Payload(f"line {number}", error=_located(line, error, number))


def _items(value: object, line: str) -> Iterator[Payload]:
    if isinstance(value, list):
        yield from (Payload(f"{line} item {number}".strip(), item) for number, item in enumerate(value, 1))
    else:
        yield Payload(line or "line 1", value)


def _located(content: bytes, error: BadEvent, line: int = 1) -> BadEvent:
    """Return the error with line and column, where the content is no JSON at all."""
    try:
        json.loads(content)
    except json.JSONDecodeError as fault:
        return BadEvent(f"not JSON: line {line + fault.lineno - 1}, column {fault.colno}: {fault.msg}")
    except (ValueError, RecursionError):
        return error
    return error
