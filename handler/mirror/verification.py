"""Verify: an interface counts as gone only when the VPC API, asked for that id, says so."""

from __future__ import annotations

import threading
from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, field

from handler.errors import DeadlineExceeded, UnmirrorError
from handler.mirror.api import MirrorApi
from handler.model import Presence


@dataclass(slots=True)
class _Question:
    """One id on its way to the API; all who ask meanwhile share the answer."""

    answered: threading.Event = field(default_factory=threading.Event)
    presence: Presence | None = None
    error: UnmirrorError | None = None


class Verifications:
    """Asks for each id once at a time, remembers "gone" because it is final, and never "exists"."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._gone: OrderedDict[tuple[str, str], Presence] = OrderedDict()
        self._asked: dict[tuple[str, str], _Question] = {}
        self._lock = threading.Lock()

    def ask(self, api: MirrorApi, interface_id: str) -> Presence:
        """Return what the API says of the id; raises what the call raised."""
        key = (api.project_id, interface_id)
        with self._lock:
            if (gone := self._gone.get(key)) is not None:
                return gone
            question = self._asked.get(key)
            first = question is None
            if question is None:
                question = self._asked[key] = _Question()
        return self._first(key, question, api) if first else self._joined(key, question, api)

    def _first(self, key: tuple[str, str], question: _Question, api: MirrorApi) -> Presence:
        question.error = UnmirrorError("a verification ended by a defect")
        try:
            presence = question.presence = api.find_interface(key[1])
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

    def _joined(self, key: tuple[str, str], question: _Question, api: MirrorApi) -> Presence:
        if not question.answered.wait(api.deadline.require("the verification of an interface")):
            raise DeadlineExceeded("no time left while waiting for the verification of an interface")
        if isinstance(question.error, DeadlineExceeded):
            return self.ask(api, key[1])  # that was the other's deadline; `require` ends this at ours
        if question.error is not None:
            raise copy(question.error) from question.error
        assert question.presence is not None  # noqa: S101 - an answered question has one or the other
        return question.presence
