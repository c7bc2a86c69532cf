"""No module needs, directly or by way of others, one that needs it."""

from __future__ import annotations

import ast
import pkgutil
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import handler

MODULES = sorted(module.name for module in pkgutil.walk_packages(handler.__path__, "handler."))
STARTS_A_SERVER = {"handler.main", "handler.cli.__main__"}
"""They act when they are imported."""


def imported(name: str) -> Iterator[str]:
    """Yield the modules of ours that a module imports anywhere, also within functions and for types alone."""
    path = Path(handler.__file__).parents[1].joinpath(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("handler"):
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & {*MODULES}
            yield from inner or {str(node.module)}


def test_there_is_no_import_circle() -> None:
    order = list(TopologicalSorter({name: {*imported(name)} - {name} for name in MODULES}).static_order())
    assert order.index("handler.errors") < order.index("handler.service") < order.index("handler.web.app")


def test_every_module_can_be_imported() -> None:
    assert len(MODULES) > 60
    for name in MODULES:
        if name not in STARTS_A_SERVER:
            import_module(name)
