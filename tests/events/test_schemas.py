"""The schemas of the envelopes, the check by them, and the README that describes them."""

from __future__ import annotations

import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from handler import events
from handler.events import schemas
from handler.events.cts import OPERATIONS
from handler.events.envelopes import ARRAY, ENVELOPES, Envelope
from handler.events.explain import explain
from tests.support.processes import run
from tests.support.schemas import FOLDER, names

NAMES = [envelope.name for envelope in (*ENVELOPES, ARRAY)]
README = (FOLDER / "README.md").read_text("utf-8")


def test_there_is_one_schema_for_each_envelope_and_those_of_the_outputs() -> None:
    assert sorted(name for name in names() if "/" not in name) == sorted({*NAMES, "report", "log"})


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_says_what_it_is_and_shows_it(name: str) -> None:
    schema = schemas.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == events.identifier(name) == f"urn:unmirror:schema:{name}"
    assert "onstructed" in schema["$comment"] or schema["$comment"] == "Defined here."
    assert all(schema[member] for member in ("title", "description", "examples"))
    assert [events.validate(name, value) for value in schema["examples"]] == [()] * len(schema["examples"])


@pytest.mark.parametrize("envelope", ENVELOPES, ids=lambda envelope: envelope.name)
def test_a_schema_asks_for_the_marks_of_its_envelope(envelope: Envelope) -> None:
    """So that an unknown payload is told which of them it lacks."""
    schema = schemas.schema(envelope.name)
    assert set(schema["required"]) >= {*envelope.has, *envelope.says}
    assert {name: schema["properties"][name]["const"] for name in envelope.says} == envelope.says


def rules(node: Any) -> list[dict[str, Any]]:
    """Return all schemas in a schema."""
    if not isinstance(node, dict):
        return []
    inner = [*node.get("properties", {}).values(), node.get("items")]
    return [node, *(found for child in inner for found in rules(child))]


@pytest.mark.parametrize("name", NAMES)
def test_a_pattern_means_the_same_in_every_dialect(name: str) -> None:
    r"""ECMA's `$` ends a text, Python's also stands before a last line break; `\d` and `\w` differ altogether."""
    for pattern in (rule["pattern"] for rule in rules(schemas.schema(name)) if "pattern" in rule):
        assert not re.search(r"\\[dwsb](?!\\S)", pattern)
        assert re.compile(pattern)


def test_no_violation_repeats_a_value_or_a_name_of_the_sender() -> None:
    secret = "hunter2"
    own = {"type": "io.unmirror.interface.deleted.v1", "id": secret}
    payloads: list[dict[str, Any]] = [
        own | {"data": {"interface_ids": [secret], "project_id": [secret]}},
        {"cts": {secret: secret, "trace_id": {secret: secret}, "trace_rating": [secret]}},
        {secret: secret},
        {"specversion": secret, "type": [secret]},
        {"httpMethod": secret, "requestContext": {}, "headers": {secret: secret}, "body": secret},
        {"record": [{secret: secret, "smn": {"message": secret}}]},
    ]
    for payload in payloads:
        told = explain(payload)
        assert told["fault"]
        assert secret not in json.dumps(told)


IN_A_ZIP = """
import sys
from handler import events
assert events.__file__.startswith(sys.path[0]), events.__file__
assert "jsonschema" not in sys.modules
print(events.parse({"trigger_type": "TIMER"}).envelope)
assert "requests" not in sys.modules
"""


def test_the_schemas_are_read_from_a_zip_and_jsonschema_is_imported_when_one_is_needed(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "function.zip", "w") as archive:
        archive.writestr("__main__.py", IN_A_ZIP)
        for file in (FOLDER.parent / "handler").rglob("*.py"):
            archive.write(file, file.relative_to(FOLDER.parent))
        for file in FOLDER.glob("*.json"):
            archive.write(file, Path("handler", "schemas", file.name))
    ran = run(sys.executable, "function.zip", cwd=tmp_path)
    assert (ran.returncode, ran.stdout) == (0, "timer\n"), ran.stderr


# --- the README ----------------------------------------------------------------------------------------------


def mark(envelope: Envelope) -> str:
    """Return in words what an envelope is known by."""
    if envelope is ARRAY:
        return "a JSON array"
    has = [f"`{name}`" for name in envelope.has] + [f"`{name}` is `{value}`" for name, value in envelope.says.items()]
    return " and ".join(has) + "".join(f", no `{name}`" for name in envelope.lacks)


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    section = README.split(f"\n## {heading}\n")[1]
    table = section[section.index("\n| ") :].split("\n\n")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:]]


def test_the_readme_has_one_row_for_each_envelope_with_its_marks_and_source() -> None:
    table = rows("Envelopes")
    assert [row[0] for row in table] == [f"[`{name}`](#{name})" for name in NAMES]
    assert [row[2] for row in table] == [mark(envelope) for envelope in (*ENVELOPES, ARRAY)]
    assert all(cell for row in table for cell in row)


def test_the_readme_has_one_row_for_each_operation_with_the_places_of_its_ids_and_how_sure_it_is() -> None:
    expected = [[*row[:3], ", ".join(f"`{path}`" for path in row.ids) or "none"] for row in OPERATIONS]
    table = rows("Operations")
    assert [[*row[:3], row[4]] for row in table] == expected
    assert all(cell for row in table for cell in row)


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_s_examples_are_the_schemas(name: str) -> None:
    section = README.split(f"\n### {name}\n")[1].split("\n## ")[0].split("\n### ")[0]
    text = section.split("```json\n")[1].split("\n```")[0]
    assert json.loads(text) == schemas.schema(name)["examples"][0]
    assert schemas.schema(name)["description"] in section
