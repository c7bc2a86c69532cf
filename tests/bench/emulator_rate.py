"""How many requests a second the emulator answers from its one process: `python -m tests.bench.emulator_rate`.

The caller is another process that writes the same signed requests, ready made, on a few raw connections: what is
measured is the emulator and not a client. One in eight is a removal, the others show and list.
"""

from __future__ import annotations

import multiprocessing
import socket
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import urlsplit

from handler.emulator.operations import Behaviour
from handler.emulator.server import Emulator
from handler.emulator.state import Cloud
from handler.vpc.credentials import AccessKey
from handler.vpc.signing import signed

PROJECT, KEY, SECRET = "project", "KEY", "secret"
SECONDS, CONNECTIONS = 3.0, 8


def requests_for(host: str, session: str, port: str) -> Sequence[bytes]:
    """Return one round of signed requests."""
    base = f"/v3/{PROJECT}/vpc/traffic-mirror-sessions"
    removal = f'{{"traffic_mirror_session":{{"traffic_mirror_sources":["{port}"]}}}}'.encode()
    asked = [
        ("GET", base, b""),
        ("PUT", f"{base}/{session}/remove-sources", removal),
        *[("GET", f"{base}/{session}", b"")] * 3,
        *[("GET", f"/v3/{PROJECT}/ports/{port}", b"")] * 3,
    ]
    made = []
    for method, path, body in asked:
        headers = signed(method, path, "", {"Host": host}, body, AccessKey(KEY, SECRET), datetime.now(UTC))
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        made.append(f"{method} {path} HTTP/1.1\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    return made


def hurry(host: str, asked: Sequence[bytes], counted: multiprocessing.Queue[int]) -> None:
    """Send one request on each connection, then read one answer from each, and so on."""
    name, _, port = host.partition(":")
    streams = [socket.create_connection((name, int(port))).makefile("rwb") for _ in range(CONNECTIONS)]
    count, ends = 0, time.monotonic() + SECONDS
    while time.monotonic() < ends:
        for number, stream in enumerate(streams):
            stream.write(asked[(count + number) % len(asked)])
            stream.flush()
        for stream in streams:
            assert stream.readline().split()[1] == b"200"
            length = 0
            while (line := stream.readline()) != b"\r\n":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            stream.read(length)
        count += len(streams)
    counted.put(count)


def main() -> None:
    cloud = Cloud()
    port = cloud.add_port(PROJECT)
    sessions = [cloud.add_session(PROJECT, sources=[port]) for _ in range(10)]
    with Emulator(cloud, keys={KEY: SECRET}, behaviour=Behaviour(absent_source="ignore")) as emulator:
        emulator.on_call = None
        host = urlsplit(emulator.url).netloc
        spawn = multiprocessing.get_context("spawn")
        counted: multiprocessing.Queue[int] = spawn.Queue()
        caller = spawn.Process(target=hurry, args=(host, requests_for(host, sessions[0], port), counted))
        caller.start()
        count = counted.get()
        caller.join()
    print(f"{count / SECONDS:,.0f} requests/s, signatures checked, {CONNECTIONS} connections")


if __name__ == "__main__":
    main()
