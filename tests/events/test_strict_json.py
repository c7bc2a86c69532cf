"""Which JSON texts are read, and which are not because two readers could read them differently."""

from __future__ import annotations

import json

import pytest

from handler import events
from handler.errors import BadEvent
from handler.events.strict_json import MAX_NESTING


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"", "JSON"),
        (b"   ", "JSON"),
        (b"{'a': 1}", "JSON"),
        (b'{"a": 1} {"b": 2}', "JSON"),
        (b'{"a": 1,}', "JSON"),
        (b'"\x00"', "JSON"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (b'"\xed\xa0\x80"', "UTF-8"),
        (b"NaN", "JSON without NaN and Infinity"),
        (b'{"time": -Infinity}', "JSON without NaN and Infinity"),
        (b'{"id": 1, "id": 2}', "JSON without duplicate names in an object"),
        (b'{"a": [{"id": 1, "\\u0069d": 2}]}', "JSON without duplicate names in an object"),
        (b'{"id": "\\ud800"}', "JSON without lone surrogates"),
        (b'{"\\udc00": 1}', "JSON without lone surrogates"),
        ('"\ud800"', "UTF-8"),
        (b"1" * 4_301, "JSON with integers of at most 4,300 digits"),
    ],
)
def test_what_is_no_strict_json_is_refused_by_its_rule(body: bytes | str, rule: str) -> None:
    with pytest.raises(BadEvent) as refused:
        events.decode(body)
    assert [(violation.path, violation.rule) for violation in refused.value.violations] == [("$", rule)]
    assert refused.value.__cause__ is None  # the cause would hold the text


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("closed", [True, False])
@pytest.mark.parametrize("levels", [MAX_NESTING + 1, 10_000, 100_000])
def test_deep_nesting_is_refused_and_never_overflows(opening: bytes, closed: bool, levels: int) -> None:
    body = opening * levels
    if closed:
        body += b"0" + body[::-1].translate(bytes.maketrans(b"[{", b"]}"), b'":a')
    with pytest.raises(BadEvent) as refused:
        events.decode(body)
    assert refused.value.violations[0].rule == (f"JSON nested at most {MAX_NESTING} levels deep" if closed else "JSON")


def test_brackets_in_strings_are_no_nesting() -> None:
    texts = ["[{" * 500, '"[' * 500, "\\[" * 500, '\\"{' * 500]
    assert events.decode(json.dumps(texts).encode()) == texts
    assert events.decode(b"[" * MAX_NESTING + b"]" * MAX_NESTING)


@pytest.mark.parametrize("body", [b'"' + b'\\"' * 130_000, b'"' + b"\\" * 260_000 + b"[", (b'"\\' + b"[" * 70) * 3_000])
def test_a_hostile_text_is_scanned_once(body: bytes) -> None:
    """Each would take hours if the scan for nesting went back; the suite's time limit is the judge."""
    with pytest.raises(BadEvent):
        events.decode(body + b"[" * 70)


def test_what_is_json_is_read_as_it_is() -> None:
    value = {"a": [1, -2.5e3, True, None, "ü😀"], "": {}}
    for body in (json.dumps(value).encode(), json.dumps(value, ensure_ascii=False).encode()):
        assert events.decode(body) == events.decode(b"\xef\xbb\xbf" + body) == events.decode(body.decode()) == value
