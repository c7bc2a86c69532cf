"""The command, and the emulated tenant that it is pointed at."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from handler.emulator.sample import Tenant
from handler.emulator.server import Emulator
from tests.support.cli import Run, Start, starter
from tests.support.function import settings_for


@pytest.fixture(autouse=True)
def _no_function_logs_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that another test made has set up its log, on standard output, for the whole process."""
    monkeypatch.setattr(logging.getLogger("unmirror"), "handlers", [])


@pytest.fixture
def settings(emulator: Emulator) -> dict[str, str]:
    """Settings for the emulated tenant."""
    return settings_for(emulator, UNMIRROR_TRUST="")


@pytest.fixture
def run(settings: dict[str, str], tmp_path: Path) -> Run:
    """The command in the emulated tenant."""
    return Run(tmp_path, settings)


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """The command as a process of its own, without settings."""
    return starter(tmp_path)


@pytest.fixture
def dead(tenant: Tenant) -> str:
    """An interface that is deleted, and still in three sessions."""
    tenant.cloud.delete_port(tenant.interfaces["api-3"])
    return tenant.interfaces["api-3"]
