"""The cloud in memory, new for each test."""

from __future__ import annotations

import pytest

from tests.support.cloud import Clock, Cloud


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(clock: Clock) -> Cloud:
    return Cloud(clock)
