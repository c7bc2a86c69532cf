"""One event at a time: what it costs beyond its calls, and how many calls' time an interface in three sessions takes.

The sender is one kept connection of the standard library, and so is the client by which each call is timed: a call's
time is what it takes that client, in the same minute, at the same region.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from http.client import HTTPConnection
from urllib.parse import urlsplit

from handler.vpc.credentials import AccessKey
from handler.vpc.signing import signed
from tests.bench import processes
from tests.bench.cloud import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Region

CALLS = {"unmirror": ("list", "show", "remove"), "floor": ("list", "show", "remove"), "SDK": ("list", "remove")}
"""What a lone event of a mirrored interface asks the API."""
WARM_UP = 3
"""Events and calls of each kind that do not count."""


class Client:
    """One kept connection."""

    def __init__(self, url: str) -> None:
        self._host = urlsplit(url).netloc
        self._connection = HTTPConnection(self._host, timeout=120)

    def send(self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """Return a success's body; of an API's, also of a 404."""
        self._connection.request(method, target, body, dict(headers or {}))
        answer = self._connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 404), content
        return content

    def deliver(self, interface_id: str) -> float:
        """Send an event that was recorded just now, so that it needs a listing of its own; return the seconds."""
        body = json.dumps(processes.event(interface_id, seconds_ago=0)).encode()
        began = time.perf_counter()
        self.send("POST", "/", body, {"Content-Type": "application/json"})
        return time.perf_counter() - began

    def call(self, method: str, path: str, query: str = "", body: bytes = b"") -> tuple[float, bytes]:
        """Make one signed call of the API; return its seconds, without those of the signature, and the answer."""
        headers = {"Host": self._host, "Content-Type": "application/json", "X-Project-Id": PROJECT_ID}
        headers = signed(method, path, query, headers, body, AccessKey(ACCESS_KEY, SECRET_KEY), datetime.now(UTC))
        began = time.perf_counter()
        content = self.send(method, f"{path}?{query}" if query else path, body, headers)
        return time.perf_counter() - began, content


def beyond_its_calls(rounds: int, peer: str = "unmirror") -> tuple[float, float]:
    """Return the median seconds of a lone event less those of its calls, of a peer and the SDK's; measured in turn."""
    took: dict[str, list[float]] = {name: [] for name in (peer, "SDK", "list", "show", "remove")}
    region = Region(sessions=100, deleted=3 * (rounds + WARM_UP))
    with (
        processes.cloud(region) as cloud,
        processes.function(peer, cloud.url) as ours,
        processes.function("SDK", cloud.url) as theirs,
    ):
        gone = iter(cloud.gone)
        senders = {peer: Client(ours.url), "SDK": Client(theirs.url)}
        api, sessions = Client(cloud.url), f"/v3/{PROJECT_ID}/vpc/traffic-mirror-sessions"
        listed = json.loads(api.call("GET", sessions)[1])["traffic_mirror_sessions"]
        holding = {source: each["id"] for each in listed for source in each["traffic_mirror_sources"]}
        for _ in range(rounds + WARM_UP):
            for name, sender in senders.items():
                took[name].append(sender.deliver(next(gone)))
            one = next(gone)
            body = json.dumps({"traffic_mirror_session": {"traffic_mirror_sources": [one]}}).encode()
            took["list"].append(api.call("GET", sessions, "limit=2000")[0])
            took["show"].append(api.call("GET", f"/v3/{PROJECT_ID}/ports/{one}")[0])
            took["remove"].append(api.call("PUT", f"{sessions}/{holding[one]}/remove-sources", body=body)[0])
        assert cloud.state()["still_mirrored"] == 0, "each was done"
    median = {name: statistics.median(each[WARM_UP:]) for name, each in took.items()}

    def beyond(name: str) -> float:
        return median[name] - sum(median[call] for call in CALLS[name])

    return beyond(peer), beyond("SDK")


def in_three_sessions(rounds: int, latency: float) -> dict[str, float]:
    """Return how many calls' latencies an event takes whose interface is in three sessions, by peer."""
    peers = ("unmirror", "SDK")
    deleted = len(peers) * (rounds + WARM_UP)
    region = Region(sessions=3 * deleted, deleted=deleted, shape="threefold", latency=latency)
    took: dict[str, list[float]] = {peer: [] for peer in peers}
    with (
        processes.cloud(region) as cloud,
        processes.function("unmirror", cloud.url) as ours,
        processes.function("SDK", cloud.url) as theirs,
    ):
        gone = iter(cloud.gone)
        senders = {"unmirror": Client(ours.url), "SDK": Client(theirs.url)}
        for _ in range(rounds + WARM_UP):
            for peer, sender in senders.items():
                took[peer].append(sender.deliver(next(gone)))
        assert cloud.state()["still_mirrored"] == 0, "each was done"
    return {peer: statistics.median(each[WARM_UP:]) / latency for peer, each in took.items()}
