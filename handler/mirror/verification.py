"""Verify: an interface counts as gone only when the VPC API, asked for that id, says so."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias

from handler.errors import DeadlineExceeded, UnmirrorError
from handler.mirror.port import MirrorApi
from handler.model import Presence

_Key: TypeAlias = tuple[str, str, str]
"""Project, who asks, and the interface: what one key is told holds for no other."""


@dataclass(slots=True)
class _Question:
    """One id on its way to the API; all who ask meanwhile share the answer."""

    began: float
    answered: threading.Event = field(default_factory=threading.Event)
    presence: Presence | None = None
    error: UnmirrorError | None = None


class Verifications:
    """Asks for each id once at a time, remembers "gone" because it is final, and never "exists"."""

    def __init__(self, clock: Callable[[], float], most: int = 50_000) -> None:
        """Take a monotonic clock, and how many interfaces that are gone to remember."""
        self._clock = clock
        self._most = most
        self._gone: OrderedDict[_Key, Presence] = OrderedDict()
        self._asked: dict[_Key, _Question] = {}
        self._lock = threading.Lock()

    def ask(self, api: MirrorApi, interface_id: str, *, since: float | None = None) -> Presence:
        """Return what the API says of the id; raises what the call raised.

        "Gone" may have been said before, but to nobody else than who asks. "Exists" is the answer to a call that began
        after `since`, a moment of the clock; by default after this one.
        """
        since = self._clock() if since is None else since
        key = (api.project_id, api.asked_by, interface_id)
        with self._lock:
            if (gone := self._gone.get(key)) is not None:
                return gone
            question = self._asked.get(key)
            first = question is None
            if question is None:
                question = self._asked[key] = _Question(self._clock())
        if first:
            return self._first(key, question, api)
        presence = self._joined(question, api)
        if presence is None or (presence.exists and question.began <= since):
            return self.ask(api, interface_id, since=since)
        return presence

    def _first(self, key: _Key, question: _Question, api: MirrorApi) -> Presence:
        question.error = UnmirrorError("a verification ended by a defect")
        try:
            presence = question.presence = api.find_interface(key[2])
            question.error = None
        except UnmirrorError as error:
            question.error = error
            raise
        finally:
            with self._lock:
                del self._asked[key]
                if question.presence is not None and not question.presence.exists:
                    self._gone[key] = question.presence
                    if len(self._gone) > self._most:
                        self._gone.popitem(last=False)
            question.answered.set()
        return presence

    def _joined(self, question: _Question, api: MirrorApi) -> Presence | None:
        """Return the answer to another's question; None if that other ran out of its own time."""
        if not question.answered.wait(api.deadline.require("the verification of an interface")):
            raise DeadlineExceeded("no time left while waiting for the verification of an interface")
        if isinstance(question.error, DeadlineExceeded):
            return None
        if question.error is not None:
            raise copy(question.error) from question.error
        return question.presence
