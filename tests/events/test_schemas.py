"""The schemas themselves, and the README that describes them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing.exceptions import NoSuchResource

from handler import events
from handler.errors import Violation
from handler.events import schemas
from handler.events.cts import OPERATIONS
from handler.events.envelopes import BATCH, ENVELOPES, Envelope
from handler.events.explain import explain

NAMES = [envelope.name for envelope in (*ENVELOPES, BATCH)]
README = (Path(__file__).parents[2] / "schemas" / "README.md").read_text("utf-8")


def test_there_is_one_schema_for_each_envelope_one_for_the_report_and_one_for_log_lines() -> None:
    assert sorted({*NAMES, "report", "log"}) == sorted(schemas.names())


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_says_what_it_is_and_shows_it(name: str) -> None:
    schema = schemas.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == events.identifier(name) == f"https://unmirror.io/schemas/{name}.json"
    assert schema["title"]
    assert schema["description"]
    assert "onstructed" in schema["$comment"] or schema["$comment"] == "Defined here."
    assert schema["examples"]
    for value in schema["examples"]:
        assert events.validate(name, value) == ()


def patterns(node: Any) -> list[str]:
    """Return all patterns in a schema."""
    if isinstance(node, dict):
        own = [node["pattern"]] if isinstance(node.get("pattern"), str) else []
        return own + [found for child in node.values() for found in patterns(child)]
    return [found for child in node for found in patterns(child)] if isinstance(node, list) else []


@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_means_the_same_in_every_dialect(name: str) -> None:
    r"""ECMA's `$` ends a text, Python's also stands before a last line break; `\d` and `\w` differ altogether."""
    for pattern in patterns(schemas.schema(name)):
        assert not re.search(r"\\[dwsb](?!\\S)", pattern)
        assert re.compile(pattern)


def test_no_violation_repeats_a_value_or_a_name_of_the_sender(example: Any) -> None:
    secret = "hunter2"
    payloads = [
        {
            "type": "io.unmirror.interface.deleted.v1",
            "id": secret,
            "data": {"interface_ids": [secret], "project_id": [secret]},
        },
        {"cts": {secret: secret, "trace_id": {secret: secret}, "trace_rating": [secret]}},
        {secret: secret},
        {"specversion": secret, "type": [secret]},
        {"httpMethod": secret, "requestContext": {}, "headers": {secret: secret}, "body": secret},
    ]
    for payload in payloads:
        explanation = explain(payload)
        assert explanation.fault
        assert secret not in repr(explanation)


def test_a_path_shows_only_names_that_the_schemas_have() -> None:
    """The report's maps have ids as names; no envelope's schema looks into such a map."""
    violations = [Violation("$.cts", "type: object")]
    assert list(events.validate("cts", {"cts": "x"})) == violations


def test_nothing_is_ever_fetched() -> None:
    from handler.events.schemas import _retrieve

    with pytest.raises(NoSuchResource):
        _retrieve("https://example.com/trace.json")


def test_the_schemas_are_read_from_a_zip_and_their_library_only_when_needed(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as archive:
        for file in (root / "handler").rglob("*.py"):
            archive.write(file, file.relative_to(root))
        for file in (root / "schemas").glob("*.json"):
            archive.write(file, Path("handler", "schemas", file.name))
    code = """
import sys
from handler import events
assert events.__file__.startswith(sys.path[0]), events.__file__
assert "jsonschema" not in sys.modules
reading = events.read({"trigger_type": "TIMER"})
assert "jsonschema" in sys.modules
print(reading.envelope)
"""
    starting = f"import sys; sys.path.insert(0, {str(tmp_path / 'function.zip')!r})"
    ran = subprocess.run(  # noqa: S603 - our own interpreter, our own code
        [sys.executable, "-c", starting + code], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert (ran.returncode, ran.stdout) == (0, "timer\n"), ran.stderr


# --- the README ----------------------------------------------------------------------------------------------


def mark(envelope: Envelope) -> str:
    """Return in words what an envelope is known by."""
    if envelope is BATCH:
        return "a JSON array"
    has = [f"`{name}`" for name in envelope.has] + [f"`{name}` is `{value}`" for name, value in envelope.says.items()]
    return " and ".join(has) + "".join(f", no `{name}`" for name in envelope.lacks)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table below a heading."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_readme_has_one_row_for_each_envelope_with_its_marks_and_source() -> None:
    table = rows("Envelopes")
    assert [row[0] for row in table] == [f"[`{name}`](#{name})" for name in NAMES]
    assert [row[2] for row in table] == [mark(envelope) for envelope in (*ENVELOPES, BATCH)]
    assert all(cell for row in table for cell in row)


def test_the_readme_has_one_row_for_each_operation_with_the_places_of_its_ids() -> None:
    expected = [
        [row.service, row.resource_type, row.name, ", ".join(f"`{path}`" for path in row.ids) or "none"]
        for row in OPERATIONS
    ]
    assert [[*row[:3], row[4]] for row in rows("Operations")] == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_s_examples_are_the_schemas(name: str) -> None:
    section = README.split(f"\n### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
    text = section.split("```json\n")[1].split("\n```")[0]
    assert json.loads(text) == schemas.schema(name)["examples"][0]
    assert schemas.schema(name)["description"] in section
