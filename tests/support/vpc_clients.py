"""Clients of an emulated region, over a real socket, on a clock that the test moves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from handler.deadline import Clock, Deadline
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from handler.model import ApiCall, MirrorSession
from handler.vpc.client import VpcApi, VpcClient
from handler.vpc.credentials import AccessKey, CredentialChain
from tests.support.clock import FakeClock

T = TypeVar("T")

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
ACCESS_KEY, SECRET_KEY = "EXAMPLEACCESSKEY", "example-secret-key-for-tests-only"
KEY = AccessKey(ACCESS_KEY, SECRET_KEY)
EMPTY = b'{"traffic_mirror_sessions":[],"page_info":{"previous_marker":"","current_count":0}}'
"""A list of no sessions."""
VARIABLES = {"HUAWEICLOUD_SDK_AK": ACCESS_KEY, "HUAWEICLOUD_SDK_SK": SECRET_KEY}


def session(id_: str = "s", *sources: str) -> MirrorSession:
    """Return a session as a listing would show it."""
    lower = tuple(each.lower() for each in sources)
    return MirrorSession(id_, "n", lower, spellings=sources if sources != lower else ())


def rotating(clock: Clock, *keys: AccessKey) -> CredentialChain:
    """Return a chain that gives one key after the other, each time it is read, and the last for ever."""
    left = list(keys)
    return CredentialChain({"a test": lambda _: left.pop(0) if len(left) > 1 else left[0]}, clock)


def at_once(count: int, work: Callable[[], T]) -> list[T]:
    """Return the results of so many calls that begin at once."""
    barrier = threading.Barrier(count)

    def run(_: int) -> T:
        barrier.wait(30)
        return work()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@dataclass
class VpcRegion:
    """The emulator, the clock of both sides, and what the clients did."""

    emulator: Emulator
    time: FakeClock
    closing: ExitStack
    slept: list[float] = field(default_factory=list)
    calls: list[ApiCall] = field(default_factory=list)

    @property
    def cloud(self) -> Cloud:
        return self.emulator.cloud

    @property
    def clock(self) -> Clock:
        """The clients' clock, which notes how long they slept."""
        return self.time.clock._replace(sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time.pass_(seconds)

    @property
    def operations(self) -> list[str]:
        """The operations that the emulator was asked for, in order."""
        return [call.operation for call in self.emulator.calls]

    @property
    def refusals(self) -> int:
        """How often the emulator refused a key."""
        return sum(call.status == 401 for call in self.emulator.calls)

    def client(
        self,
        url: str = "",
        *,
        credentials: CredentialChain | None = None,
        environ: Mapping[str, str] | None = None,
        clock: Clock | None = None,
        jitter: Callable[[], float] = lambda: 1.0,
    ) -> VpcClient:
        """Return a client of the emulator, or of another URL."""
        clock = clock or self.clock
        chain = credentials or CredentialChain.from_env(VARIABLES, clock=clock)
        client = VpcClient(url or self.emulator.url, chain, environ=environ or {}, clock=clock, jitter=jitter)
        self.closing.callback(client.close)
        return client

    def api(self, client: VpcClient | None = None, key: AccessKey | None = None, attempts: int = 1) -> VpcApi:
        """Return the API for the project; each ended call is noted."""
        return (client or self.client()).api(PROJECT, key, on_call=self.calls.append, attempts=attempts)

    def deadline(self, seconds: float = 25.0) -> Deadline:
        return self.time.deadline(seconds)

    def list(self, client: VpcClient | None = None, key: AccessKey | None = None, **options: Any) -> list[str]:
        """Return the ids of all sessions: the simplest call."""
        listing = self.api(client, key, **options).list_sessions(self.deadline())
        return [each.id for each in listing.sessions]


NewRegion: TypeAlias = Callable[..., VpcRegion]
