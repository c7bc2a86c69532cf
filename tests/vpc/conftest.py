"""An emulated region and clients of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from handler.vpc.credentials import CredentialChain
from tests.support.clock import FakeClock
from tests.support.credentials import POD, Services
from tests.support.vpc_clients import ACCESS_KEY, SECRET_KEY, NewRegion, VpcRegion


@pytest.fixture
def new_region() -> Iterator[NewRegion]:
    """Return a function that starts a region; takes the emulator's own options."""
    with ExitStack() as closing:

        def start(**options: Any) -> VpcRegion:
            time = FakeClock()
            options = {"keys": {ACCESS_KEY: SECRET_KEY}, "now": lambda: time.cloud, **options}
            return VpcRegion(closing.enter_context(Emulator(Cloud(), **options)), time, closing)

        yield start


@pytest.fixture
def region(new_region: NewRegion) -> VpcRegion:
    """A region as the documents describe it."""
    return new_region()


@pytest.fixture
def chain(tmp_path: Path) -> Callable[..., CredentialChain]:
    """Return a chain; `profile` is what stands in the profile file of its home."""

    def make(
        environ: Mapping[str, str] | None = None,
        services: Services | None = None,
        *,
        profile: str | bytes | None = None,
        time: FakeClock | None = None,
    ) -> CredentialChain:
        if profile is not None:
            file = tmp_path / ".huaweicloud" / "credentials"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(profile if isinstance(profile, bytes) else profile.encode())
        clock = (time or FakeClock()).clock
        environ = {"HOME": str(tmp_path), **(environ or {})}
        return CredentialChain.from_env(environ, clock=clock, http=services or Services())

    return make


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """What CCE sets in a pod."""
    file = tmp_path / "pod-token"
    file.write_text("pod-authorization\n")
    return {"HC_CONTAINER_CREDENTIALS_FULL_URI": POD, "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}
