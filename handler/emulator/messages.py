"""What an operation of the emulated API takes and gives: a request, an answer, or a refusal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

# Of the ports API.
PortsVersion: TypeAlias = Literal["v3", "v1", "v2.0"]

_TEXTS = ("name", "description", "type", *(f"traffic_mirror_{n}" for n in ("filter_id", "target_id", "target_type")))
_NUMBERS = ("virtual_network_id", "packet_length", "priority")


class Refusal(Exception):
    """An answer other than the documented success, in one of the API's shapes."""

    def __init__(
        self, status: int, code: str, message: str, shape: Literal["v3", "v1", "v2.0", "no code"] = "v3"
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.shape = status, code, message, shape

    def body(self, request_id: str) -> bytes:
        """Return the body."""
        shapes: dict[str, dict[str, Any]] = {
            "v3": {"error_code": self.code, "error_msg": self.message, "request_id": request_id},
            "v1": {"code": self.code, "message": self.message},
            "v2.0": {"NeutronError": {"type": self.code, "message": self.message, "detail": ""}},
            "no code": {"message": self.message},
        }
        return json.dumps(shapes[self.shape]).encode()


@dataclass(frozen=True)
class Answer:
    """An answer of the API."""

    status: int = 200
    body: bytes = b""
    ids: tuple[str, ...] = ()
    """The sources that it removed or added."""


@dataclass(frozen=True)
class Request:
    """What an operation needs of a request."""

    project_id: str
    path: Mapping[str, str]
    """The named parts of the path."""
    query: list[tuple[str, str]]
    body: bytes
    request_id: str
    access_key: str
    version: PortsVersion = "v3"

    def first(self, name: str) -> str:
        """Return the first value of a query parameter, or an empty text."""
        return next((value for key, value in self.query if key == name), "")

    def all(self, name: str) -> list[str]:
        """Return the values of a query parameter."""
        return [value for key, value in self.query if key == name]

    def session(self) -> dict[str, Any]:
        """Return the session that the body describes."""
        try:
            session = json.loads(self.body)["traffic_mirror_session"]
        except (ValueError, KeyError, TypeError) as error:
            raise Refusal(400, "VPC.0001", "Invalid body") from error
        if not isinstance(session, dict):
            raise Refusal(400, "VPC.0001", "Invalid body")
        return session

    def members(self) -> dict[str, Any]:
        """Return what the body sets of a session, as answers show it: it may give numbers and switches as text."""
        session = self.session()
        set_ = {name: session[name] for name in (*_TEXTS, *_NUMBERS, "enabled") if name in session}
        for name in set_.keys() & _NUMBERS:
            if not str(set_[name]).isdigit():
                raise Refusal(400, "VPC.0001", f"{name} is invalid")
            set_[name] = int(set_[name])
        if "enabled" in set_:
            set_["enabled"] = str(set_["enabled"]).lower() == "true"
        return set_

    def sources(self) -> list[str]:
        """Return the sources that the body names."""
        sources = self.session().get("traffic_mirror_sources")
        if not isinstance(sources, list) or not sources or not all(isinstance(id_, str) for id_ in sources):
            raise Refusal(400, "VPC.0001", "traffic_mirror_sources is invalid")
        return sources
