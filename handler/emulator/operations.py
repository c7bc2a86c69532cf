"""The operations of the emulated API, the switches for what its documents leave open, and faults.

Sources: https://support.huaweicloud.com/intl/en-us/api-vpc/ListTrafficMirrorSessions.html and the pages beside it.
"""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from handler.emulator.messages import Answer, PortsVersion, Refusal, Request
from handler.emulator.state import Cloud

# Quotas: VPC user guide, "Traffic Mirroring Overview".
SOURCES_A_SESSION = 10
SESSIONS_A_SOURCE = 3
# The largest `limit`, and the page where none is given, as the reference says of other lists of version 3.
MAX_PAGE = 2000


@dataclass(frozen=True)
class Behaviour:
    """What the documents leave open, and what regions differ in."""

    absent_source: Literal["reject", "ignore"] = "reject"
    """remove-sources with an id that the session does not list: 400 for the whole call, or no matter."""
    stale_removals: bool = False
    """The answer to remove-sources shows the session as it was before."""
    empty_sources: Literal["list", "null", "absent"] = "list"
    """How answers show the sources of a session that has none."""
    vanished_marker: Literal[404, 400, 0] = 404
    """The status for a marker that names no session any more; 0: an empty page, as of the last one."""
    empty_last_page: bool = False
    """The last page of sessions has a marker too, and the page after it is empty and repeats that marker."""
    max_limit: int = MAX_PAGE
    """A larger `limit` is refused; with 0 every `limit` is."""
    unknown_id_in_filter: Literal["omit", "404"] = "omit"
    honours_id_filter: bool = True
    honours_device_filter: bool = True
    repeated_filter: Literal["first", "last", "all"] = "first"
    """Which values count where a filter that takes one value is given several."""
    hidden_from_lists: frozenset[str] = frozenset()
    """Interfaces that the lists do not show, as where they are scoped to an enterprise project."""
    narrow_keys: frozenset[str] = frozenset()
    """Access keys that see no interface, in lists or by id."""
    ports_versions: tuple[str, ...] = ("v3", "v1", "v2.0")
    """The versions of the ports API that the region publishes."""
    unpublished: Literal["code", "no code"] = "code"
    """The 404 of what is not published: with the gateway's code, or without as on Open Telekom Cloud."""
    deletion_detaches: bool = False
    """Deleting an interface takes it out of its sessions."""
    deletion_needs_detached: bool = False
    """An interface that is attached to a server cannot be deleted."""
    date_offset: float | None = 0.0
    """Seconds by which the `Date` of answers is ahead; None: answers have no `Date`."""


DOCUMENTED = Behaviour()


@dataclass
class Fault:
    """Something that goes wrong, at the calls it names, as often as it says."""

    operation: str = "*"
    kind: Literal["answer", "hang", "drip", "reset", "lost", "truncate", "interim"] = "answer"
    """`reset`: before anything was done; `lost`: after it was done; `truncate`: half of the answer;
    `interim`: an answer of `status`, a 1xx, before the true one."""
    status: int = 500
    body: bytes = b'{"error_code":"APIGW.0201","error_msg":"Backend unavailable","request_id":"fault"}'
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1
    """How often; -1 until it is cleared."""
    skip: int = 0
    """Calls that it lets pass first."""
    seconds: float = 0.0
    """Between an interim answer and the true one."""
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
class Api:
    """The operations, on a cloud."""

    cloud: Cloud
    behaviour: Behaviour
    page_cap: int
    """Most sessions or interfaces a page, whatever `limit` asks for."""

    # --- sessions

    def list_sessions(self, request: Request) -> Answer:
        """Answer with one page of sessions."""
        ids, places = self.cloud.order(request.project_id)
        limit, marker, start = self._limit(request), request.first("marker"), 0
        if marker in places:
            start = places[marker] + 1
        elif marker:
            if self.behaviour.vanished_marker:
                raise Refusal(self.behaviour.vanished_marker, "VPC.2801", "The marker is not found")
            start = len(ids)
        page = ids[start : start + limit]
        wanted = set(request.all("id"))
        shown = [id_ for id_ in page if id_ in wanted] if wanted else page
        info: dict[str, Any] = {"previous_marker": page[0] if page else "", "current_count": len(shown)}
        if start + limit < len(ids) or self.behaviour.empty_last_page:
            info["next_marker"] = page[-1] if page else marker
        texts = ",".join(self._text(request, id_) for id_ in shown)
        return Answer(
            body=(
                f'{{"request_id":"{request.request_id}","page_info":{json.dumps(info)},'
                f'"traffic_mirror_sessions":[{texts}]}}'
            ).encode()
        )

    def show_session(self, request: Request) -> Answer:
        """Answer with one session."""
        return self._shown(request, self._session(request)["id"])

    def create_session(self, request: Request) -> Answer:
        """Create a session."""
        asked, sources = {"enabled": False, **request.members()}, request.sources()
        required = ("name", "priority", "traffic_mirror_filter_id", "traffic_mirror_target_id")
        if missing := [name for name in required if name not in asked]:
            raise Refusal(400, "VPC.0001", f"missing: {missing}")
        self._check_new(request, str(asked.get("type", "eni")), [], sources)
        id_ = self.cloud.add_session(request.project_id, sources=sources, **asked)
        return self._shown(request, id_, status=201)

    def update_session(self, request: Request) -> Answer:
        """Change a session, but not its sources."""
        session = self._session(request)
        self.cloud.update_session(request.project_id, session["id"], request.members())
        return self._shown(request, session["id"])

    def delete_session(self, request: Request) -> Answer:
        """Delete a session."""
        self.cloud.delete_session(request.project_id, self._session(request)["id"])
        return Answer(204)

    def add_sources(self, request: Request) -> Answer:
        """Add sources, within the quotas."""
        session, asked = self._session(request), request.sources()
        have = session["traffic_mirror_sources"]
        new = [id_ for id_ in asked if id_ not in have]
        self._check_new(request, session["type"], have, new)
        self.cloud.set_sources(request.project_id, session["id"], have + new)
        return self._shown(request, session["id"], asked)

    def remove_sources(self, request: Request) -> Answer:
        """Remove sources."""
        session, asked = self._session(request), request.sources()
        have, before = session["traffic_mirror_sources"], self._shown(request, session["id"], asked)
        # The documents show no code for this: VPC.28xx is made up, outside of what is published.
        if self.behaviour.absent_source == "reject" and any(id_ not in have for id_ in asked):
            raise Refusal(400, "VPC.2802", "A source is not in the session")
        self.cloud.set_sources(request.project_id, session["id"], [id_ for id_ in have if id_ not in asked])
        return before if self.behaviour.stale_removals else self._shown(request, session["id"], asked)

    def _session(self, request: Request) -> dict[str, Any]:
        session = self.cloud.session(request.project_id, request.path["session"])
        if session is None:
            raise Refusal(404, "VPC.2803", "The session is not found")
        return session

    def _text(self, request: Request, session_id: str) -> str:
        text = self.cloud.session_text(request.project_id, session_id)
        return text.replace(_EMPTY["list"], _EMPTY[self.behaviour.empty_sources])

    def _shown(self, request: Request, session_id: str, ids: Iterable[str] = (), status: int = 200) -> Answer:
        text = self._text(request, session_id)
        body = f'{{"request_id":"{request.request_id}","traffic_mirror_session":{text}}}'
        return Answer(status, body.encode(), tuple(ids))

    def _check_new(self, request: Request, type_: str, have: list[str], new: list[str]) -> None:
        if type_ == "eni" and any(self.cloud.port(request.project_id, id_) is None for id_ in new):
            raise Refusal(404, "VPC.2502", "Port not found")
        if len(have) + len(new) > SOURCES_A_SESSION or any(self.cloud.uses(id_) >= SESSIONS_A_SOURCE for id_ in new):
            raise Refusal(409, "VPC.2804", "Quota exceeded for resources: ['traffic_mirror_session']")

    # --- interfaces

    def list_ports(self, request: Request) -> Answer:
        """Answer with one page of interfaces, in the shape of the version."""
        ids = self._listed(request)
        limit = self._limit(request)
        start = bisect_right(ids, request.first("marker"))
        page = ids[start : start + limit]
        body: dict[str, Any] = {"ports": [self._port(request, id_) for id_ in page]}
        if request.version == "v3":
            info = {"current_count": len(page), "previous_marker": page[0] if page else ""}
            if len(ids) > start + limit:
                info["next_marker"] = page[-1]
            body |= {"request_id": request.request_id, "page_info": info}
        return Answer(body=json.dumps(body).encode())

    def show_port(self, request: Request) -> Answer:
        """Answer with one interface."""
        body: dict[str, Any] = {"port": self._port(request, request.path["port"])}
        if request.version == "v3":
            body["request_id"] = request.request_id
        return Answer(body=json.dumps(body).encode())

    def delete_port(self, request: Request) -> Answer:
        """Delete an interface."""
        port = self._port(request, request.path["port"])
        if self.behaviour.deletion_needs_detached and port["device_id"]:
            raise Refusal(400, "VPC.2500", "Port's device_id is not empty.", "v1")
        self.cloud.delete_port(port["id"], detach=self.behaviour.deletion_detaches)
        return Answer(204)

    def _listed(self, request: Request) -> list[str]:
        """Return the interfaces that pass the request's filters, in order."""
        behaviour, project_id = self.behaviour, request.project_id
        asked = self._filter(request, "id") if behaviour.honours_id_filter else []
        servers = self._filter(request, "device_id") if behaviour.honours_device_filter else []
        ids = self.cloud.port_order(project_id)
        if request.access_key in behaviour.narrow_keys:
            ids = []
        elif asked:
            ids = sorted(id_ for id_ in set(asked) - behaviour.hidden_from_lists if self.cloud.port(project_id, id_))
            if behaviour.unknown_id_in_filter == "404" and len(ids) < len(set(asked)):
                raise self._no_port(request)
        elif servers:
            ids = sorted({id_ for server in servers for id_ in self.cloud.ports_of(server)})
        if servers:
            ports = [self.cloud.port(project_id, id_) for id_ in ids]
            ids = [port["id"] for port in ports if port and port["device_id"] in servers]
        return [id_ for id_ in ids if id_ not in behaviour.hidden_from_lists] if behaviour.hidden_from_lists else ids

    def _filter(self, request: Request, name: str) -> list[str]:
        values = request.all(name)
        if name not in _SINGLE_VALUED[request.version]:
            return values
        return {"first": values[:1], "last": values[-1:], "all": values}[self.behaviour.repeated_filter]

    def _port(self, request: Request, port_id: str) -> dict[str, Any]:
        port = self.cloud.port(request.project_id, port_id)
        if port is None or request.access_key in self.behaviour.narrow_keys:
            raise self._no_port(request)
        common = {**port, "status": "ACTIVE", "device_owner": "compute:az1" if port["device_id"] else ""}
        if request.version == "v3":
            return {**common, "project_id": request.project_id, "private_ips": [], "created_at": "2026-01-01T00:00:00"}
        return {**common, "tenant_id": request.project_id, "network_id": "", "fixed_ips": []}

    def _no_port(self, request: Request) -> Refusal:
        if request.version == "v2.0":
            return Refusal(404, "PortNotFound", "Port could not be found.", "v2.0")
        return Refusal(404, "VPC.2502", "Port not found", request.version)

    def _limit(self, request: Request) -> int:
        asked = request.first("limit")
        if asked and (not asked.isdigit() or int(asked) > self.behaviour.max_limit):
            raise Refusal(400, "VPC.0003", "limit is invalid")
        return min(int(asked or 0) or MAX_PAGE, self.page_cap)

    # --- the gateway

    def unknown(self, request: Request) -> Answer:
        """Refuse what the region does not publish."""
        if self.behaviour.unpublished == "no code":
            raise Refusal(404, "", "API not found", "no code")
        raise Refusal(404, "APIGW.0101", "The API does not exist or has not been published")


# Texts, because a session's JSON is made once: a list of 20,000 sessions has to cost the emulator little.
_EMPTY = {
    "list": '"traffic_mirror_sources": [], ',
    "null": '"traffic_mirror_sources": null, ',
    "absent": "",
}

# The filters of ports that take one value.
_SINGLE_VALUED: Mapping[PortsVersion, tuple[str, ...]] = {
    "v3": (),
    "v1": ("device_id",),
    "v2.0": ("id", "device_id"),
}
