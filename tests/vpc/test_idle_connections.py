"""Connections that vanish while they are idle, as when a NAT forgets them: reads do without them."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import pytest

from handler.deadline import Clock, Deadline
from handler.errors import OutcomeUnknown
from handler.model import Presence
from handler.vpc.client import VpcClient
from tests.support.vpc_clients import EMPTY, VpcRegion, at_once, session
from tests.support.wire import closing, said, silent, wire

LISTED = said("200 OK", EMPTY)
GONE = said("404 Not Found", b'{"error_code":"VPC.2502"}')
SHOWN = said("200 OK", b'{"traffic_mirror_session":{"id":"s","traffic_mirror_sources":[]}}')


class Vanishing:
    """A server whose connections of until now can vanish. Interfaces are asked for by three at once."""

    def __init__(self, end: Callable[[socket.socket], None]) -> None:
        self.clients: list[object] = []
        """Whose connection each request came on."""
        self.vanished: set[object] = set()
        self.left = threading.Semaphore(0)
        """Counts the vanished connections that the client has closed."""
        self._end, self._together = end, threading.Barrier(3)

    def vanish(self) -> None:
        self.vanished |= set(self.clients)
        self.clients.clear()

    def serve(self, head: bytes) -> Callable[[socket.socket], None]:
        if b"/ports/" in head:
            self._together.wait(30)  # so that each has a connection of its own

        def write(connection: socket.socket) -> None:
            self.clients.append(connection.getpeername())
            if self.clients[-1] not in self.vanished:
                connection.sendall(GONE if b"/ports/" in head else LISTED)
                return
            self._end(connection)
            self.left.release()

        return write


def find(region: VpcRegion, client: VpcClient) -> Callable[[], Presence]:
    """Return a call that ends within thirty real seconds."""
    return lambda: region.api(client).find_interface("i", Deadline.within(30.0, time.monotonic))


def late(data: bytes, at: int = 0) -> Callable[[socket.socket], None]:
    """Say so many bytes at once, and the others later than a reused connection may be silent in these tests."""

    def write(connection: socket.socket) -> None:
        connection.sendall(data[:at])
        time.sleep(0.2)
        connection.sendall(data[at:])

    return write


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what makes a reused connection be left after a short silence."""
    return lambda: monkeypatch.setattr("handler.vpc.transport.SILENCE_SECONDS", 0.05)


@pytest.mark.parametrize("clocks", ["both", "wall alone"])
def test_a_connection_that_was_idle_for_long_is_not_used_again(region: VpcRegion, clocks: str) -> None:
    """By either clock: a process that is frozen between two events has its monotonic one stand still."""
    with wire([LISTED, silent]) as lost, wire([LISTED]) as served:
        for url in (served.url, lost.url):
            client = region.client(url)
            region.list(client)
            (region.time.pass_ if clocks == "both" else region.time.freeze)(40)
            if url == served.url:
                region.list(client)
        assert (served.connections, lost.connections) == (2, 1)


def test_after_a_connection_has_lost_an_answer_the_other_idle_ones_are_not_trusted(region: VpcRegion) -> None:
    """Three connections vanish: the first read that meets one is answered at its second try, the others at once."""
    server = Vanishing(closing)
    with wire(server.serve) as served:
        client = region.client(served.url)
        region.list(client)  # proves the key, so that the others need not wait for it
        at_once(3, find(region, client))
        server.vanish()
        assert len(server.vanished) == 3
        region.list(client)
        at_once(3, find(region, client))
        assert [each in server.vanished for each in server.clients] == [True, False, False, False, False]


def test_reads_on_connections_that_vanished_at_once_are_each_answered_on_a_new_one_within_their_time(
    region: VpcRegion, impatient: Callable[[], None]
) -> None:
    server = Vanishing(silent)
    with wire(server.serve) as served:
        client = region.client(served.url)
        region.list(client)
        at_once(3, find(region, client))
        server.vanish()
        impatient()
        assert [each.exists for each in at_once(3, find(region, client))] == [False] * 3
        assert [each in server.vanished for each in server.clients] == [True] * 3 + [False] * 3
        assert all(server.left.acquire(timeout=30) for _ in range(3)), "no late answer is read"


def test_who_waits_for_a_probe_that_met_a_vanished_connection_goes_on_right_after_it(
    region: VpcRegion, impatient: Callable[[], None]
) -> None:
    server = Vanishing(silent)
    with wire(server.serve) as served:
        client = region.client(served.url)
        region.list(client)
        server.vanish()
        impatient()
        region.time.pass_(6)  # the key is to be tried by one call alone
        assert at_once(4, lambda: region.list(client)) == [[]] * 4
        assert [each in server.vanished for each in server.clients] == [True] + [False] * 4


def test_a_read_whose_connection_vanished_is_tried_once_more_within_its_deadline(region: VpcRegion) -> None:
    for vanishes, seconds, expected in ((closing, 25.0, 2), (silent, 1.5, 1)):
        with wire([LISTED, vanishes, LISTED]) as served:
            clock = Clock()
            client = region.client(served.url, clock=clock)
            region.api(client).list_sessions(Deadline.within(25, clock.monotonic))
            try:
                region.api(client).list_sessions(Deadline.within(seconds, clock.monotonic))
            except OutcomeUnknown:
                assert expected == 1
            assert len(served.heads) == 1 + expected


def test_a_new_connection_an_answer_that_has_begun_and_a_removal_have_the_whole_time_of_the_call(
    region: VpcRegion, impatient: Callable[[], None]
) -> None:
    impatient()
    with wire([late(LISTED), late(LISTED, at=len(LISTED) - 20), late(SHOWN)]) as served:
        client = region.client(served.url)
        assert region.list(client) == region.list(client) == []
        assert region.api(client).remove_sources(session("s", "i"), ["i"], region.deadline()).session is not None
        assert (len(served.heads), served.connections) == (3, 1)


def test_an_api_that_is_always_slow_is_not_asked_twice(region: VpcRegion, impatient: Callable[[], None]) -> None:
    """A connection is trusted for twice what its last answer took."""
    impatient()

    def slow(connection: socket.socket) -> None:
        region.time.pass_(3)
        connection.sendall(LISTED)

    with wire([slow, late(LISTED)]) as served:
        client = region.client(served.url)
        assert region.list(client) == region.list(client) == []
        assert (len(served.heads), served.connections) == (2, 1)
