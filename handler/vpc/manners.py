"""How a process behaves towards the API: the pace after a 429, and the guard against a locked access key."""

from __future__ import annotations

import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from handler.errors import ApiRefused, ApiThrottled
from handler.model import Deadline
from handler.vpc.credentials import AccessKey

REST_SECONDS = 300.0
"""An access key is locked for so long after more than five failed authentications in a row.

Source: API signing guide, https://support.huaweicloud.com/eu/nl-nl/devg-apisign/api-sign-0001.html
"""

SLOW_DOWN = 0.75
WINDOW = 1.0
"""Seconds: the gateway counts in windows, so once one call is over the limit, all of its window are, at any pace."""
SPEED_UP = 0.1
"""Calls a second, for each call that is let through."""
UNLIMITED = 500.0
"""Calls a second; a pace that has recovered to it is none."""


class Pace:
    """The pace of all threads towards one project: as fast as they like until the API throttles, then what it bears."""

    def __init__(self, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        self._rate = UNLIMITED
        self._next = 0.0
        self._slowed_at = float("-inf")
        self._sent: deque[float] = deque(maxlen=512)

    def wait(self, deadline: Deadline) -> float:
        """Wait for a turn and return when it came; raise ApiThrottled when it would come after the deadline."""
        with self._lock:
            left, now = deadline.require("a call of the VPC API"), self._clock()
            turn = max(now, self._next)
            if turn - now >= left:
                raise ApiThrottled("the VPC API throttles this project; try later", retry_after=turn - now)
            self._next = turn + 1 / self._rate if self._rate < UNLIMITED else max(now, self._next)
            self._sent.append(turn)
        if turn > now:
            self._sleep(turn - now)
        return turn

    def throttled(self, sent_at: float, retry_after: float) -> None:
        """Slow down, once for all the calls of one window."""
        with self._lock:
            now = self._clock()
            self._next = max(self._next, now + retry_after)
            if sent_at < self._slowed_at + WINDOW:
                return
            self._slowed_at = now
            recent = sum(1 for each in self._sent if now - each <= 1)
            self._rate = max(1.0, min(self._rate, float(recent)) * SLOW_DOWN)

    def went_well(self) -> None:
        """Speed up a little."""
        if self._rate < UNLIMITED:
            with self._lock:
                self._rate = min(UNLIMITED, self._rate + SPEED_UP)


class KeyRests(ApiRefused):
    """The API has refused the key, and it is not tried again for a while; says what the API said."""


@dataclass(slots=True)
class _Standing:
    """What the API has said of one access key."""

    proven: bool = False
    trying: bool = False
    rests_until: float = 0.0
    refusal: ApiRefused | None = None


@dataclass(slots=True)
class Guard:
    """Keeps the API from locking an access key: a key that it has not yet accepted is tried by one thread at a time,
    and one that it has refused rests, while deliveries are refused at once."""  # noqa: D205, D209 - one sentence

    clock: Callable[[], float]
    most: int = 64
    _turn: threading.Condition = field(default_factory=threading.Condition)
    _standings: OrderedDict[AccessKey, _Standing] = field(default_factory=OrderedDict)

    def enter(self, key: AccessKey, deadline: Deadline) -> None:
        """Return when the key may be used; raise the API's refusal while it rests."""
        with self._turn:
            while True:
                standing = self._standings.setdefault(key, _Standing())
                self._standings.move_to_end(key)
                if len(self._standings) > self.most:
                    self._standings.popitem(last=False)
                if standing.refusal is not None and self.clock() < standing.rests_until:
                    refusal = standing.refusal
                    raise KeyRests(str(refusal), code=refusal.code, request_id=refusal.request_id)
                if standing.proven:
                    return
                if not standing.trying:
                    standing.trying = True
                    return
                self._turn.wait(deadline.require("trying the access key"))

    def accepted(self, key: AccessKey) -> None:
        """Note that the API knows the key."""
        standing = self._standings.get(key)
        if standing is None or not standing.proven:
            self._note(key, _Standing(proven=True))

    def refused(self, key: AccessKey, refusal: ApiRefused) -> None:
        """Let the key rest."""
        self._note(key, _Standing(rests_until=self.clock() + REST_SECONDS, refusal=refusal))

    def undecided(self, key: AccessKey) -> None:
        """Note that the call told nothing of the key; the next thread may try it."""
        with self._turn:
            standing = self._standings.get(key)
            if standing is not None and standing.trying:
                standing.trying = False
                self._turn.notify_all()

    def _note(self, key: AccessKey, standing: _Standing) -> None:
        with self._turn:
            self._standings[key] = standing
            self._turn.notify_all()
