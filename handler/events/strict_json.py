"""JSON text to values, and nothing that two readers could read differently."""

import json
import re
from collections.abc import Container
from typing import NamedTuple

from handler.errors import BadEvent, Violation

# Levels of arrays and objects in one JSON text, as in .NET; the deepest trace that is printed anywhere has 7.
MAX_NESTING = 64
_MAX_DIGITS = 4_300  # of an integer: what Python turns into text and back by default
# One token is a whole string or one bracket. Every part is optional at the end of the text, so that a string
# which never ends is a token too: the scan goes over each character once, whatever the text.
_STRING_OR_BRACKET = r'"(?:[^"\\]+|\\.?)*"?|[][{}]'


class NotStrict(NamedTuple):
    """Stands in a value for what JSON libraries disagree about, so that what is beside it can be read."""

    rule: str


def decode(body: bytes | str) -> object:
    """Return the value of a JSON text, in UTF-8 if it is bytes, with or without a byte order mark (RFC 8259, §8.1).

    Raises BadEvent for what is not JSON, and for what JSON libraries disagree about: duplicate keys, NaN and
    Infinity, lone surrogates, integers of thousands of digits, nesting deeper than MAX_NESTING.
    """
    value = decode_parts(body)
    check(value)
    return value


def decode_parts(body: bytes | str, at: str = "$") -> object:
    """Return the value as `decode` does, to be checked part by part. What is not JSON is a BadEvent at `at`."""
    if isinstance(body, str):
        body = body.encode("utf-8", "surrogatepass")
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _not_json("UTF-8", at) from None
    decoder = _DECODER
    if text.count("[") + text.count("{") > MAX_NESTING and (pruned := _prune(text)) != text:
        text, decoder = pruned, _PRUNED_DECODER
    try:
        return decoder.decode(text)
    except (ValueError, RecursionError):  # RecursionError: the platform's own limit may be below ours
        # The error holds the whole text: it is not chained, here and above, so that no log can show it.
        raise _not_json("JSON", at) from None


def check(value: object, parts: Container[int] = ()) -> None:
    """Raise BadEvent where something in the value is not strict JSON, apart from the parts, which `id` names."""
    nodes = [value]
    while nodes:
        node = nodes.pop()
        if isinstance(node, str):  # most are: the rest is asked of few
            if not node.isascii() and id(node) not in parts and re.search("[\ud800-\udfff]", node):
                raise _not_json("JSON without lone surrogates")
        elif id(node) in parts:
            continue
        elif isinstance(node, dict):
            nodes += node
            nodes += node.values()
        elif isinstance(node, list):
            nodes += node
        elif isinstance(node, NotStrict):
            raise _not_json(node.rule)


def _prune(text: str) -> str:
    """Return the text with NaN in the place of whatever is nested too deep."""
    kept: list[str] = []
    depth = start = 0
    for token in re.finditer(_STRING_OR_BRACKET, text, re.DOTALL):
        match token[0]:
            case "[" | "{":
                depth += 1
                if depth == MAX_NESTING + 1:
                    kept += text[start : token.start()], "NaN"
                    start = len(text)  # unless it ends
            case "]" | "}":
                if depth == MAX_NESTING + 1:
                    start = token.end()
                depth -= 1
    return "".join((*kept, text[start:]))


def _object(pairs: list[tuple[str, object]]) -> dict[str, object] | NotStrict:
    value = dict(pairs)
    return value if len(value) == len(pairs) else NotStrict("JSON without duplicate names in an object")


def _integer(digits: str) -> int | NotStrict:
    return int(digits) if len(digits) <= _MAX_DIGITS else NotStrict("JSON with integers of at most 4,300 digits")


def _not_json(rule: str, at: str = "$") -> BadEvent:
    return BadEvent(f"what is sent must be {rule}", (Violation(at, rule),))


def _decoder(rule: str) -> json.JSONDecoder:
    return json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_constant=lambda _: NotStrict(rule))


_DECODER = _decoder("JSON without NaN and Infinity")
_PRUNED_DECODER = _decoder(f"JSON nested at most {MAX_NESTING} levels deep")
