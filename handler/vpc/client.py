"""The VPC API's calls that unmirror makes, and no others. Meets the port `handler.mirror.port.MirrorApi`.

Strict: only the documented status is a success, and a list is one only where a list is promised. The official SDK
reads a redirect as an empty list and loses what a 429 says; here neither can happen. Source: VPC API reference,
https://support.huaweicloud.com/intl/en-us/api-vpc/ListTrafficMirrorSessions.html and the pages beside it.
"""

import json
import random
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from typing import Literal, NamedTuple, TypeVar

from handler.deadline import Clock, Deadline
from handler.errors import ApiRefused, ApiUnavailable
from handler.model import ApiCall, Listing, MirrorSession, Operation, Presence, SessionReply, UnreadableSession
from handler.vpc import bodies
from handler.vpc.credentials import AccessKey, CredentialChain
from handler.vpc.key_lockout import KeyLockout
from handler.vpc.rate_limiter import RateLimiter
from handler.vpc.replies import NotPublished, Reply
from handler.vpc.request import PAGE_SECONDS, USER_AGENT, Request, RequestSender
from handler.vpc.transport import Transport

T = TypeVar("T")
# Sessions or interfaces a page: the documented maximum; the API may give fewer.
PAGE_LIMIT = ("limit", "2000")
# Of a listing whose marker vanished under it.
MAX_RESTARTS = 3


class PortsVersion(NamedTuple):
    """One of the versions in which the ports API is published, and how many values a call takes."""

    path: str
    id: int
    """In the query `id`. 100 are a URI of 13 KiB at most; the gateway takes 32."""
    device_id: int


PORTS_VERSIONS = (
    PortsVersion("/v3/{project}/ports", id=100, device_id=50),  # new, and not in every region
    PortsVersion("/v1/{project}/ports", id=100, device_id=1),
    PortsVersion("/v2.0/ports", id=1, device_id=1),
)


class VpcClient:
    """The VPC API of one region: one for a process, shared by its threads."""

    def __init__(
        self,
        endpoint: str,
        credentials: CredentialChain,
        *,
        environ: Mapping[str, str],
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the base URL, without a path; `environ` names proxies and certificates; `jitter` is from 0 to 1."""
        self.credentials = credentials
        self._clock, self._transport = clock, Transport(endpoint, environ, clock)
        self._sender = partial(RequestSender, credentials, self._transport, KeyLockout(clock), clock, jitter)
        self._rate_limiters: dict[str, RateLimiter] = {}
        """By project; only those that the function may act in are asked for."""
        self._published: dict[Operation, tuple[PortsVersion, ...]] = {}
        """The versions of the ports API as far as is known: by operation, from the newest that the region has."""

    def api(
        self,
        project_id: str,
        key: AccessKey | None = None,
        *,
        on_call: Callable[[ApiCall], None] = lambda _: None,
        attempts: int = 1,
    ) -> "VpcApi":
        """Return the API for one project and one key, by default the chain's own.

        `on_call` hears of each call that has ended, answered or not. `attempts` are those of one call where its
        failure may pass, with backoff within its deadline; with one nothing sleeps but the rate limiter.
        """
        limiter = self._rate_limiters.setdefault(_checked(project_id), RateLimiter(self._clock))
        return VpcApi(self._sender(project_id, key, limiter, on_call, attempts), self._published)

    def probe(self, deadline: Deadline) -> Reply:
        """Ask the endpoint for nothing, unsigned, and return what it answers: any answer has the cloud's clock."""
        with self._transport.exchange("GET", "/", {"User-Agent": USER_AGENT}, b"", deadline, reuse=False) as reply:
            return reply

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()


class VpcApi:
    """The API for one project and one key. The port tells what each method returns and raises."""

    def __init__(self, sender: RequestSender, published: dict[Operation, tuple[PortsVersion, ...]]) -> None:
        self.project_id = sender.project_id
        self._sender, self._published = sender, published
        self._sessions = f"/v3/{self.project_id}/vpc/traffic-mirror-sessions"

    def list_sessions(self, deadline: Deadline) -> Listing:
        """Return all sessions, from every page, of 10 s at most each."""
        for _ in range(MAX_RESTARTS):
            began = self._sender.clock.instant()
            with suppress(bodies.MarkerVanished):  # what was read may have a gap
                pages = list(self._pages("list_sessions", self._sessions, bodies.read_sessions, deadline))
                items = [item for page in pages for item in page.items]
                sessions = {each.id: each for each in items if isinstance(each, MirrorSession)}
                unreadable = tuple(each for each in items if isinstance(each, UnreadableSession))
                request_ids = tuple(page.request_id for page in pages)
                return Listing(tuple(sessions.values()), pages[0].earliest, began, request_ids, unreadable)
        raise ApiUnavailable("sessions are deleted faster than they can be listed")

    def show_session(self, session: MirrorSession, deadline: Deadline) -> SessionReply:
        """Return the session as it is now, or that it is gone."""
        path, read = f"{self._sessions}/{_checked(session.id)}", partial(bodies.read_session, session_id=session.id)
        return self._sender.send(Request("show_session", path, read), deadline)

    def remove_sources(self, session: MirrorSession, interface_ids: Sequence[str], deadline: Deadline) -> SessionReply:
        """Ask that the interfaces leave the session."""
        sources = [spelling for id_ in interface_ids for spelling in session.spelled(_checked(id_))]
        body = json.dumps({"traffic_mirror_session": {"traffic_mirror_sources": sources}}).encode()
        path = f"{self._sessions}/{_checked(session.id)}/remove-sources"
        read = partial(bodies.read_session, session_id=session.id, of_removal=True)
        return self._sender.send(Request("remove_sources", path, read, body=body), deadline)

    def find_interface(self, interface_id: str, deadline: Deadline) -> Presence:
        """Ask for that one id; `exists` is False only after the VPC API's own 404."""
        read = partial(bodies.read_presence, interface_id=_checked(interface_id))

        def ask(version: PortsVersion) -> Presence:
            path = f"{version.path.format(project=self.project_id)}/{interface_id}"
            return self._sender.send(Request("find_interface", path, read), deadline)

        return self._of_published("find_interface", ask)

    def list_interfaces(self, interface_ids: Collection[str], deadline: Deadline) -> frozenset[str]:
        """Return those of the ids that the list shows; one call for every 100 ids, by V2.0 for each."""
        asked = {_checked(id_).lower() for id_ in interface_ids}
        return frozenset(asked & self._list_ports("id", asked, deadline).keys())

    @property
    def servers_a_call(self) -> int:
        """How many servers one list of their interfaces takes, as far as is known."""
        return self._published.get("list_interfaces", PORTS_VERSIONS)[0].device_id

    def list_server_interfaces(self, server_ids: Collection[str], deadline: Deadline) -> Mapping[str, frozenset[str]]:
        """Return the interfaces that the list shows of each server; one call for 50, by V1 and V2.0 for each."""
        asked = {_checked(id_).lower() for id_ in server_ids}
        ports = self._list_ports("device_id", asked, deadline)
        having = asked & {*ports.values()}
        return {id_: frozenset(port for port, server in ports.items() if server == id_) for id_ in having}

    def has_interfaces(self, deadline: Deadline) -> bool:
        """Tell whether the list shows any interface of the project at all."""

        def ask(version: PortsVersion) -> bool:
            path = version.path.format(project=self.project_id)
            pages = self._pages("list_interfaces", path, bodies.read_ports, deadline, [("limit", "1")])
            return bool(next(pages).items)

        return self._of_published("list_interfaces", ask)

    def _list_ports(
        self, name: Literal["id", "device_id"], values: Collection[str], deadline: Deadline
    ) -> dict[str, str]:
        """Return the server of each interface that is listed for a filter's values; of ids the first page holds all."""

        def ask(version: PortsVersion) -> dict[str, str]:
            path, ordered, size = version.path.format(project=self.project_id), sorted(values), getattr(version, name)
            some = [ordered[start : start + size] for start in range(0, len(ordered), size)]
            ports: dict[str, str] = {}
            while some:
                asked = some.pop(0)
                query = [*((name, value) for value in asked), PAGE_LIMIT]
                read = partial(bodies.read_ports, server_ids=asked) if name == "device_id" else bodies.read_ports
                pages = self._pages("list_interfaces", path, read, deadline, query)
                try:
                    for page in islice(pages, 1 if name == "id" else None):
                        ports.update(page.items)
                except bodies.ServersNotFound:
                    _, *older = self._published.get("list_interfaces", PORTS_VERSIONS)
                    self._published["list_interfaces"] = (version._replace(device_id=1), *older)
                    some += [[each] for each in asked]
            return ports

        return self._of_published("list_interfaces", ask)

    def _pages(
        self,
        operation: Literal["list_sessions", "list_interfaces"],
        path: str,
        read: Callable[[Reply, Collection[str]], bodies.Page[T]],
        deadline: Deadline,
        query: Sequence[tuple[str, str]] = (PAGE_LIMIT,),
    ) -> Iterator[bodies.Page[T]]:
        """Yield every page of a list; `read` is given an answer and the markers so far."""
        seen: set[str] = set()
        marker = ""
        while marker or not seen:
            seen.add(marker)
            this: Operation = "next_sessions" if marker and operation == "list_sessions" else operation
            asked = [*query, ("marker", marker)] if marker else query
            request = Request(this, path, lambda reply: read(reply, seen), asked, seconds=PAGE_SECONDS)
            page = self._sender.send(request, deadline)
            yield page
            marker = page.next_marker

    def _of_published(self, operation: Operation, ask: Callable[[PortsVersion], T]) -> T:
        """Ask the newest version of the ports API that the region publishes, and remember which that is."""
        versions = self._published.get(operation, PORTS_VERSIONS)
        for at, version in enumerate(versions):
            if at:  # before the answer: one that comes too late told it all the same
                self._published[operation] = versions[at:]
            with suppress(NotPublished):
                return ask(version)
        self._published.pop(operation, None)  # it is misconfigured, perhaps not for long
        raise ApiRefused("the region publishes no version of the ports API: check UNMIRROR_REGION or the endpoint")


def _checked(id_: str) -> str:
    """Return an id that may stand in a URL; nothing else ever does."""
    if not bodies.ID.fullmatch(id_):
        raise ApiRefused("an id has characters that no id of the VPC API has; it was not sent")
    return id_
