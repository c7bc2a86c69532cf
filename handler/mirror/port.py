"""What the use cases need of others, and no more: `handler.vpc.client` meets MirrorApi, an instrumentation Observer."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from handler.deadline import Deadline
from handler.errors import UnmirrorError
from handler.model import ApiCall, Listing, MirrorSession, Presence, SessionReply


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

    @property
    def servers_a_call(self) -> int:
        """How many servers one list of their interfaces takes, as far as is known; more take several calls."""

    def list_server_interfaces(self, server_ids: Collection[str], deadline: Deadline) -> Mapping[str, frozenset[str]]:
        """Return the interfaces that the list shows of each server; a server that has none is not among them."""

    def has_interfaces(self, deadline: Deadline) -> bool:
        """Tell whether the list shows any interface of the project at all."""


class Observer(Protocol):
    """What hears of the calls and the accidents of workers, from any thread."""

    def on_call(self, call: ApiCall, traces: Sequence[Any]) -> None:
        """Hear of a call that has ended, and of the places in traces of the jobs that it was made for."""

    def on_abandoned(self, project_id: str) -> None:
        """Hear of a batch that was ended with calls under way, because none of its jobs had time left."""

    def on_unhandled(self, error: BaseException) -> UnmirrorError:
        """Hear of a bug; return the error to answer the jobs with."""


# Returns the API for one project and identity: told `on_call`, which hears of each call, and how often a call is
# attempted, `attempts`.
Connect = Callable[..., MirrorApi]
