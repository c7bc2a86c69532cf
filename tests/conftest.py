"""What all tests share: no network but loopback, no settings from outside, and the function in a tenant."""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import hypothesis
import pytest

from handler.emulator.sample import ACCESS_KEY, SECRET_KEY, Tenant, seed
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from handler.observability.trace_context import current_trace
from tests.support.function import AT_ONCE, MAIN, Function, NewFunction, settings_for

EXAMPLES = int(os.environ.get("HYPOTHESIS_EXAMPLES", "15"))
"""Of each property: few and always the same for everybody's run, more and new ones where they are asked for."""

hypothesis.settings.register_profile(
    "unmirror",
    max_examples=EXAMPLES,
    deadline=None,  # a verdict depends on no machine's speed
    derandomize="HYPOTHESIS_EXAMPLES" not in os.environ,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),  # too slow; a function's fixture is shared on purpose
)
hypothesis.settings.load_profile("unmirror")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has what it starts in the background ignore it


def pytest_xdist_auto_num_workers() -> int:
    """Have one more than cores: many tests wait, for a process to start or for a time that is up."""
    return (os.cpu_count() or 1) + 1


FROM_OUTSIDE = ("UNMIRROR_", "HUAWEICLOUD_", "RUNTIME_", "HC_", "OTEL_")


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that reaches for another machine fails by itself, wherever it runs."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not ipaddress.ip_address(address[0]).is_loopback:
            raise AssertionError(f"a test reached for another machine: {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment of whoever runs the tests decides nothing, and what the framework writes there does not stay."""
    monkeypatch.setenv("FUNCTION_SIGNATURE_TYPE", "http")
    for name in [name for name in os.environ if name.startswith(FROM_OUTSIDE)]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_trace_of_another_test() -> None:
    """A thread names the trace of the last delivery that it has served until the next one arrives."""
    current_trace.set(None)


@pytest.fixture
def tenant() -> Tenant:
    """A company with 30 interfaces and 8 sessions; `api-3` is in three of them."""
    return seed()


@pytest.fixture
def cloud(tenant: Tenant) -> Cloud:
    """The region in which the tenant lives."""
    return tenant.cloud


@pytest.fixture
def emulator(cloud: Cloud) -> Iterator[Emulator]:
    """The VPC API, served over a real socket; it checks signatures."""
    with Emulator(cloud, keys={ACCESS_KEY: SECRET_KEY}) as serving:
        yield serving


@pytest.fixture
def new_function(emulator: Emulator) -> NewFunction:
    """Return what makes a function for the tenant; settings by name, and an empty one is absent."""

    def make(target: Any = "on_event", source: str = AT_ONCE, **settings: str) -> Function:
        return Function(settings_for(emulator, **settings), target=target, source=source)

    return make


@pytest.fixture
def function(new_function: NewFunction) -> Function:
    """The HTTP function, which trusts its platform."""
    return new_function(source=MAIN)


@pytest.fixture
def hasty(new_function: NewFunction) -> Function:
    """The same, but that it does not wait before it tries again."""
    return new_function()


@pytest.fixture
def nothing_at_exit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let OpenTelemetry send nothing by itself: its collectors are gone a moment later, and it would complain."""
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "86400000")
    from opentelemetry.sdk import metrics, trace

    for module, name in ((metrics, "MeterProvider"), (trace, "TracerProvider")):
        monkeypatch.setattr(module, name, partial(getattr(module, name), shutdown_on_exit=False))
