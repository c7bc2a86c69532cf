"""The port: what the use cases need of the VPC API, and no more. `handler.vpc.client` meets it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from handler.deadline import Deadline
from handler.model import Listing, MirrorSession, Presence, SessionReply


class MirrorApi(Protocol):
    """The VPC API for one project and one identity. Every method may be called from any thread.

    What a method returns is an answer of the API itself. Each raises ApiRefused, ApiUnavailable or one of their kinds
    when the API gave no answer to rely on, and DeadlineExceeded when the deadline left no time for one. Ids are in
    lower case, here and back.
    """

    @property
    def project_id(self) -> str:
        """The project that every call is about."""

    def list_sessions(self, deadline: Deadline) -> Listing:
        """Return all sessions of the project, from every page."""

    def show_session(self, session: MirrorSession, deadline: Deadline) -> SessionReply:
        """Return the session as it is now, or that it is gone."""

    def remove_sources(self, session: MirrorSession, interface_ids: Sequence[str], deadline: Deadline) -> SessionReply:
        """Ask once that the interfaces leave the session, in the session's own spelling of them.

        Returns the session that the answer shows; None for it when the API says that it is gone. RemovalRejected
        is the API's answer to an id that it does not accept; the caller reads the session to find out.
        """

    def find_interface(self, interface_id: str, deadline: Deadline) -> Presence:
        """Ask for that one id; `exists` is False only after the VPC API's own 404."""

    def list_interfaces(self, interface_ids: Collection[str], deadline: Deadline) -> frozenset[str]:
        """Return those of the ids that the list shows. What it does not show may exist all the same."""

    def list_server_interfaces(self, server_ids: Collection[str], deadline: Deadline) -> Mapping[str, frozenset[str]]:
        """Return the interfaces that the list shows of each server; a server that has none is not among them."""

    def has_interfaces(self, deadline: Deadline) -> bool:
        """Tell whether the list shows any interface of the project at all."""
