"""An emulated region and clients of it, over a real socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest

from handler.emulator.server import Cloud, Emulator
from handler.model import Deadline
from handler.vpc.client import ProjectApi, VpcClient
from handler.vpc.credentials import AccessKey, Credentials

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ACCESS_KEY, SECRET_KEY = "EXAMPLEACCESSKEY", "example-secret-key-for-tests-only"
KEYS = {"HUAWEICLOUD_SDK_AK": ACCESS_KEY, "HUAWEICLOUD_SDK_SK": SECRET_KEY}


@dataclass
class Region:
    """The emulator, and what a client of it did with its time."""

    emulator: Emulator
    closing: ExitStack
    slept: list[float] = field(default_factory=list)

    @property
    def cloud(self) -> Cloud:
        return self.emulator.cloud

    @property
    def operations(self) -> list[str]:
        """The operations that the emulator was asked for, in order."""
        return [call.operation for call in self.emulator.calls]

    def client(self, **options: Any) -> VpcClient:
        """Return a client that waits for nothing: what it would have slept is noted."""
        credentials = options.pop("credentials", None) or Credentials.from_env(options.pop("keys", KEYS))
        defaults: dict[str, Any] = {"environ": {}, "sleep": self.slept.append, "draw": lambda: 1.0}
        client = VpcClient(options.pop("endpoint", self.emulator.url), credentials, **{**defaults, **options})
        self.closing.callback(client.close)
        return client

    def api(
        self, client: VpcClient | None = None, *, seconds: float = 20.0, key: AccessKey | None = None, **options: Any
    ) -> ProjectApi:
        """Return the API for one delivery that has so many seconds."""
        client = client or self.client(**options)
        return client.project(PROJECT, Deadline.within(seconds, client.clock), key)


NewRegion: TypeAlias = Callable[..., Region]


@pytest.fixture
def new_region() -> Iterator[NewRegion]:
    """Return a function that starts a region; takes the emulator's own options."""
    with ExitStack() as closing:

        def start(cloud: Cloud | None = None, **options: Any) -> Region:
            options = {"keys": {ACCESS_KEY: SECRET_KEY}, **options}
            return Region(closing.enter_context(Emulator(cloud or Cloud(), **options)), closing)

        yield start


@pytest.fixture
def region(new_region: NewRegion) -> Region:
    """A region as the documents describe it."""
    return new_region()
