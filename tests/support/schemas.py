"""The schemas of the repository, and what jsonschema says of a value by one of them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource

FOLDER = Path(__file__).parents[2] / "schemas"


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by its path below `schemas/`, without its ending: `report`, `cli/check`."""
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def names() -> list[str]:
    """Return the names of all schemas there are, sorted."""
    return sorted(file.relative_to(FOLDER).with_suffix("").as_posix() for file in FOLDER.rglob("*.json"))


def violations(name: str, value: object) -> list[str]:
    """Return what is wrong with the value, one line each: the path and jsonschema's message."""
    errors = Draft202012Validator(schema(name), registry=_registry()).iter_errors(value)
    return sorted(f"{error.json_path} {error.message}" for error in errors)


@cache
def _registry() -> Registry[Any]:
    resources = [Resource.from_contents(schema(name)) for name in names()]
    return Registry().with_resources([(resource.id() or "", resource) for resource in resources])
