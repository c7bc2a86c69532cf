"""The JSON schemas, draft 2020-12, and what jsonschema says of a value by one of them."""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, cast

from handler.errors import MAX_VIOLATIONS, Violation
from handler.events.strict_json import decode

if TYPE_CHECKING:
    from importlib.abc import ResourceLoader

    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import ValidationError

# What every `$id` starts with; the name follows.
BASE = "urn:unmirror:schema:"


def validate(name: str, value: object) -> tuple[Violation, ...]:
    """Return the rules of a schema that the value breaks, sorted; none when it is valid.

    A violation names its path and the rule, never a value, nor a name that no schema has.
    """
    try:
        errors = list(islice(_validator(name).iter_errors(value), MAX_VIOLATIONS))
    except (RecursionError, ValueError):
        # jsonschema writes the value into its message: of arrays nested too deep, or too long an integer, Python
        # makes no text. Only a platform that has decoded the event itself hands over such a value.
        return (Violation("$", "JSON that is neither nested too deep nor of too long integers"),)
    return tuple(sorted({violation for error in errors for violation in _violations(error)}))


def identifier(name: str) -> str:
    """Return the `$id` of a schema."""
    return f"{BASE}{name}"


@cache
def schema(name: str) -> dict[str, Any]:
    """Return a schema by its name. It is shared: do not change it."""
    loader = cast("ResourceLoader", __spec__.loader)  # it reads from a zip as well
    for folder in PurePath(__file__).parents[1:3]:  # the package that ships them, else the checkout
        with suppress(OSError):
            return cast(dict[str, Any], decode(loader.get_data(str(folder / "schemas" / f"{name}.json"))))
    raise LookupError(f"no schema {name}")


@cache
def _validator(name: str) -> "Draft202012Validator":
    # Imported here: only what validates a delivery pays the 35 ms that it takes from bytecode, after requests. None of
    # them can be saved: the package imports its formats, its older drafts and all meta-schemas, used or not.
    from jsonschema import Draft202012Validator

    return Draft202012Validator(_inlined(schema(name)))


def _inlined(node: Any) -> Any:
    """Return a schema with those that it refers to in their place: a registry's look-up costs 25 µs an event."""
    if not isinstance(node, dict):
        return node
    if str(node.get("$ref")).startswith(BASE):
        return schema(node["$ref"].removeprefix(BASE))
    return {name: _inlined(value) for name, value in node.items()}


def _violations(error: "ValidationError") -> Iterator[Violation]:
    known = {step: f".{step}" for step in error.schema_path}  # any other name in the path is the sender's own
    path = "$" + "".join(f"[{step}]" if isinstance(step, int) else known.get(step, ".*") for step in error.path)
    value = cast(Any, error.instance)
    match error.validator, error.validator_value:
        case "required", list(names):
            yield from (Violation(path, f"required: {name}") for name in names if name not in value)
        case "enum" | "type" as keyword, list(values):
            yield Violation(path, f"{keyword}: {', '.join(map(str, values))}")
        case keyword, asked:
            yield Violation(path, f"{keyword}: {asked}")
