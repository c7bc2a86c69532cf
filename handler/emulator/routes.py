"""Where each operation of the emulated API is found."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from handler.emulator.messages import Answer, PortsVersion, Request
from handler.emulator.operations import Api


@dataclass(frozen=True)
class Operation:
    """An operation of the API, and where it is found."""

    name: str
    method: str
    path: str
    """A regular expression."""
    perform: Callable[[Api, Request], Answer]
    version: PortsVersion | None = None
    """The version of the ports API to which it belongs, if any."""

    def answer(self, api: Api, request: Request) -> Answer:
        """Perform it where the region publishes it; whatever is refused is raised as a Refusal."""
        if self.version is not None and self.version not in api.behaviour.ports_versions:
            return api.unknown(request)
        with api.cloud.lock:
            return self.perform(api, request)


_SESSIONS = r"/v3/(?P<project>[^/]+)/vpc/traffic-mirror-sessions"
_SESSION = _SESSIONS + r"/(?P<session>[^/]+)"
_PORTS: Mapping[PortsVersion, str] = {
    "v3": r"/v3/(?P<project>[^/]+)/ports",
    "v1": r"/v1/(?P<project>[^/]+)/ports",
    "v2.0": r"/v2\.0/ports",
}
_PORT = r"/(?P<port>[^/]+)"
_OPERATIONS = (
    Operation("list_sessions", "GET", _SESSIONS, Api.list_sessions),
    Operation("create_session", "POST", _SESSIONS, Api.create_session),
    Operation("show_session", "GET", _SESSION, Api.show_session),
    Operation("update_session", "PUT", _SESSION, Api.update_session),
    Operation("delete_session", "DELETE", _SESSION, Api.delete_session),
    Operation("add_sources", "PUT", _SESSION + "/add-sources", Api.add_sources),
    Operation("remove_sources", "PUT", _SESSION + "/remove-sources", Api.remove_sources),
    *(Operation("list_ports", "GET", path, Api.list_ports, version) for version, path in _PORTS.items()),
    *(Operation("show_port", "GET", path + _PORT, Api.show_port, version) for version, path in _PORTS.items()),
    *(Operation("delete_port", "DELETE", path + _PORT, Api.delete_port, version) for version, path in _PORTS.items()),
)
_UNKNOWN = Operation("unknown", "", "", Api.unknown)


def route(method: str, path: str) -> tuple[Operation, Mapping[str, str]]:
    """Return the operation that is asked for, `unknown` where there is none, and the named parts of the path."""
    for operation in _OPERATIONS:
        if operation.method == method and (match := re.fullmatch(operation.path, path)):
            return operation, match.groupdict()
    return _UNKNOWN, {}
