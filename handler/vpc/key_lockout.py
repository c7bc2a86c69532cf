"""A circuit breaker for each access key, so that the API does not lock it.

The API locks a key for five minutes after more than five failed authentications in a row. Source: API signing guide,
https://support.huaweicloud.com/eu/nl-nl/devg-apisign/api-sign-0001.html
"""

import threading
from datetime import datetime, timedelta
from math import inf
from typing import NamedTuple

from handler.deadline import LOOK_SECONDS, Clock, Deadline, Instant
from handler.errors import KeyCoolingDown
from handler.lru import LruCache
from handler.vpc.credentials import AccessKey
from handler.vpc.replies import is_skewed

# As long as the API's own lock: a key that it has locked meanwhile is open again.
COOLDOWN_SECONDS = 300.0
# So long after the API accepted a key it is used by many calls at once. Long enough for the slowest answer, short
# enough that at most the calls of one batch fail when a key is withdrawn.
TRUST_SECONDS = 5.0
# For a probe: a page, the longest of all calls, has as long. One that hangs longer keeps nobody waiting.
PROBE_SECONDS = 10.0
# A process has one key of its own, and those that come with requests; a state is about 1 KiB.
MAX_KEYS = 4096


class _State(NamedTuple):
    """What the API last said of a key, and when: it is accepted where there is no refusal."""

    at: Instant | None = None
    refusal: KeyCoolingDown | None = None
    server_time: datetime | None = None
    """The API's clock when it refused the key, where ours is the probable cause."""
    trusted_since: Instant | None = None
    """When it was accepted for the first time since it was refused, or at all."""
    probe: Instant | None = None
    """When a probe began whose verdict is not there yet."""


class KeyLockout:
    """Closed: calls pass. Probing: one call passes, the others wait for its verdict. Open: each is refused at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._states: LruCache[AccessKey, _State] = LruCache(MAX_KEYS)

    def enter(self, key: AccessKey, deadline: Deadline) -> Instant | None:
        """Return when a call with the key may begin; the moment names it where it is the probe that others wait for.

        Raises KeyCoolingDown while the key cools down. A probe has to end with one of the methods below.
        """
        with self._changed:
            if self.wait(key, deadline):
                return None
            probe = self._clock.instant()
            self._states.put(key, self._state(key)._replace(probe=probe))
            return probe

    def wait(self, key: AccessKey, deadline: Deadline) -> bool:
        """Wait while another call probes the key; return whether many calls may use it. Raises as `enter` does."""
        with self._changed:
            while True:
                state = self._state(key)
                age, refusal = self._clock.age(state.at) if state.at else inf, state.refusal
                if refusal is None and age < TRUST_SECONDS:
                    return True
                if refusal is not None and age < COOLDOWN_SECONDS and not self._clock_was_set(state):
                    raise KeyCoolingDown(str(refusal), code=refusal.code, request_id=refusal.request_id)
                left = PROBE_SECONDS - self._clock.age(state.probe) if state.probe else 0.0
                remaining = deadline.require("trying the access key")
                if left <= 0:
                    return False
                self._changed.wait(min(left, remaining, LOOK_SECONDS))

    def on_accepted(self, key: AccessKey) -> None:
        """Note that the API has answered a call with the key."""
        with self._changed:
            state = self._state(key)
            if state.refusal is None or state.probe:  # else it answers a call from before the refusal
                now = self._clock.instant()
                self._set(key, _State(now, trusted_since=now if state.refusal else state.trusted_since or now))

    def on_refused(self, key: AccessKey, error: KeyCoolingDown, server_time: datetime | None, sent: Instant) -> None:
        """Let the key cool down, unless the refused call was `sent` before it was trusted.

        By `server_time`, the API's clock, it is seen whether ours is the probable cause.
        """
        with self._changed:
            state = self._state(key)
            if state.trusted_since is not None and state.trusted_since.monotonic > sent.monotonic:
                return
            now = self._clock.instant()
            self._set(key, _State(now, error, server_time if is_skewed(now.wall, server_time) else None))

    def on_undecided(self, key: AccessKey, probe: Instant) -> None:
        """Note that the probe told nothing of the key: the next may try it. Does nothing after a verdict."""
        with self._changed:
            state = self._state(key)
            if state.probe is probe:
                self._set(key, state._replace(probe=None))

    def _state(self, key: AccessKey) -> _State:
        return self._states.get(key) or _State()

    def _set(self, key: AccessKey, state: _State) -> None:
        self._states.put(key, state)
        self._changed.notify_all()

    def _clock_was_set(self, state: _State) -> bool:
        """Tell whether our clock was the probable cause of a refusal and is right by now."""
        if state.at is None or state.server_time is None:
            return False
        server_now = state.server_time + timedelta(seconds=self._clock.monotonic() - state.at.monotonic)
        return not is_skewed(self._clock.now(), server_now)
