"""The JSON schemas: found in the package or the checkout, compiled when first used, never fetched."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, cast

from handler.errors import Violation
from handler.events.strict_json import decode

# jsonschema takes longer to import than the rest of the function together. Only what validates pays for it.
if TYPE_CHECKING:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError
    from referencing import Resource

BASE = "https://unmirror.io/schemas/"
"""What every `$id` starts with; the name and `.json` follow."""

MAX_VIOLATIONS = 100
"""A list of ten thousand wrong ids needs no ten thousand complaints."""


def validate(name: str, value: object) -> tuple[Violation, ...]:
    """Return every rule of the schema that the value breaks, sorted; none when it is valid.

    A violation names its path and the rule, and never a value, nor a property name that no schema has.
    """
    errors = islice(_validator(name).iter_errors(value), MAX_VIOLATIONS)
    return tuple(sorted({violation for error in errors for violation in _violations(error)}))


def identifier(name: str) -> str:
    """Return the `$id` of a schema."""
    return f"{BASE}{name}.json"


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by its name. It is shared: do not change it."""
    return cast(dict[str, Any], decode((_folder() / f"{name}.json").read_bytes()))


def names() -> tuple[str, ...]:
    """Return the names of all schemas there are, sorted."""
    return tuple(sorted(file.name[:-5] for file in _folder().iterdir() if file.name.endswith(".json")))


@cache
def _folder() -> Any:  # a Traversable, whose type has moved between the Python versions
    from importlib import resources
    from pathlib import Path

    packaged = resources.files("handler") / "schemas"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "schemas"


@cache
def _validator(name: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator
    from referencing import Registry

    rules = {"$id": identifier(name), **_rules(schema(name))}
    return Draft202012Validator(rules, registry=Registry(retrieve=_retrieve))  # type: ignore[call-arg]


def _rules(node: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without what only people read, and with a schema that it refers to in its place.

    It says the same in two thirds of the time: the validator looks references up again at every value.
    """
    rules = {keyword: asked for keyword, asked in node.items() if keyword not in _ANNOTATIONS}
    if rules.keys() == {"$ref"} and "#" not in rules["$ref"]:
        return _rules(schema(rules["$ref"].removesuffix(".json")))
    for keyword in ("properties", "$defs"):
        if keyword in rules:
            rules[keyword] = {name: _rules(child) for name, child in rules[keyword].items()}
    return rules


_ANNOTATIONS = frozenset({"$schema", "$id", "$comment", "title", "description", "examples"})


@cache
def _retrieve(uri: str) -> Resource[Any]:
    from referencing import Resource
    from referencing.exceptions import NoSuchResource

    name = uri.removeprefix(BASE).removesuffix(".json")
    if uri != identifier(name):
        raise NoSuchResource(uri)
    return Resource.from_contents(schema(name))


def _violations(error: ValidationError) -> Iterator[Violation]:
    path = "".join(("$", *map(_step, error.absolute_path)))
    keyword, asked, value = str(error.validator), cast(object, error.validator_value), cast(Any, error.instance)
    if keyword == "required" and isinstance(asked, list):
        yield from (Violation(path, f"required: {name}") for name in asked if name not in value)
    elif keyword in ("enum", "type") and isinstance(asked, list):
        yield Violation(path, f"{keyword}: {', '.join(map(str, asked))}")
    elif isinstance(asked, (str, int, float)) and not isinstance(asked, bool):
        yield Violation(path, f"{keyword}: {asked}")
    else:
        yield Violation(path, keyword)


def _step(step: str | int) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    return f".{step}" if step in _known_names() else ".*"


@cache
def _known_names() -> frozenset[str]:
    """Return the property names of all schemas: any other name in a path is the sender's own."""

    def inside(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, child in node.items():
                if key == "properties" and isinstance(child, dict):
                    yield from child
                yield from inside(child)
        elif isinstance(node, list):
            for child in node:
                yield from inside(child)

    return frozenset(property_name for name in names() for property_name in inside(schema(name)))
