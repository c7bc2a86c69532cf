"""The VPC API's calls that unmirror makes, and no others.

Strict: only the documented status is a success, and a list is one only where a list is promised. The official SDK
reads a redirect as an empty list and loses what a 429 says; here neither can happen.
Sources: VPC API reference, https://support.huaweicloud.com/intl/en-us/api-vpc/ListTrafficMirrorSessions.html and
the pages beside it.
"""

from __future__ import annotations

import json
import os
import random
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any, NoReturn
from urllib.parse import quote

from handler import __version__
from handler.errors import (
    ApiRefused,
    ApiThrottled,
    ApiUnavailable,
    BadReply,
    DeadlineExceeded,
    OutcomeUnknown,
    RemovalRejected,
)
from handler.model import Deadline, Listing, MirrorSession, Presence, SessionReply
from handler.vpc.credentials import AccessKey, Credentials
from handler.vpc.manners import REST_SECONDS, Guard, KeyRests, Pace
from handler.vpc.replies import Meaning, Operation, Reply, meaning
from handler.vpc.signing import canonical_query, signed
from handler.vpc.transport import Transport

PAGE_LIMIT = 2000
"""Sessions or interfaces a page: the documented maximum; the API may give fewer."""

MAX_TRIES = 4
"""Of one call, where its answer may pass."""
BACKOFF_SECONDS = 0.2
MAX_BACKOFF_SECONDS = 5.0
MAX_RESTARTS = 3
"""Of a listing whose marker vanished under it."""
MAX_PAGES = 10_000
MAX_QUERY = 16_384
"""Bytes of ids in one URI; the gateway takes 32 KiB."""

UNSURE_CLOCK = timedelta(minutes=15)
"""How wrong our own clock may be, taken off where an answer has no date: beyond it no signature is accepted."""

_PERMISSIONS: Mapping[Operation, str] = {
    "list_sessions": "vpc:trafficMirrorSessions:list",
    "next_sessions": "vpc:trafficMirrorSessions:list",
    "show_session": "vpc:trafficMirrorSessions:get",
    "remove_sources": "vpc:trafficMirrorSessions:removeSource",
    "find_interface": "vpc:ports:get",
    "list_interfaces": "vpc:ports:list",
}

_PORTS_OPERATIONS = ("find_interface", "list_interfaces")
_PORTS_PATHS = ("/v3/{project}/ports", "/v1/{project}/ports", "/v2.0/ports")
"""The same resource in three versions; the first is new and not in every region."""

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP call, for the log."""

    operation: Operation
    status: int
    """0 when there was no answer."""
    request_id: str
    seconds: float


class VpcClient:
    """The VPC API of one region: one for a process, shared by its threads."""

    def __init__(
        self,
        endpoint: str,
        credentials: Credentials,
        *,
        environ: Mapping[str, str] = os.environ,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        """Take the base URL, without a path; `draw` gives numbers from 0 to 1 for the jitter."""
        self.transport = Transport(endpoint, environ, clock=clock)
        self.credentials = credentials
        self.guard = Guard(clock)
        self.now, self.clock, self.sleep, self.draw = now, clock, sleep, draw
        self._paces: dict[str, Pace] = {}
        self._ports_version: dict[Operation, int] = {}
        self._lock = threading.Lock()

    def project(
        self,
        project_id: str,
        deadline: Deadline,
        credentials: AccessKey | None = None,
        tell: Callable[[Call], None] = lambda _: None,
    ) -> ProjectApi:
        """Return the API for one project and one delivery.

        `credentials` are those that came with the delivery; `tell` hears of each call that has ended.
        """
        return ProjectApi(self, _checked(project_id), deadline, credentials, tell)

    def pace(self, project_id: str) -> Pace:
        """Return the project's pace: one that is throttled slows no other."""
        with self._lock:
            if len(self._paces) > 1024:
                self._paces.clear()
            return self._paces.setdefault(project_id, Pace(self.clock, self.sleep))

    def ports_version(self, operation: Operation) -> int:
        """Return the place in `_PORTS_PATHS` of the version that the region publishes, as far as is known."""
        return self._ports_version.get(operation, 0)

    def not_published(self, operation: Operation, version: int) -> None:
        """Remember that the region does not publish a version."""
        with self._lock:
            self._ports_version[operation] = max(self.ports_version(operation), version + 1)

    def forget_ports_version(self, operation: Operation) -> None:
        """Begin with the newest again: a region that publishes none is misconfigured, perhaps not for long."""
        with self._lock:
            self._ports_version.pop(operation, None)

    def close(self) -> None:
        """Close the idle connections."""
        self.transport.close()


@dataclass(slots=True)
class ProjectApi:
    """The API for one project and one delivery. Meets the port of the use cases."""

    client: VpcClient
    project_id: str
    deadline: Deadline
    key: AccessKey | None = field(default=None, repr=False)
    tell: Callable[[Call], None] = lambda _: None
    calls: int = 0
    """HTTP calls made so far, whether answered or not."""
    log: deque[Call] = field(default_factory=lambda: deque(maxlen=256))
    """The last of them."""

    @property
    def asked_by(self) -> str:
        """Whose credentials ask; see the port."""
        return self.key.ak if self.key else ""

    def list_sessions(self) -> Listing:
        """Return all sessions, from every page; see the port."""
        for _ in range(MAX_RESTARTS):
            listing = self._list_sessions()
            if listing is not None:
                return listing
        raise ApiUnavailable("sessions are deleted faster than they can be listed")

    def _list_sessions(self) -> Listing | None:
        """Return the listing, None when a page's marker vanished: then what was read may have a gap."""
        began = self.client.clock()
        sessions: dict[str, MirrorSession] = {}
        request_ids: list[str] = []
        moment: datetime | None = None
        path = f"/v3/{self.project_id}/vpc/traffic-mirror-sessions"
        for marker in (markers := _Markers()):
            query = [("limit", str(PAGE_LIMIT))] + ([("marker", marker)] if marker else [])
            reply = self._call("next_sessions" if marker else "list_sessions", "GET", path, query)
            if reply.status != 200:
                return None
            moment = moment or self._moment(reply)
            request_ids.append(reply.request_id)
            for session in _sessions(reply):
                sessions[session.id] = session
            markers.then(_next_marker(reply), reply)
        assert moment is not None  # noqa: S101 - there is always a first page
        return Listing(tuple(sessions.values()), moment, began, tuple(request_ids))

    def show_session(self, session_id: str) -> SessionReply:
        """Return the session as it is now, or that it is gone."""
        reply = self._call("show_session", "GET", self._session_path(session_id))
        return self._session_reply(reply, session_id)

    def remove_sources(self, session_id: str, interface_ids: Sequence[str]) -> SessionReply:
        """Ask that the interfaces leave the session; see the port."""
        sources = [_checked(id_) for id_ in interface_ids]
        body = json.dumps({"traffic_mirror_session": {"traffic_mirror_sources": sources}}).encode()
        reply = self._call("remove_sources", "PUT", f"{self._session_path(session_id)}/remove-sources", body=body)
        return self._session_reply(reply, session_id)

    def find_interface(self, interface_id: str) -> Presence:
        """Ask for that one id; `exists` is False only after the VPC API's own 404."""
        id_ = _checked(interface_id)
        reply = self._ports_call("find_interface", f"/{quote(id_, safe='')}")
        if reply.status != 200:
            return Presence(False, reply.request_id)
        port = _member(reply, "port", dict)
        if str(port.get("id", "")).lower() != id_.lower():
            raise _bad(reply, "shows another interface than it was asked for")
        return Presence(True, reply.request_id)

    def list_interfaces(self, interface_ids: Collection[str]) -> frozenset[str]:
        """Return the ids that the list shows when it is asked for these."""
        seen: set[str] = set()
        for batch in _batches(sorted({_checked(id_) for id_ in interface_ids})):
            query = [("id", id_) for id_ in batch] + [("limit", str(PAGE_LIMIT))]
            reply = self._ports_call("list_interfaces", "", query)
            seen |= _port_ids(reply) if reply.status == 200 else frozenset()
        return frozenset(seen)

    def list_all_interfaces(self) -> Iterator[frozenset[str]]:
        """Yield the ids of all interfaces that the list shows, page by page."""
        for marker in (markers := _Markers()):
            query = [("limit", str(PAGE_LIMIT))] + ([("marker", marker)] if marker else [])
            reply = self._ports_call("list_interfaces", "", query)
            if reply.status != 200:
                raise ApiUnavailable("the list of interfaces broke off", code=reply.code, request_id=reply.request_id)
            yield _port_ids(reply)
            markers.then(_next_port_marker(reply), reply)

    # --- one call ------------------------------------------------------------------------------------

    def _ports_call(self, operation: Operation, suffix: str, query: Sequence[tuple[str, str]] = ()) -> Reply:
        """Call the newest version of the ports API that the region publishes, and remember which that is."""
        for version in range(self.client.ports_version(operation), len(_PORTS_PATHS)):
            path = _PORTS_PATHS[version].format(project=self.project_id) + suffix
            reply = self._call(operation, "GET", path, query)
            if _meaning(operation, reply) != "not_published":
                return reply
            self.client.not_published(operation, version)
        self.client.forget_ports_version(operation)
        raise ApiRefused(
            "the region publishes no version of the ports API (APIGW.0101): check UNMIRROR_REGION or the endpoint"
        )

    def _call(
        self, operation: Operation, method: str, path: str, query: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> Reply:
        """Call until the answer is one to rely on; return a 200, or a refusal that has a meaning to the caller.

        Those are `gone`, `marker_vanished`, and `not_published` for the ports API; all else is raised.
        """
        target = f"{path}?{canonical_query(query)}" if query else path
        other_key: AccessKey | None = None
        tries = 0
        while True:
            tries += 1
            key = other_key or self.key or self.client.credentials.current(self.deadline)
            try:
                reply = self._send(operation, method, target, body, key)
            except KeyRests:
                if self.key is not None or other_key is not None:
                    raise
                other_key = self.client.credentials.current(self.deadline)
                if other_key == key:
                    raise
                continue  # while we had the old key in hand, another delivery has renewed it
            except (DeadlineExceeded, ApiThrottled, BadReply):
                raise
            except ApiUnavailable as error:
                lost_change = isinstance(error, OutcomeUnknown) and method != "GET"
                if not lost_change:  # it was our own time that was up, which says nothing to who shares the call
                    self.deadline.require("the answer of the VPC API")
                if lost_change or tries >= MAX_TRIES or not self._back_off(tries):
                    raise
                continue
            if reply.status == 200:
                return reply
            what = _meaning(operation, reply)
            if what in ("gone", "marker_vanished") or (what == "not_published" and operation in _PORTS_OPERATIONS):
                return reply
            if what == "unauthenticated" and other_key is None and self.key is None:
                other_key = self.client.credentials.reread(key, self.deadline)
                if other_key is not None:
                    continue
            asked = reply.retry_after(self.client.now()) or 0.0
            if what in ("again", "throttled") and tries < MAX_TRIES and self._back_off(tries, asked):
                continue
            self._refuse(operation, what, reply, asked)

    def _back_off(self, tries: int, at_least: float = 0.0) -> bool:
        """Wait before the next try; return False, at once, where the deadline leaves no time for it."""
        jitter: float = self.client.draw() * min(MAX_BACKOFF_SECONDS, BACKOFF_SECONDS * 2**tries)
        seconds = max(at_least, jitter)
        if seconds >= self.deadline.remaining():
            return False
        self.client.sleep(seconds)
        return True

    def _send(self, operation: Operation, method: str, target: str, body: bytes, key: AccessKey) -> Reply:
        client = self.client
        pace = client.pace(self.project_id)
        sent_at = pace.wait(self.deadline)  # before the guard, so that a project that is slow keeps no other from it
        client.guard.enter(key, self.deadline)
        began: float | None = None
        try:
            headers = self._signed(method, target, body, key)
            began = client.clock()
            reply = client.transport.send(method, target, headers, body, self.deadline)
        except BaseException as error:  # even a defect must not leave the others waiting for what becomes of the key
            client.guard.undecided(key)
            if began is not None and not isinstance(error, DeadlineExceeded):  # that one says that nothing was sent
                self._note(Call(operation, 0, "", client.clock() - began))
            raise
        self._note(Call(operation, reply.status, reply.request_id, reply.seconds))
        what = None if reply.status == 200 else _meaning(operation, reply)
        if what == "unauthenticated":
            client.guard.refused(key, self._unauthenticated(reply))
        elif what in ("again", "throttled", "unreadable"):
            client.guard.undecided(key)
        else:
            client.guard.accepted(key)
        if what == "throttled":
            pace.throttled(sent_at, reply.retry_after(client.now()) or 0.0)
        elif what in (None, "gone"):
            pace.went_well()
        return reply

    def _note(self, call: Call) -> None:
        self.calls += 1
        self.log.append(call)
        self.tell(call)

    def _signed(self, method: str, target: str, body: bytes, key: AccessKey) -> dict[str, str]:
        path, _, query = target.partition("?")
        headers = {
            "Host": self.client.transport.host,
            "Content-Type": "application/json",
            "X-Project-Id": self.project_id,
        }
        if key.security_token:
            headers["X-Security-Token"] = key.security_token
        ready = signed(method, path, query, headers, body, access_key=key.ak, secret_key=key.sk, when=self.client.now())
        return ready | {"User-Agent": f"unmirror/{__version__}"}  # unsigned: proxies rewrite it

    def _refuse(self, operation: Operation, what: Meaning, reply: Reply, retry_after: float) -> NoReturn:
        code, request_id = reply.code, reply.request_id
        match what:
            case "unauthenticated":
                raise self._unauthenticated(reply)
            case "refused":
                permission = _PERMISSIONS[operation]
                raise ApiRefused(
                    f"{_words(operation)} is refused ({_by(reply)}): grant {permission} for the region's project, "
                    "not for an enterprise project, and check the project id",
                    code=code,
                    request_id=request_id,
                )
            case "not_published":
                raise ApiRefused(
                    f"{_words(operation)} is not offered here ({_by(reply)}): check UNMIRROR_REGION or the endpoint; "
                    "not every region has traffic mirroring",
                    code=code,
                    request_id=request_id,
                )
            case "rejected":
                raise RemovalRejected(
                    f"{_words(operation)} was rejected ({_by(reply)})", code=code, request_id=request_id
                )
            case "throttled":
                raise ApiThrottled(
                    f"{_words(operation)} is throttled ({_by(reply)})",
                    retry_after=retry_after or None,
                    code=code,
                    request_id=request_id,
                )
            case "again":
                raise ApiUnavailable(
                    f"{_words(operation)} fails ({_by(reply)})",
                    retry_after=retry_after or None,
                    code=code,
                    request_id=request_id,
                )
            case _:
                raise BadReply(
                    f"{_words(operation)} has an undocumented answer ({_by(reply)})", code=code, request_id=request_id
                )

    def _unauthenticated(self, reply: Reply) -> ApiRefused:
        off = abs((reply.date - self.client.now()).total_seconds()) / 60 if reply.date else 0.0
        hint = f"this machine's clock is {off:.0f} minutes off; set it" if off > 10 else "check the access key"
        return ApiRefused(
            f"the access key or its signature is not accepted ({_by(reply)}): {hint}; it rests for "
            f"{REST_SECONDS / 60:.0f} minutes, because the API locks a key that fails again and again",
            code=reply.code,
            request_id=reply.request_id,
        )

    def _moment(self, reply: Reply) -> datetime:
        """Return a moment of the cloud's clock that is surely not after the answer was made."""
        made = reply.date or self.client.now() - UNSURE_CLOCK
        return made - timedelta(seconds=reply.seconds)

    def _session_path(self, session_id: str) -> str:
        return f"/v3/{self.project_id}/vpc/traffic-mirror-sessions/{_checked(session_id)}"

    def _session_reply(self, reply: Reply, session_id: str) -> SessionReply:
        if reply.status != 200:
            return SessionReply(None, reply.request_id)
        session = _session(_member(reply, "traffic_mirror_session", dict), reply)
        if session.id != session_id:
            raise _bad(reply, "shows another session than it was asked for")
        return SessionReply(session, reply.request_id)


# --- reading answers -------------------------------------------------------------------------------------


class _Markers:
    """The markers of a listing, the empty one first: each once, and not for ever."""

    def __init__(self) -> None:
        self._next: str | None = ""
        self._passed: set[str] = set()

    def __iter__(self) -> Iterator[str]:
        while self._next is not None:
            yield self._next

    def then(self, marker: str, reply: Reply) -> None:
        """Go on after this marker; end where there is none."""
        if marker in self._passed or len(self._passed) >= MAX_PAGES:
            raise _bad(reply, "has pages in a circle")
        self._passed.add(marker)
        self._next = marker or None


def _meaning(operation: Operation, reply: Reply) -> Meaning:
    return meaning(operation, reply.status, reply.code)


def _member(reply: Reply, name: str, kind: type[Any]) -> Any:
    body = reply.json
    member = body.get(name) if isinstance(body, dict) else None
    if not isinstance(member, kind):
        raise _bad(reply, f"has no {name}")
    return member


def _sessions(reply: Reply) -> Iterator[MirrorSession]:
    return (_session(each, reply) for each in _member(reply, "traffic_mirror_sessions", list))


def _session(body: object, reply: Reply) -> MirrorSession:
    """Read a session strictly where a decision rests on it: its id, its type and its sources."""
    if not isinstance(body, dict):
        raise _bad(reply, "has a session that is no object")
    id_, sources, kind = body.get("id"), body.get("traffic_mirror_sources"), body.get("type", "eni")
    if not isinstance(id_, str) or not _ID.fullmatch(id_):
        raise _bad(reply, "has a session without an id")
    if not isinstance(sources, list) or not all(isinstance(each, str) for each in sources):
        raise _bad(reply, "has a session without a list of sources")
    if not isinstance(kind, str):
        raise _bad(reply, "has a session whose type is no text")
    return MirrorSession(
        id=id_,
        name=str(body.get("name") or ""),
        sources=tuple(sources),
        target_id=str(body.get("traffic_mirror_target_id") or ""),
        target_type=str(body.get("traffic_mirror_target_type") or ""),
        type=kind,
        enabled=body.get("enabled") in (True, "true"),
    )


def _next_marker(reply: Reply) -> str:
    page = _member(reply, "page_info", dict)
    marker = page.get("next_marker") or ""
    if not isinstance(marker, str):
        raise _bad(reply, "has a marker that is no text")
    return marker


def _ports(reply: Reply) -> list[str]:
    ports = _member(reply, "ports", list)
    if not all(isinstance(port, dict) and isinstance(port.get("id"), str) for port in ports):
        raise _bad(reply, "has an interface without an id")
    return [port["id"] for port in ports]


def _port_ids(reply: Reply) -> frozenset[str]:
    return frozenset(id_.lower() for id_ in _ports(reply))


def _next_port_marker(reply: Reply) -> str:
    """Return what the next page starts after: V3 says so; V1 and V2.0 go on after the last id, to an empty page."""
    body = reply.json
    if isinstance(body, dict) and "page_info" in body:
        return _next_marker(reply)
    ids = _ports(reply)
    return ids[-1] if ids else ""


def _batches(ids: Sequence[str]) -> Iterator[list[str]]:
    """Split ids so that none makes a URI longer than the gateway takes."""
    batch: list[str] = []
    size = 0
    for id_ in ids:
        if batch and size + len(id_) + 4 > MAX_QUERY:
            yield batch
            batch, size = [], 0
        batch.append(id_)
        size += len(id_) + 4
    if batch:
        yield batch


def _checked(id_: str) -> str:
    """Return an id that may stand in a URL; nothing else ever does."""
    if not _ID.fullmatch(id_):
        raise ApiRefused("an id has characters that no id of the VPC API has; it was not sent")
    return id_


def _bad(reply: Reply, what: str) -> BadReply:
    return BadReply(f"an answer of the VPC API {what}", code=reply.code, request_id=reply.request_id)


def _by(reply: Reply) -> str:
    return " ".join(filter(None, (f"status {reply.status}", reply.code)))


def _words(operation: Operation) -> str:
    return operation.replace("_", " ")
