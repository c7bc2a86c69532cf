"""What the tests of secrets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.secrets import Ear, listening


@pytest.fixture
def ear(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Iterator[Ear]:
    """Hear the whole test, in which no mark may be found."""
    with listening(capfd, caplog) as ear:
        yield ear
