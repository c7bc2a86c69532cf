"""Verify: an interface counts as gone only when the VPC API, asked for that id, says so."""

from __future__ import annotations

import threading
from collections import OrderedDict
from copy import copy
from dataclasses import dataclass, field
from typing import TypeAlias

from handler.errors import DeadlineExceeded, UnmirrorError
from handler.mirror.api import MirrorApi
from handler.model import Presence

_Key: TypeAlias = tuple[str, str, str]
"""Project, who asks, and the interface: what one key is told holds for no other."""


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
        self._gone: OrderedDict[_Key, Presence] = OrderedDict()
        self._asked: dict[_Key, _Question] = {}
        self._lock = threading.Lock()

    def ask(self, api: MirrorApi, interface_id: str, *, may_be_older: bool = False) -> Presence:
        """Return what the API says of the id; raises what the call raised.

        "Gone" may have been said before, but to nobody else than who asks. "Exists" was asked for since, unless the
        answer `may_be_older`.
        """
        key = (api.project_id, api.asked_by, interface_id)
        with self._lock:
            if (gone := self._gone.get(key)) is not None:
                return gone
            question = self._asked.get(key)
            first = question is None
            if question is None:
                question = self._asked[key] = _Question()
        if first:
            return self._first(key, question, api)
        presence = self._joined(key, question, api)
        if presence.exists and not may_be_older:  # it was asked before we came: another answer begins after that
            return self.ask(api, interface_id, may_be_older=True)
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

    def _joined(self, key: _Key, question: _Question, api: MirrorApi) -> Presence:
        if not question.answered.wait(api.deadline.require("the verification of an interface")):
            raise DeadlineExceeded("no time left while waiting for the verification of an interface")
        if isinstance(question.error, DeadlineExceeded):
            return self.ask(api, key[2])  # that was the other's deadline; `require` ends this at ours
        if question.error is not None:
            raise copy(question.error) from question.error
        assert question.presence is not None  # noqa: S101 - an answered question has one or the other
        return question.presence
