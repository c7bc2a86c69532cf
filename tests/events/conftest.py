"""Constructed payloads, from the schemas' own examples: the one place where each envelope is written down."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from handler.events import schemas

Build = Callable[..., Any]


@pytest.fixture
def example() -> Build:
    """Return a function that gives a fresh copy of a schema's example, with other members if asked."""

    def build(name: str, index: int = 0, **members: object) -> Any:
        value = copy.deepcopy(schemas.schema(name)["examples"][index])
        return value | members if members else value

    return build


@pytest.fixture
def trace(example: Build) -> Build:
    """Return a function that gives a deletePort trace with other members; one that is `...` is left out."""

    def build(**members: object) -> dict[str, Any]:
        return {name: value for name, value in (example("trace") | members).items() if value is not ...}

    return build
