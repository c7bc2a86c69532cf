"""An emulated region, and plain HTTP requests to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import requests

from handler.emulator.server import Emulator
from handler.emulator.state import Cloud

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
SESSIONS = f"/v3/{PROJECT}/vpc/traffic-mirror-sessions"


@dataclass(frozen=True)
class Region:
    """The emulator, and what a test asks it."""

    emulator: Emulator

    @property
    def cloud(self) -> Cloud:
        return self.emulator.cloud

    def ask(
        self, path: str, method: str = "GET", *, body: str = "", key: str = "", timeout: float = 5.0, **query: Any
    ) -> requests.Response:
        """Send a request as the owner of a key; a list in the query is a parameter that is repeated."""
        headers = {"X-Project-Id": PROJECT, "Authorization": f"SDK-HMAC-SHA256 Access={key}, SignedHeaders="}
        url = self.emulator.url + path
        return requests.request(method, url, params=query, data=body, headers=headers, timeout=timeout)

    def sessions(self, **parameters: Any) -> dict[str, Any]:
        return dict(self.ask(SESSIONS, **parameters).json())

    def ports(self, version: str = "v3", **parameters: Any) -> list[str]:
        """Return the ids that the list of ports shows."""
        path = "/v2.0/ports" if version == "v2.0" else f"/{version}/{PROJECT}/ports"
        return [port["id"] for port in self.ask(path, **parameters).json()["ports"]]

    def change(self, session: str, action: str, sources: Iterable[str]) -> requests.Response:
        """Add or remove sources."""
        body = json.dumps({"traffic_mirror_session": {"traffic_mirror_sources": [*sources]}})
        return self.ask(f"{SESSIONS}/{session}/{action}-sources", "PUT", body=body)

    def remove(self, session: str, *sources: str) -> requests.Response:
        return self.change(session, "remove", sources)

    def add(self, session: str, *sources: str) -> requests.Response:
        return self.change(session, "add", sources)


NewRegion: TypeAlias = Callable[..., Region]
