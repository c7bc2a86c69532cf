"""What the bodies of answers hold: sessions, interfaces, markers. Strict where a decision rests on it.

Source: VPC API reference, https://support.huaweicloud.com/intl/en-us/api-vpc/ListTrafficMirrorSessions.html and the
pages beside it.
"""

import json
import re
from collections.abc import Collection, Sequence
from sys import intern
from typing import Any, Generic, TypeVar

from handler.model import MirrorSession, Presence, SessionReply, UnreadableSession
from handler.vpc.replies import Reply, bad_reply

T = TypeVar("T")
ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,127}")
_UUID = r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"


class Page(Generic[T]):
    """One page of a list. The answer itself is let go: ten pages of 2,000 sessions are 80 MiB as JSON."""

    def __init__(self, items: list[T], next_marker: str, reply: Reply) -> None:
        """Take what the next page starts after, empty on the last, and the answer."""
        self.items, self.next_marker = items, next_marker
        self.request_id, self.earliest = reply.request_id, reply.earliest


class MarkerVanished(Exception):
    """The session that a page starts after was deleted meanwhile."""


class ServersNotFound(Exception):
    """A list of the interfaces of several servers was answered by a 404: it may be about one of them."""


def read_sessions(reply: Reply, seen: Collection[str]) -> Page[MirrorSession | UnreadableSession]:
    """Return a page of sessions, those that cannot be read too; `seen` are the markers so far."""
    if reply.status != 200:
        raise MarkerVanished
    sessions = [_session(each) for each in _member(reply, "traffic_mirror_sessions", list)]
    _member(reply, "page_info", dict)
    marker = _next_marker(reply, "", seen, empty=not sessions)
    return Page(sessions, marker, reply)


def read_session(reply: Reply, session_id: str, *, of_removal: bool = False) -> SessionReply:
    """Return the session that an answer shows, or that it is gone; raise BadReply when it is about another.

    Without its sources the answer `of_removal` proves nothing; a session that is read may leave out an empty list, and
    has to show its name, which may protect it.
    """
    if reply.status != 200:
        _check_subject(reply, session_id)
        return SessionReply(None, reply.request_id)
    body = _member(reply, "traffic_mirror_session", dict)
    if of_removal and "traffic_mirror_sources" not in body:
        raise bad_reply(reply, "does not show the session's sources")
    if not of_removal and not isinstance(body.get("name"), str):
        raise bad_reply(reply, "does not show the session's name")
    session = _session(body)
    if isinstance(session, UnreadableSession):
        raise bad_reply(reply, f"shows a session that cannot be read: {session.reason}")
    if session.id.lower() != session_id.lower():
        raise bad_reply(reply, "shows another session than it was asked for")
    return SessionReply(session, reply.request_id)


def read_presence(reply: Reply, interface_id: str) -> Presence:
    """Return whether the interface exists; raise BadReply when the answer is about another."""
    if reply.status != 200:
        _check_subject(reply, interface_id)
        return Presence(exists=False, request_id=reply.request_id)
    port = _member(reply, "port", dict)
    if str(port.get("id")).lower() != interface_id.lower():
        raise bad_reply(reply, "shows another interface than it was asked for")
    return Presence(exists=True, request_id=reply.request_id, device_id=str(port.get("device_id") or "").lower())


def read_ports(reply: Reply, seen: Collection[str], server_ids: Sequence[str] = ()) -> Page[tuple[str, str]]:
    """Return a page of interfaces, each with its server; `seen` are the markers so far. Ids are in lower case.

    A 404 that says "gone" is an empty page. Where servers were asked for, it decides: so it has to be about the only
    one, and no later page.
    """
    if reply.status != 200:
        if len(server_ids) > 1:
            raise ServersNotFound
        for server_id in server_ids:
            _check_subject(reply, server_id)
            if len(seen) > 1:
                raise bad_reply(reply, "ends a list that it had begun")
        return Page([], "", reply)
    ports = _member(reply, "ports", list)
    if not all(isinstance(port, dict) and isinstance(port.get("id"), str) for port in ports):
        raise bad_reply(reply, "has an interface without an id")
    items = [(port["id"].lower(), str(port.get("device_id") or "").lower()) for port in ports]
    marker = _next_marker(reply, ports[-1]["id"] if ports else "", seen, empty=not ports)
    return Page(items, marker, reply)


def _next_marker(reply: Reply, last_id: str, seen: Collection[str], *, empty: bool) -> str:
    """Return what the next page starts after. V3 says so; V1 and V2.0 go on after the last id, to an empty page."""
    marker = last_id
    if "page_info" in reply.json:
        marker = _member(reply, "page_info", dict).get("next_marker") or ""
    if not isinstance(marker, str):
        raise bad_reply(reply, "has a marker that is no text")
    if marker not in seen:
        return marker
    if marker and not empty:  # an empty page that repeats its marker is the end, as some gateways say it
        raise bad_reply(reply, "has pages in a circle, so that its end cannot be found; report it with the request id")
    return ""


def _session(body: object) -> MirrorSession | UnreadableSession:
    if not isinstance(body, dict):
        return UnreadableSession("", "it is no object")
    id_ = body.get("id")
    if not isinstance(id_, str) or not ID.fullmatch(id_):
        return UnreadableSession("", "it has no id")
    sources = body.get("traffic_mirror_sources")
    sources = [] if sources is None else sources  # an emptied list may be shown as null
    if not isinstance(sources, list) or not all(isinstance(each, str) for each in sources):
        return UnreadableSession(id_, "its sources are no list of ids")
    kind = "eni" if body.get("type") is None else body["type"]
    if not isinstance(kind, str):
        return UnreadableSession(id_, "its type is no text")
    name, target_id = body.get("name"), str(body.get("traffic_mirror_target_id") or "").lower()
    kind, target_kind = kind.lower(), str(body.get("traffic_mirror_target_type") or "")
    interfaces = [*(sources if kind == "eni" else ()), *([target_id] if target_id and target_kind == "eni" else ())]
    if not all(map(ID.fullmatch, interfaces)):
        return UnreadableSession(id_, "one of its interfaces has no id that can be asked for")
    spelled = tuple(dict.fromkeys(sources))
    lower = tuple(dict.fromkeys(map(str.lower, sources)))
    if spelled == lower:
        lower, spelled = spelled, ()  # the texts that there are: copies would take 2 MiB in 20,000 sessions
    return MirrorSession(
        id=id_,
        name=name if isinstance(name, str) else "",
        sources=lower,
        target_id=target_id,
        # one text for all of a kind: JSON has a new one each time, 2 MiB in 20,000 sessions
        target_type=intern(target_kind),
        type=intern(kind),
        enabled=body.get("enabled") in (True, "true"),
        spellings=spelled,
    )


def _member(reply: Reply, name: str, kind: type[Any]) -> Any:
    member = reply.json.get(name) if isinstance(reply.json, dict) else None
    if not isinstance(member, kind):
        raise bad_reply(reply, f"has no {name}")
    return member


def _check_subject(reply: Reply, asked: str) -> None:
    """Raise BadReply when a 404 names another id: nothing else ties it to its question."""
    texts = json.dumps({**reply.json, "request_id": "", "requestId": ""}).lower()
    named = re.findall(_UUID, texts)
    if named and asked.lower() not in named:
        raise bad_reply(reply, "is about another id than it was asked for")
