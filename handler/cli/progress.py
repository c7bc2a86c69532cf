"""How far long work has come: a bar on stderr, which goes away when the work has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

Tell: TypeAlias = Callable[[str, int, int], None]
"""Told what is being done, how much of it is, and of how much; 0 where nobody knows yet."""


@contextmanager
def bar(console: Console) -> Iterator[Tell]:
    """Give what shows how far the work has come; a quiet console shows nothing."""
    columns = (TextColumn("{task.description}"), BarColumn(None), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=console.quiet) as shown:
        task = shown.add_task("", total=None)

        def tell(words: str, done: int, total: int) -> None:
            shown.update(task, description=words, completed=done, total=total or None)

        yield tell
