"""JSON text to values, and nothing that two readers could read differently."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import NoReturn

from handler.errors import BadEvent, Violation

MAX_NESTING = 64
"""Levels of arrays and objects in one JSON text."""

_MAX_INTEGER_BITS = 14_000  # about 4,300 digits: what Python itself turns into text and back by default

# One token is a whole string or one bracket. Every part is optional at the end of the text, so that a string
# which never ends is a token too: the scan goes over each character once, whatever the text.
_TOKEN = re.compile(r'"(?:[^"\\]+|\\.?)*"?|[][{}]', re.DOTALL)


def decode(body: bytes | str) -> object:
    """Return the value of a JSON text, in UTF-8 if it is bytes, with or without a byte order mark (RFC 8259, §8.1).

    Raises BadEvent for what is not JSON, and for what JSON libraries disagree about: duplicate keys, NaN and
    Infinity, lone surrogates, integers of thousands of digits, nesting deeper than MAX_NESTING.
    """
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_json("UTF-8") from None
    if text.count("[") + text.count("{") > MAX_NESTING:
        _bound_nesting(text)
    try:
        value: object = _DECODER.decode(text)
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise _not_json("JSON without lone surrogates") from None
    except (ValueError, RecursionError) as error:  # RecursionError: the platform's own limit may be below ours
        # The error holds the whole text: it is not chained, here and above, so that no log can show it.
        raise _not_json(str(error) if type(error) is ValueError else "JSON") from None
    return value


def check(value: object) -> None:
    """Raise BadEvent unless the value could have come from `decode`; bytes may stand for text."""
    level: list[object] = [value]
    for _ in range(MAX_NESTING + 1):
        deeper: list[object] = []
        for node in level:
            if isinstance(node, dict):
                if not all(isinstance(key, str) for key in node):
                    raise _not_json("JSON with names that are strings")
                deeper += node.values()
            elif isinstance(node, list):
                deeper += node
            elif isinstance(node, int):
                if node.bit_length() > _MAX_INTEGER_BITS:
                    raise _not_json(_LONG_INTEGER)
            elif not isinstance(node, (str, float, bytes, type(None))):
                raise _not_json("JSON")
        if not deeper:
            return
        level = deeper
    raise _not_json(_NESTING)


_NESTING = f"JSON nested at most {MAX_NESTING} levels deep"
_LONG_INTEGER = "JSON with integers of at most 4,300 digits"


def _bound_nesting(text: str) -> None:
    depth = 0
    for token in _TOKEN.finditer(text):
        match token[0]:
            case "[" | "{":
                depth += 1
                if depth > MAX_NESTING:
                    raise _not_json(_NESTING)
            case "]" | "}":
                depth -= 1


def _object(pairs: Iterable[tuple[str, object]]) -> dict[str, object]:
    pairs = list(pairs)
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("JSON without duplicate names in an object")
    return value


def _integer(digits: str) -> int:
    if len(digits) > 4_300:
        raise ValueError(_LONG_INTEGER)
    return int(digits)


def _constant(_: str) -> NoReturn:
    raise ValueError("JSON without NaN and Infinity")


def _not_json(rule: str) -> BadEvent:
    return BadEvent(f"what is sent must be {rule}", (Violation("$", rule),))


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=_constant)
