"""An emulator of the VPC API: sessions and interfaces over real HTTP, as the API's documents describe them.

Where they say nothing, `Behaviour` switches between the possible answers. It imports nothing of ours, so that it
cannot drift to suit the client; the official SDK is run against it in the tests.
Served by aiohttp: a C parser, latency without threads, and a transport that can be reset.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import itertools
import json
import random
import re
import threading
import time
import uuid
from bisect import bisect_right
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any, Literal
from urllib.parse import parse_qsl, quote, unquote

from aiohttp import web

SOURCES_A_SESSION = 10
SESSIONS_A_SOURCE = 3
MAX_PAGE = 2000
MAX_URI = 32 * 1024
"""Bytes; the gateway's."""
LOCK_AFTER = 5
LOCK = timedelta(minutes=5)
SKEW = timedelta(minutes=15)


@dataclass(frozen=True)
class Behaviour:
    """What the documents leave open, and what regions differ in."""

    absent_source: Literal["reject", "ignore"] = "reject"
    """remove-sources with an id that the session does not list: 400 for the whole call, or no matter."""
    vanished_marker: Literal[404, 400, 0] = 404
    """The status for a marker that names no session any more; 0: the page after it all the same."""
    unknown_id_in_filter: Literal["omit", "404"] = "omit"
    honours_id_filter: bool = True
    hidden_from_lists: frozenset[str] = frozenset()
    """Interfaces that the lists do not show, as where they are scoped to an enterprise project."""
    ports_versions: tuple[str, ...] = ("v3", "v1", "v2.0")
    """The versions of the ports API that the region publishes."""
    stale_removals: bool = False
    """The answer to remove-sources shows the session as it was before."""
    deletion_detaches: bool = False
    """Deleting an interface takes it out of its sessions."""
    deletion_needs_detached: bool = False
    """An interface that is attached to a server cannot be deleted."""


@dataclass
class Fault:
    """Something that goes wrong, at the calls it names, as often as it says."""

    operation: str = "*"
    kind: Literal["answer", "hang", "drip", "reset", "lost", "truncate"] = "answer"
    """`reset`: before anything was done; `lost`: after it was done; `truncate`: half of the answer."""
    status: int = 500
    body: bytes = b'{"error_code":"APIGW.0201","error_msg":"Backend unavailable","request_id":"fault"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    """How often; -1 until it is cleared."""
    skip: int = 0
    """Calls that it lets pass first."""
    done: int = 0
    """How often it has happened."""

    def strikes(self, operation: str) -> bool:
        """Tell whether it happens at this call, and count it."""
        if self.operation not in ("*", operation) or self.done == self.times:
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.done += 1
        return True


@dataclass(frozen=True)
class Call:
    """One request, as it was answered."""

    operation: str
    method: str
    path: str
    status: int
    access_key: str
    at: float
    """Monotonic seconds."""
    ids: tuple[str, ...] = ()
    """The sources of a removal or an addition."""


class Cloud:
    """The state of a region; may be read and changed while it is served."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - ids that a test can repeat
        self._lock = threading.RLock()
        self._sessions: dict[str, dict[str, dict[str, Any]]] = {}
        self._ports: dict[str, dict[str, dict[str, Any]]] = {}
        self._text: dict[str, str] = {}
        self._order: dict[str, tuple[list[str], dict[str, int]]] = {}
        self._uses: dict[str, int] = {}
        self._port_order: dict[str, list[str]] = {}

    def new_id(self) -> str:
        """Return a UUID, the same for the same seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def add_port(self, project_id: str, *, name: str = "", device_id: str = "", port_id: str = "") -> str:
        """Create an interface and return its id."""
        with self._lock:
            id_ = port_id or self.new_id()
            self._ports.setdefault(project_id, {})[id_] = {"id": id_, "name": name, "device_id": device_id}
            self._port_order.pop(project_id, None)
            return id_

    def delete_port(self, port_id: str, *, detach: bool = False) -> bool:
        """Delete an interface; False when there is none. `detach`: take it out of its sessions, too."""
        with self._lock:
            found = any(ports.pop(port_id, None) is not None for ports in self._ports.values())
            self._port_order.clear()
            if found and detach:
                for project_id, sessions in self._sessions.items():
                    for session_id, session in sessions.items():
                        if port_id in session["traffic_mirror_sources"]:
                            self.set_sources(
                                project_id, session_id, [s for s in session["traffic_mirror_sources"] if s != port_id]
                            )
            return found

    def add_session(
        self,
        project_id: str,
        *,
        name: str = "session",
        sources: Iterable[str] = (),
        target_id: str = "",
        target_type: str = "eni",
        type: str = "eni",  # noqa: A002 - the API's own name
        enabled: bool = True,
        **more: Any,
    ) -> str:
        """Create a session, over the quotas if so asked, and return its id."""
        with self._lock:
            number = sum(map(len, self._sessions.values())) + 1
            session = {
                "id": self.new_id(),
                "project_id": project_id,
                "name": name,
                "description": "",
                "traffic_mirror_filter_id": self.new_id(),
                "traffic_mirror_sources": [],
                "traffic_mirror_target_id": target_id,
                "traffic_mirror_target_type": target_type,
                "virtual_network_id": 1,
                "packet_length": 96,
                "priority": number,
                "enabled": enabled,
                "type": type,
                "created_at": "2026-01-01T00:00:00Z",
                "updated_at": "2026-01-01T00:00:00Z",
                **more,
            }
            self._sessions.setdefault(project_id, {})[session["id"]] = session
            self._order.pop(project_id, None)
            self.set_sources(project_id, session["id"], sources)
            return str(session["id"])

    def set_sources(self, project_id: str, session_id: str, sources: Iterable[str]) -> None:
        """Replace a session's sources."""
        with self._lock:
            session = self._sessions[project_id][session_id]
            for source in session["traffic_mirror_sources"]:
                self._uses[source] -= 1
            session["traffic_mirror_sources"] = list(sources)
            for source in session["traffic_mirror_sources"]:
                self._uses[source] = self._uses.get(source, 0) + 1
            self._text.pop(session_id, None)

    def update_session(self, project_id: str, session_id: str, changes: Mapping[str, Any]) -> None:
        """Change other members of a session."""
        with self._lock:
            self._sessions[project_id][session_id].update(changes)
            self._text.pop(session_id, None)

    def delete_session(self, project_id: str, session_id: str) -> bool:
        """Delete a session; False when there is none."""
        with self._lock:
            if session_id not in self._sessions.get(project_id, {}):
                return False
            self.set_sources(project_id, session_id, ())
            del self._sessions[project_id][session_id]
            self._order.pop(project_id, None)
            return True

    def session(self, project_id: str, session_id: str) -> dict[str, Any] | None:
        """Return a copy of a session."""
        with self._lock:
            session = self._sessions.get(project_id, {}).get(session_id)
            return json.loads(json.dumps(session)) if session else None

    def sources(self, project_id: str) -> dict[str, tuple[str, ...]]:
        """Return the sources of each session of a project, by session id."""
        with self._lock:
            found = self._sessions.get(project_id, {})
            return {id_: tuple(session["traffic_mirror_sources"]) for id_, session in found.items()}

    def uses(self, source: str) -> int:
        """Return how many sessions list a source."""
        return self._uses.get(source, 0)

    def port(self, project_id: str, port_id: str) -> dict[str, Any] | None:
        """Return an interface."""
        return self._ports.get(project_id, {}).get(port_id)

    def ports(self, project_id: str) -> list[str]:
        """Return the ids of a project's interfaces, in the order of their creation."""
        with self._lock:
            return list(self._ports.get(project_id, {}))

    def port_order(self, project_id: str) -> list[str]:
        """Return a project's interfaces as they are listed."""
        with self._lock:
            order = self._port_order.get(project_id)
            if order is None:
                order = self._port_order[project_id] = sorted(self._ports.get(project_id, {}))
            return order

    def session_text(self, project_id: str, session_id: str) -> str:
        """Return a session's JSON, made once until it changes."""
        text = self._text.get(session_id)
        if text is None:
            text = self._text[session_id] = json.dumps(self._sessions[project_id][session_id])
        return text

    def order(self, project_id: str) -> tuple[list[str], dict[str, int]]:
        """Return the session ids as they are listed, and the place of each."""
        with self._lock:
            order = self._order.get(project_id)
            if order is None:
                ids = list(self._sessions.get(project_id, {}))
                order = self._order[project_id] = (ids, {id_: place for place, id_ in enumerate(ids)})
            return order

    @property
    def lock(self) -> threading.RLock:
        """Held while one operation reads or changes the state."""
        return self._lock


class _Refusal(Exception):
    """An answer other than the documented success."""

    def __init__(self, status: int, code: str, message: str, shape: Literal["v3", "v1", "neutron"] = "v3") -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.shape = status, code, message, shape

    def body(self, request_id: str) -> bytes:
        if self.shape == "neutron":
            return json.dumps({"NeutronError": {"type": self.code, "message": self.message, "detail": ""}}).encode()
        if self.shape == "v1":
            return json.dumps({"code": self.code, "message": self.message}).encode()
        error = {"error_code": self.code, "error_msg": self.message, "request_id": request_id}
        return json.dumps(error).encode()


@dataclass
class _Answer:
    """A success."""

    status: int = 200
    body: bytes = b""
    ids: tuple[str, ...] = ()


@dataclass
class _Request:
    """What an operation needs of a request."""

    project_id: str
    match: re.Match[str]
    query: list[tuple[str, str]]
    body: bytes
    request_id: str
    version: str = "v3"

    def first(self, name: str) -> str:
        return next((value for key, value in self.query if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.query if key == name]

    def session_body(self) -> dict[str, Any]:
        try:
            session = json.loads(self.body)["traffic_mirror_session"]
        except (ValueError, KeyError, TypeError) as error:
            raise _Refusal(400, "VPC.0001", "Invalid body") from error
        if not isinstance(session, dict):
            raise _Refusal(400, "VPC.0001", "Invalid body")
        return session


class Api:
    """The operations, on a cloud."""

    def __init__(self, cloud: Cloud, behaviour: Behaviour, page_cap: int) -> None:
        self.cloud = cloud
        self.behaviour = behaviour
        self.page_cap = page_cap

    # --- sessions

    def list_sessions(self, request: _Request) -> _Answer:
        """Answer with one page of sessions."""
        project_id, marker = request.project_id, request.first("marker")
        ids, places = self.cloud.order(project_id)
        limit = self._limit(request)
        start = 0
        if marker:
            if marker not in places:
                if self.behaviour.vanished_marker:
                    raise _Refusal(self.behaviour.vanished_marker, "VPC.2801", "The marker is not found")
                start = len(ids)
            else:
                start = places[marker] + 1
        page = ids[start : start + limit]
        wanted = set(request.all("id"))
        shown = [id_ for id_ in page if id_ in wanted] if wanted else page
        info: dict[str, Any] = {"previous_marker": page[0] if page else "", "current_count": len(shown)}
        if start + limit < len(ids):
            info["next_marker"] = page[-1]
        texts = ",".join(self.cloud.session_text(project_id, id_) for id_ in shown)
        return _Answer(
            body=(
                f'{{"request_id":"{request.request_id}","page_info":{json.dumps(info)},'
                f'"traffic_mirror_sessions":[{texts}]}}'
            ).encode()
        )

    def show_session(self, request: _Request) -> _Answer:
        """Answer with one session."""
        return self._session_answer(request, self._session(request))

    def create_session(self, request: _Request) -> _Answer:
        """Create a session."""
        asked, sources = request.session_body(), self._asked_sources(request)
        required = ("name", "priority", "traffic_mirror_filter_id", "traffic_mirror_target_id")
        if missing := [name for name in required if name not in asked]:
            raise _Refusal(400, "VPC.0001", f"missing: {missing}")
        self._check_new(request, str(asked.get("type", "eni")), [], sources)
        id_ = self.cloud.add_session(request.project_id, sources=sources, **_typed({"enabled": False, **asked}))
        answer = self._session_answer(request, self.cloud.session(request.project_id, id_) or {})
        return replace(answer, status=201)

    def update_session(self, request: _Request) -> _Answer:
        """Change a session, but not its sources."""
        session = self._session(request)
        self.cloud.update_session(request.project_id, session["id"], _typed(request.session_body()))
        return self.show_session(request)

    def delete_session(self, request: _Request) -> _Answer:
        """Delete a session."""
        self.cloud.delete_session(request.project_id, self._session(request)["id"])
        return _Answer(status=204)

    def add_sources(self, request: _Request) -> _Answer:
        """Add sources, within the quotas."""
        session, asked = self._session(request), self._asked_sources(request)
        have = session["traffic_mirror_sources"]
        new = [id_ for id_ in asked if id_ not in have]
        self._check_new(request, session["type"], have, new)
        self.cloud.set_sources(request.project_id, session["id"], have + new)
        return self._session_answer(request, self._session(request), asked)

    def remove_sources(self, request: _Request) -> _Answer:
        """Remove sources."""
        session, asked = self._session(request), self._asked_sources(request)
        have = session["traffic_mirror_sources"]
        if self.behaviour.absent_source == "reject" and any(id_ not in have for id_ in asked):
            raise _Refusal(400, "VPC.2802", "A source is not in the session")
        self.cloud.set_sources(request.project_id, session["id"], [id_ for id_ in have if id_ not in asked])
        shown = session if self.behaviour.stale_removals else self._session(request)
        return self._session_answer(request, shown, asked)

    def _session(self, request: _Request) -> dict[str, Any]:
        session = self.cloud.session(request.project_id, request.match["session"])
        if session is None:
            raise _Refusal(404, "VPC.2803", "The session is not found")
        return session

    def _asked_sources(self, request: _Request) -> list[str]:
        asked = request.session_body().get("traffic_mirror_sources")
        if not isinstance(asked, list) or not asked or not all(isinstance(id_, str) for id_ in asked):
            raise _Refusal(400, "VPC.0001", "traffic_mirror_sources is invalid")
        return asked

    def _session_answer(self, request: _Request, session: dict[str, Any], ids: Iterable[str] = ()) -> _Answer:
        body = {"request_id": request.request_id, "traffic_mirror_session": session}
        return _Answer(body=json.dumps(body).encode(), ids=tuple(ids))

    def _check_new(self, request: _Request, type_: str, have: list[str], new: list[str]) -> None:
        if type_ == "eni" and any(self.cloud.port(request.project_id, id_) is None for id_ in new):
            raise _Refusal(404, "VPC.2502", "Port not found")
        if len(have) + len(new) > SOURCES_A_SESSION or any(self.cloud.uses(id_) >= SESSIONS_A_SOURCE for id_ in new):
            raise _Refusal(409, "VPC.2804", "Quota exceeded for resources: ['traffic_mirror_session']")

    # --- interfaces

    def list_ports(self, request: _Request) -> _Answer:
        """Answer with one page of interfaces, in the shape of the version."""
        project_id, hidden = request.project_id, self.behaviour.hidden_from_lists
        asked = set(request.all("id")) if self.behaviour.honours_id_filter else set()
        if asked:
            ids = sorted(id_ for id_ in asked - hidden if self.cloud.port(project_id, id_))
            if self.behaviour.unknown_id_in_filter == "404" and len(ids) < len(asked):
                raise self._port_refusal(request)
        else:
            ids = [id_ for id_ in self.cloud.port_order(project_id) if id_ not in hidden]
        marker, limit = request.first("marker"), self._limit(request)
        start = bisect_right(ids, marker)
        page, more = ids[start : start + limit], len(ids) > start + limit
        body: dict[str, Any] = {"ports": [self._port(request, id_) for id_ in page]}
        if request.version == "v3":
            body |= {"request_id": request.request_id, "page_info": {"current_count": len(page)}}
            body["page_info"]["previous_marker"] = page[0] if page else ""
            if more:
                body["page_info"]["next_marker"] = page[-1]
        return _Answer(body=json.dumps(body).encode())

    def show_port(self, request: _Request) -> _Answer:
        """Answer with one interface."""
        port_id = request.match["port"]
        if self.cloud.port(request.project_id, port_id) is None:
            raise self._port_refusal(request)
        body: dict[str, Any] = {"port": self._port(request, port_id)}
        if request.version == "v3":
            body["request_id"] = request.request_id
        return _Answer(body=json.dumps(body).encode())

    def delete_port(self, request: _Request) -> _Answer:
        """Delete an interface."""
        port_id = request.match["port"]
        port = self.cloud.port(request.project_id, port_id)
        if port is None:
            raise self._port_refusal(request)
        if self.behaviour.deletion_needs_detached and port["device_id"]:
            raise _Refusal(400, "VPC.2500", "Port's device_id is not empty.", "v1")
        self.cloud.delete_port(port_id, detach=self.behaviour.deletion_detaches)
        return _Answer(status=204)

    def _port(self, request: _Request, port_id: str) -> dict[str, Any]:
        port = self.cloud.port(request.project_id, port_id) or {"id": port_id, "name": "", "device_id": ""}
        common = {**port, "status": "ACTIVE", "device_owner": "compute:az1" if port["device_id"] else ""}
        if request.version == "v3":
            return {**common, "project_id": request.project_id, "private_ips": [], "created_at": "2026-01-01T00:00:00"}
        return {**common, "tenant_id": request.project_id, "network_id": "", "fixed_ips": []}

    def _port_refusal(self, request: _Request) -> _Refusal:
        if request.version == "v2.0":
            return _Refusal(404, "PortNotFound", "Port could not be found.", "neutron")
        return _Refusal(404, "VPC.2502", "Port not found", "v3" if request.version == "v3" else "v1")

    def _limit(self, request: _Request) -> int:
        asked = request.first("limit") or str(MAX_PAGE)
        if not asked.isdigit() or int(asked) > MAX_PAGE:
            raise _Refusal(400, "VPC.0003", "limit is invalid")
        return min(int(asked) or MAX_PAGE, self.page_cap)


_TEXTS = ("name", "description", "type", *(f"traffic_mirror_{n}" for n in ("filter_id", "target_id", "target_type")))
_NUMBERS = ("virtual_network_id", "packet_length", "priority")


def _typed(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the members that a request may set, as answers show them: it may give numbers and switches as text."""
    typed = {name: asked[name] for name in (*_TEXTS, *_NUMBERS, "enabled") if name in asked}
    for name in _NUMBERS:
        if name in typed:
            if not str(typed[name]).isdigit():
                raise _Refusal(400, "VPC.0001", f"{name} is invalid")
            typed[name] = int(typed[name])
    if "enabled" in typed:
        typed["enabled"] = str(typed["enabled"]).lower() == "true"
    return typed


_SESSIONS = r"/v3/(?P<project>[^/]+)/vpc/traffic-mirror-sessions"
_ONE = _SESSIONS + r"/(?P<session>[^/]+)"
_PORTS = r"/(?:(?P<version>v3|v1)/(?P<project>[^/]+)|(?P<neutron>v2\.0))/ports"

_ROUTES: tuple[tuple[str, str, re.Pattern[str], Callable[[Api, _Request], _Answer]], ...] = tuple(
    (operation, method, re.compile(path), do)
    for operation, method, path, do in (
        ("list_sessions", "GET", _SESSIONS, Api.list_sessions),
        ("create_session", "POST", _SESSIONS, Api.create_session),
        ("show_session", "GET", _ONE, Api.show_session),
        ("update_session", "PUT", _ONE, Api.update_session),
        ("delete_session", "DELETE", _ONE, Api.delete_session),
        ("add_sources", "PUT", _ONE + "/add-sources", Api.add_sources),
        ("remove_sources", "PUT", _ONE + "/remove-sources", Api.remove_sources),
        ("list_ports", "GET", _PORTS, Api.list_ports),
        ("show_port", "GET", _PORTS + r"/(?P<port>[^/]+)", Api.show_port),
        ("delete_port", "DELETE", _PORTS + r"/(?P<port>[^/]+)", Api.delete_port),
    )
)


class Door:
    """Signatures: SDK-HMAC-SHA256, fifteen minutes of skew, and the lock after too many failures in a row."""

    def __init__(self, keys: Mapping[str, str | tuple[str, str]], now: Callable[[], datetime]) -> None:
        """Take secret keys by access key; with a security token where the key is a temporary one."""
        self.keys = dict(keys)
        self._now = now
        self.failures: dict[str, int] = {}
        self._locked_until: dict[str, datetime] = {}

    def check(self, request: web.BaseRequest, body: bytes) -> None:
        """Return if the request is signed rightly."""
        header = request.headers.get("Authorization", "")
        match = re.fullmatch(r"SDK-HMAC-SHA256 Access=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})", header)
        if match is None:
            raise _Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: no signature")
        access_key, names, signature = match.groups()
        if (until := self._locked_until.get(access_key)) is not None and self._now() < until:
            raise _Refusal(401, "APIGW.0301", "AK access failed to reach the limit,forbidden")
        secret = self.keys.get(access_key)
        secret_key, token = secret if isinstance(secret, tuple) else (secret, "")
        right = (
            secret_key is not None and self._in_time(request) and request.headers.get("X-Security-Token", "") == token
        )
        if not right or not hmac.compare_digest(signature, _signature(request, body, names, secret_key or "")):
            self._count(access_key)
            raise _Refusal(401, "APIGW.0301", "Incorrect IAM authentication information: verify aksk signature fail")
        self.failures.pop(access_key, None)

    def _in_time(self, request: web.BaseRequest) -> bool:
        try:
            sent = datetime.strptime(request.headers.get("X-Sdk-Date", "") + "+0000", "%Y%m%dT%H%M%SZ%z")
        except ValueError:
            return False
        return abs(self._now() - sent) <= SKEW

    def _count(self, access_key: str) -> None:
        self.failures[access_key] = self.failures.get(access_key, 0) + 1
        if self.failures[access_key] > LOCK_AFTER:
            self._locked_until[access_key] = self._now() + LOCK


def _signature(request: web.BaseRequest, body: bytes, names: str, secret_key: str) -> str:
    """Return the signature that a request should have, from what arrived."""
    path, _, query = request.raw_path.partition("?")
    segments = "/".join(quote(segment, safe="~") for segment in unquote(path).split("/"))
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    canonical = "\n".join(
        (
            request.method,
            segments if segments.endswith("/") else f"{segments}/",
            "&".join(f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in pairs),
            "".join(f"{name}:{request.headers.get(name, '').strip()}\n" for name in names.split(";")),
            names,
            hashlib.sha256(body).hexdigest(),
        )
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"SDK-HMAC-SHA256\n{request.headers.get('X-Sdk-Date', '')}\n{digest}"
    return hmac.new(secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()


class _RateLimit:
    """So many requests a second, counted in whole seconds as the gateway's policies do."""

    def __init__(self) -> None:
        self._second = 0
        self._count = 0

    def over(self, limit: float | None, now: float) -> bool:
        if limit is None:
            return False
        if int(now) != self._second:
            self._second, self._count = int(now), 0
        self._count += 1
        return self._count > limit


class Emulator:
    """Serves a cloud on loopback, in a thread of its own; a context manager."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        keys: Mapping[str, str | tuple[str, str]] | None = None,
        behaviour: Behaviour = Behaviour(),
        latency: float = 0.0,
        page_cap: int = MAX_PAGE,
        rate_limit: float | None = None,
        retry_after: int | None = None,
        port: int = 0,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        keep_calls: bool = True,
    ) -> None:
        """Take access keys with their secret keys (none: signatures are not asked for) and seconds of latency."""
        self.cloud = cloud
        self.door = Door(keys, now) if keys is not None else None
        self.api = Api(cloud, behaviour, page_cap)
        self.latency = latency
        self.rate_limit = rate_limit
        self.retry_after = retry_after
        self.faults: list[Fault] = []
        self.calls: list[Call] = []
        self.hold: Callable[[str], Awaitable[None]] | None = None
        """Awaited with the operation's name before it takes effect: lets a test hold a call."""
        self.counts: dict[str, int] = {}
        """Answers by operation, also when `keep_calls` is off."""
        self._keep_calls = keep_calls
        self._now = now
        self._port = port
        self._numbers = itertools.count(1)
        self._limits = _RateLimit()
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._thread: threading.Thread | None = None
        self.url = ""

    @property
    def behaviour(self) -> Behaviour:
        """What the documents leave open; may be replaced while it serves."""
        return self.api.behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        self.api.behaviour = behaviour

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that serves, for what `hold` waits on."""
        return self._loop

    def __enter__(self) -> Emulator:
        ready = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="emulator", daemon=True)
        self._thread.start()
        if not ready.wait(10) or not self.url:
            raise RuntimeError("the emulator could not listen")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(10)

    def clear_faults(self) -> None:
        """End all faults, and let go of what hangs or drips."""
        self.faults.clear()
        self._loop.call_soon_threadsafe(self._released.set)
        self._loop.call_soon_threadsafe(self._released.clear)

    def changes(self) -> list[Call]:
        """Return the calls that could change a session."""
        return [call for call in self.calls if call.method != "GET"]

    def _run(self, ready: threading.Event) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._listen())
        try:
            ready.set()
            self._loop.run_forever()
        finally:
            ready.set()
            self._loop.run_until_complete(runner.cleanup())
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.run_until_complete(asyncio.sleep(0))
            self._loop.close()

    async def _listen(self) -> web.ServerRunner:
        server = web.Server(self._answer, access_log=None, max_line_size=MAX_URI, max_field_size=MAX_URI)
        runner = web.ServerRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        path = request.raw_path.partition("?")[0]
        operation, match, do = _route(request.method, path)
        if self.latency:
            await asyncio.sleep(self.latency)
        fault = next((fault for fault in self.faults if fault.strikes(operation)), None)
        if self.hold is not None:
            await self.hold(operation)
        request_id = f"{next(self._numbers):032x}"
        if fault is not None and fault.kind in ("hang", "reset", "answer"):
            return await self._fail(fault, request, operation, path)
        access_key = request.headers.get("Authorization", "").partition("Access=")[2].partition(",")[0]
        try:
            answer = self._perform(request, match, do, body, request_id)
        except _Refusal as refusal:
            answer = _Answer(refusal.status, refusal.body(request_id))
        self._note(Call(operation, request.method, path, answer.status, access_key, time.monotonic(), answer.ids))
        return await self._send(request, answer, request_id, fault)

    def _perform(
        self,
        request: web.BaseRequest,
        match: re.Match[str] | None,
        do: Callable[[Api, _Request], _Answer] | None,
        body: bytes,
        request_id: str,
    ) -> _Answer:
        if self._limits.over(self.rate_limit, time.monotonic()):
            raise _Refusal(429, "APIGW.0308", "The throttling threshold has been reached: policy user over ratelimit")
        if self.door is not None:
            self.door.check(request, body)
        groups = match.groupdict() if match is not None else {}
        version = groups.get("version") or groups.get("neutron") or "v3"
        published = "version" not in groups or version in self.behaviour.ports_versions
        if match is None or do is None or not published:
            raise _Refusal(404, "APIGW.0101", "The API does not exist or has not been published")
        project_id = str(groups.get("project") or request.headers.get("X-Project-Id", ""))
        query = parse_qsl(request.raw_path.partition("?")[2], keep_blank_values=True)
        with self.cloud.lock:
            return do(self.api, _Request(project_id, match, query, body, request_id, version))

    async def _fail(self, fault: Fault, request: web.BaseRequest, operation: str, path: str) -> web.StreamResponse:
        status = fault.status if fault.kind == "answer" else 0
        self._note(Call(operation, request.method, path, status, "", time.monotonic()))
        if fault.kind == "hang":
            await self._released.wait()
        if fault.kind != "answer":
            _reset(request)
            return web.Response(status=500)
        headers = {"Content-Type": "application/json", "Date": self._date(), **fault.headers}
        return web.Response(status=fault.status, body=fault.body, headers=headers)

    async def _send(
        self, request: web.BaseRequest, answer: _Answer, request_id: str, fault: Fault | None
    ) -> web.StreamResponse:
        headers = {"X-Request-Id": request_id, "Date": self._date()}
        if answer.body:
            headers["Content-Type"] = "application/json"
        if answer.status == 429 and self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        if fault is None:
            return web.Response(status=answer.status, body=answer.body, headers=headers)
        if fault.kind == "lost":
            _reset(request)
            return web.Response(status=500)
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.content_length = len(answer.body)
        await response.prepare(request)
        if fault.kind == "truncate":
            await response.write(answer.body[: len(answer.body) // 2])
            _reset(request)
            return response
        with suppress(ConnectionResetError):  # nobody waits for it any more
            for at in range(len(answer.body)):
                await response.write(answer.body[at : at + 1])
                await asyncio.sleep(0.05 if fault in self.faults else 0)
        return response

    def _note(self, call: Call) -> None:
        self.counts[call.operation] = self.counts.get(call.operation, 0) + 1
        if self._keep_calls:
            self.calls.append(call)

    def _date(self) -> str:
        return format_datetime(self._now(), usegmt=True)


def _route(method: str, path: str) -> tuple[str, re.Match[str] | None, Callable[[Api, _Request], _Answer] | None]:
    for operation, of_method, pattern, do in _ROUTES:
        if of_method == method and (match := pattern.fullmatch(path)):
            return operation, match, do
    return "unknown", None, None


def _reset(request: web.BaseRequest) -> None:
    if request.transport is not None:
        request.transport.abort()
