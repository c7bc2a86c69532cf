"""The port: what the use cases need of the VPC API, and no more. `handler.vpc.client` meets it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Protocol

from handler.model import Deadline, Listing, Presence, SessionReply


class MirrorApi(Protocol):
    """The VPC API for one project and one delivery, within that delivery's deadline.

    Every method raises ApiRefused, ApiUnavailable or one of its kinds when the API did not give an answer
    that can be relied on; what it returns is always an answer of the API itself.
    """

    @property
    def project_id(self) -> str:
        """The project that every call is about."""

    @property
    def asked_by(self) -> str:
        """Whose credentials ask: empty for the function's own, else the access key that came with the delivery."""

    @property
    def deadline(self) -> Deadline:
        """When the delivery's time is up; no call starts, waits or backs off past it."""

    def list_sessions(self) -> Listing:
        """Return all sessions of the project, from every page."""

    def show_session(self, session_id: str) -> SessionReply:
        """Return the session as it is now, or that it is gone."""

    def remove_sources(self, session_id: str, interface_ids: Sequence[str]) -> SessionReply:
        """Ask once that the interfaces leave the session; return the session that the answer shows.

        The session is None when the API says that it is gone. ApiRefused with a 400-like code is the API's
        answer to an id that it does not accept; the caller looks at the session to find out.
        """

    def find_interface(self, interface_id: str) -> Presence:
        """Ask for that one id; `exists` is False only after the VPC API's own 404."""

    def list_interfaces(self, interface_ids: Collection[str]) -> frozenset[str]:
        """Return those of the ids that the list shows. What it does not show may exist all the same."""

    def list_all_interfaces(self) -> Iterator[frozenset[str]]:
        """Yield the ids of all interfaces that the list shows, page by page."""
