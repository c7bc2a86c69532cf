"""Connections that vanish without a word, as when a NAT forgets them: what a storm of eight events takes afterwards."""

from __future__ import annotations

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

from tests.bench import processes
from tests.bench.cloud import Region

EVENTS = 8


class Proxy:
    """Forwards connections on loopback until they vanish; a context manager."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._upstream = (str(address.hostname), address.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._generation = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def vanish(self) -> None:
        """Swallow what is sent on the connections of until now, and tell neither side."""
        self._generation += 1

    def _accept(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                for source, sink in ((client, server), (server, client)):
                    threading.Thread(target=self._forward, args=(source, sink, self._generation), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, generation: int) -> None:
        with suppress(OSError):  # one side has reset it
            while data := source.recv(65_536):
                if generation == self._generation:
                    sink.sendall(data)
            if generation == self._generation:
                sink.shutdown(socket.SHUT_WR)


def after_idling(seconds: float) -> tuple[float, int]:
    """Return the seconds of the slowest of eight events at once, and how many were not answered 200.

    Eight events at once have opened the connections, which then were idle for so long and vanished.
    """
    with (
        processes.cloud(Region(sessions=100, deleted=2 * EVENTS, latency=0.1)) as cloud,
        Proxy(cloud.url) as proxy,
        processes.function("unmirror", proxy.url) as function,
        ThreadPoolExecutor(EVENTS) as senders,
    ):

        def deliver(interface_id: str) -> tuple[float, int]:
            began = time.monotonic()
            status = processes.post(function.url, interface_id).status_code
            return time.monotonic() - began, status

        assert all(status == 200 for _, status in senders.map(deliver, cloud.gone[:EVENTS]))
        time.sleep(seconds)
        proxy.vanish()
        answers = list(senders.map(deliver, cloud.gone[EVENTS:]))
    return max(took for took, _ in answers), sum(status != 200 for _, status in answers)
