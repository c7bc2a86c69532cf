"""One event at a time: what it costs beyond its calls, and what a fresh process takes to its first answer.

The sender is one kept connection of the standard library, and so is the client by which each call is timed: a call's
time is what it takes that client, in the same minute, at the same cloud.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from http.client import HTTPConnection
from urllib.parse import urlsplit

from handler.vpc.signing import signed
from tests.bench import processes
from tests.bench.cloud import ACCESS_KEY, PROJECT_ID, SECRET_KEY

SESSIONS, DELETED = 100, 1000
CALLS = {"unmirror": ("list", "show", "remove"), "P": ("list", "remove")}
"""What a lone event of a mirrored interface asks the API."""


class Client:
    """One kept connection."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=120)
        self._host = urlsplit(url).netloc

    def send(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """Return a success's body; of an API's, also of a 404."""
        self._connection.request(method, target, body, dict(headers or {}))
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 404), content
        return content

    def deliver(self, interface_id: str) -> float:
        """Send an event that was recorded just now, so that it needs a look of its own; return the seconds."""
        body = json.dumps(processes.event(interface_id, seconds_ago=0)).encode()
        began = time.perf_counter()
        self.send("POST", "/", body, {"Content-Type": "application/json"})
        return time.perf_counter() - began

    def call(self, method: str, path: str, query: str = "", body: bytes = b"") -> tuple[float, bytes]:
        """Make one signed call of the API; return its seconds, without those of the signature, and the answer."""
        headers = {"Host": self._host, "Content-Type": "application/json", "X-Project-Id": PROJECT_ID}
        now = datetime.now(timezone.utc)
        keys = {"access_key": ACCESS_KEY, "secret_key": SECRET_KEY}
        headers = signed(method, path, query, headers, body, when=now, **keys)
        began = time.perf_counter()
        content = self.send(method, f"{path}?{query}" if query else path, body, headers)
        return time.perf_counter() - began, content


def beyond_its_calls(rounds: int) -> dict[str, float]:
    """Return the median seconds of a lone event less those of its calls, by peer; each measured in turn."""
    took: dict[str, list[float]] = {name: [] for name in ("unmirror", "P", "list", "show", "remove")}
    with (
        processes.cloud(SESSIONS, DELETED, "together") as cloud,
        processes.function("unmirror", cloud.url) as ours,
        processes.function("P", cloud.url) as theirs,
    ):
        gone = iter(cloud.gone)
        senders = {"unmirror": Client(ours.url), "P": Client(theirs.url)}
        api, sessions = Client(cloud.url), f"/v3/{PROJECT_ID}/vpc/traffic-mirror-sessions"
        listed = json.loads(api.call("GET", sessions)[1])["traffic_mirror_sessions"]
        holding = {source: each["id"] for each in listed for source in each["traffic_mirror_sources"]}
        for _ in range(rounds + 3):
            for peer, sender in senders.items():
                took[peer].append(sender.deliver(next(gone)))
            one = next(gone)
            body = json.dumps({"traffic_mirror_session": {"traffic_mirror_sources": [one]}}).encode()
            took["list"].append(api.call("GET", sessions, "limit=2000")[0])
            took["show"].append(api.call("GET", f"/v3/{PROJECT_ID}/ports/{one}")[0])
            took["remove"].append(api.call("PUT", f"{sessions}/{holding[one]}/remove-sources", body=body)[0])
        assert cloud.state()["still_mirrored"] == DELETED - 3 * (rounds + 3), "each was done"
    median = {name: statistics.median(each[3:]) for name, each in took.items()}  # the first ones warm up
    return {peer: median[peer] - sum(median[call] for call in calls) for peer, calls in CALLS.items()}


def first_answers(peers: tuple[str, str], starts: int, *, detachment: bool) -> dict[str, float]:
    """Return the median seconds from a process's start to its first detachment, or to its first answer, by peer.

    The peers take turns, and one start of each before them fills the caches.
    """
    took: dict[str, list[float]] = {peer: [] for peer in peers}
    with processes.cloud(SESSIONS, DELETED, "together") as cloud:
        gone = iter(cloud.gone)
        for _ in range(starts + 1):
            for peer in peers:
                with processes.function(peer, cloud.url, wait=False) as function:
                    processes.listening(function)
                    if detachment:
                        Client(function.url).deliver(next(gone))
                    else:
                        Client(function.url).send("GET", "/")
                    took[peer].append(time.monotonic() - function.started)
        assert not detachment or cloud.state()["still_mirrored"] == DELETED - len(peers) * (starts + 1)
    return {peer: statistics.median(each[1:]) for peer, each in took.items()}
