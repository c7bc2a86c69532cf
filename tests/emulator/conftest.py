"""Emulated regions; they ask for no signatures unless they are given keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from tests.support.region import NewRegion, Region


@pytest.fixture
def new_region() -> Iterator[NewRegion]:
    """Return a function that starts a region; takes the emulator's own options."""
    with ExitStack() as closing:

        def start(**options: Any) -> Region:
            return Region(closing.enter_context(Emulator(Cloud(), **options)))

        yield start


@pytest.fixture
def region(new_region: NewRegion) -> Region:
    """A region as the documents describe it."""
    return new_region()
