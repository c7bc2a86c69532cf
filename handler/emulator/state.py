"""The state of an emulated region: interfaces, the servers that own them, and the mirror sessions that list them."""

import json
import random
import threading
import uuid
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

# In `Cloud.show_as`: answers leave the member out.
ABSENT: Final = object()


class Cloud:
    """The state of a region; may be read and changed while it is served."""

    def __init__(self, seed: int = 0) -> None:
        """Take a seed; the same one gives the same ids."""
        self.lock = threading.RLock()
        """Held while one operation reads or changes the state."""
        self._random = random.Random(seed)  # noqa: S311 - ids that a test can repeat
        self._sessions: dict[str, dict[str, dict[str, Any]]] = {}
        self._ports: dict[str, dict[str, dict[str, Any]]] = {}
        # What follows is derived, so that a storm at 20,000 sessions measures the function and not the emulator.
        self._ports_of: dict[str, list[str]] = {}
        self._uses: dict[str, int] = {}
        self._shown_as: dict[str, Mapping[str, Any]] = {}
        self._text: dict[str, str] = {}
        self._order: dict[str, tuple[list[str], dict[str, int]]] = {}
        self._port_order: dict[str, list[str]] = {}

    def new_id(self) -> str:
        """Return a UUID, the same for the same seed."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    # --- interfaces and servers

    def add_port(self, project_id: str, *, name: str = "", device_id: str = "", port_id: str = "") -> str:
        """Create an interface, attached to a server where `device_id` names one, and return its id."""
        with self.lock:
            id_ = port_id or self.new_id()
            self._ports.setdefault(project_id, {})[id_] = {"id": id_, "name": name, "device_id": device_id}
            self._port_order.pop(project_id, None)
            if device_id:
                self._ports_of.setdefault(device_id, []).append(id_)
            return id_

    def delete_port(self, port_id: str, *, detach: bool = False) -> bool:
        """Delete an interface; False when there is none. `detach`: take it out of its sessions, too."""
        with self.lock:
            self.unbind_port(port_id)
            owner = next((project_id for project_id, ports in self._ports.items() if port_id in ports), None)
            if owner is None:
                return False
            del self._ports[owner][port_id]
            self._port_order.pop(owner, None)
            if detach:
                for session_id, sources in self.sources(owner).items():
                    if port_id in sources:
                        self.set_sources(owner, session_id, [each for each in sources if each != port_id])
            return True

    def unbind_port(self, port_id: str) -> None:
        """Detach an interface from its server; it lives on with an empty `device_id`."""
        with self.lock:
            port = next((ports[port_id] for ports in self._ports.values() if port_id in ports), None)
            if port and port["device_id"]:
                self._ports_of[port["device_id"]].remove(port_id)
                port["device_id"] = ""

    def add_server(self, project_id: str, *, name: str = "", interfaces: int = 1) -> str:
        """Create a server with so many interfaces, named like it, and return its id."""
        with self.lock:
            server_id = self.new_id()
            for _ in range(interfaces):
                self.add_port(project_id, name=name, device_id=server_id)
            return server_id

    def delete_server(
        self, server_id: str, *, ports: Literal["at once", "pending"] = "at once", keep: Iterable[str] = ()
    ) -> bool:
        """Delete a server; False when no interface belongs to it.

        Its interfaces go with it at once, or stay as they are until `finish_deletion`: a Nova-style deletion is
        answered before the ports are gone. Those of `keep` live on unbound.
        """
        with self.lock:
            found = bool(self.ports_of(server_id))
            for port_id in keep:
                self.unbind_port(port_id)
            if ports == "at once":
                self.finish_deletion(server_id)
            return found

    def finish_deletion(self, server_id: str, count: int | None = None) -> int:
        """Delete the next `count` interfaces of a server, or all, and return how many are left."""
        with self.lock:
            for port_id in self.ports_of(server_id)[:count]:
                self.delete_port(port_id)
            return len(self.ports_of(server_id))

    def port(self, project_id: str, port_id: str) -> dict[str, Any] | None:
        """Return an interface."""
        return self._ports.get(project_id, {}).get(port_id)

    def ports(self, project_id: str) -> list[str]:
        """Return the ids of a project's interfaces, in the order of their creation."""
        with self.lock:
            return list(self._ports.get(project_id, {}))

    def ports_of(self, server_id: str) -> tuple[str, ...]:
        """Return the ids of a server's interfaces, in the order of their creation."""
        with self.lock:
            return tuple(self._ports_of.get(server_id, ()))

    def port_order(self, project_id: str) -> list[str]:
        """Return the ids of a project's interfaces as they are listed."""
        with self.lock:
            if project_id not in self._port_order:
                self._port_order[project_id] = sorted(self._ports.get(project_id, {}))
            return self._port_order[project_id]

    # --- sessions

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
        with self.lock:
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
        with self.lock:
            session = self._sessions[project_id][session_id]
            for source in session["traffic_mirror_sources"]:
                self._uses[source] -= 1
            session["traffic_mirror_sources"] = list(sources)
            for source in session["traffic_mirror_sources"]:
                self._uses[source] = self._uses.get(source, 0) + 1
            self._text.pop(session_id, None)

    def update_session(self, project_id: str, session_id: str, changes: Mapping[str, Any]) -> None:
        """Change other members of a session."""
        with self.lock:
            self._sessions[project_id][session_id].update(changes)
            self._text.pop(session_id, None)

    def show_as(self, session_id: str, **members: Any) -> None:
        """Show a session with other members than it has, whatever they are; without any: as it is.

        So a test makes a session that cannot be read: `show_as(id, type=None, traffic_mirror_sources=ABSENT)`.
        """
        with self.lock:
            self._shown_as[session_id] = members
            self._text.pop(session_id, None)

    def delete_session(self, project_id: str, session_id: str) -> bool:
        """Delete a session; False when there is none."""
        with self.lock:
            if session_id not in self._sessions.get(project_id, {}):
                return False
            self.set_sources(project_id, session_id, ())
            del self._sessions[project_id][session_id]
            self._order.pop(project_id, None)
            return True

    def session(self, project_id: str, session_id: str) -> dict[str, Any] | None:
        """Return a copy of a session as it is."""
        with self.lock:
            session = self._sessions.get(project_id, {}).get(session_id)
            return json.loads(json.dumps(session)) if session else None

    def session_text(self, project_id: str, session_id: str) -> str:
        """Return the JSON of a session as answers show it, made once until it changes."""
        text = self._text.get(session_id)
        if text is None:
            shown = {**self._sessions[project_id][session_id], **self._shown_as.get(session_id, {})}
            text = json.dumps({name: value for name, value in shown.items() if value is not ABSENT})
            self._text[session_id] = text
        return text

    def sources(self, project_id: str) -> dict[str, tuple[str, ...]]:
        """Return the sources of each session of a project, by session id."""
        with self.lock:
            found = self._sessions.get(project_id, {})
            return {id_: tuple(session["traffic_mirror_sources"]) for id_, session in found.items()}

    def uses(self, source: str) -> int:
        """Return how many sessions list a source."""
        return self._uses.get(source, 0)

    def order(self, project_id: str) -> tuple[list[str], dict[str, int]]:
        """Return the session ids as they are listed, and the place of each."""
        with self.lock:
            if project_id not in self._order:
                ids = list(self._sessions.get(project_id, {}))
                self._order[project_id] = (ids, {id_: place for place, id_ in enumerate(ids)})
            return self._order[project_id]
