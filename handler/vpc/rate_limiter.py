"""The rate of calls to one project, shared by all keys and threads: without a limit until the API throttles."""

import threading
from collections import deque
from math import inf

from handler.deadline import Clock, Deadline, Instant
from handler.errors import ApiThrottled

# Of the last second's calls that were let through. TCP's CUBIC has 0.7 (RFC 9438). With 0.85 a simulated gateway of
# 20 to 200 calls a second was used to 96 % and more, with 7 % of the calls refused at most.
BACKOFF_FACTOR = 0.85
# The same at most, for a window in which all is refused: another client had used it up, and the next may be ours.
MOST_BACKOFF_FACTOR = 0.5
# In the second before the first refusal: fewer say nothing of what the gateway bears, as another client can have used
# its window up.
FEWEST_CALLS = 20.0
# The gateway counts in windows, so once one call is over the limit all the rest of its window are, at any rate.
WINDOW_SECONDS = 1.0
# Calls a second that each success adds: 10 s to double a rate, whatever it is.
RECOVERY = 0.1
# Calls a second. A limiter that has recovered to it is off: one process sends no more.
MAX_RATE = 500.0


class RateLimiter:
    """Additive increase, multiplicative decrease, as in TCP."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._rate = MAX_RATE
        self._next = self._slowed_at = -inf
        self._closed: tuple[Instant, float] | None = None
        """Since when, and for how many seconds, the API asks to send nothing."""
        self._sent: deque[float] = deque(maxlen=int(MAX_RATE))
        self._refused: deque[float] = deque(maxlen=int(MAX_RATE))

    def acquire(self, deadline: Deadline) -> None:
        """Wait for a turn; raise ApiThrottled when it would come after the deadline."""
        while True:
            with self._lock:
                deadline.require("a call of the VPC API")
                now, gap = self._clock.monotonic(), 1 / self._rate if self._rate < MAX_RATE else 0.0
                closed = self.closed_for()
                turn = now + closed if closed else max(now, self._next)
                if 0 < turn - now >= deadline.remaining():
                    raise ApiThrottled("the VPC API throttles this project; try later", retry_after=turn - now)
                if not closed:  # turns are taken after the time that the API asks to wait, and not in it
                    self._next = turn + gap
            if turn > now:
                self._clock.sleep(turn - now)
            with self._lock:
                if not closed and not self.closed_for():
                    self._sent.append(turn)
                    return

    def on_throttled(self, sent_at: float, retry_after: float) -> None:
        """Slow down, once for all the calls of one window, and send nothing for `retry_after` seconds."""
        with self._lock:
            now = self._clock.monotonic()
            if retry_after > self.closed_for():
                self._closed = self._clock.instant(), retry_after
            if sent_at >= self._slowed_at + WINDOW_SECONDS:
                self._slowed_at = now
                sent = sum(now - each <= WINDOW_SECONDS for each in self._sent)
                refused = sum(now - each <= WINDOW_SECONDS for each in self._refused)
                rate = self._rate if self._rate < MAX_RATE else max(FEWEST_CALLS, float(sent))
                self._rate = max(1.0, rate * MOST_BACKOFF_FACTOR, min(rate, sent - refused) * BACKOFF_FACTOR)
            self._refused.append(now)

    def closed_for(self) -> float:
        """Return the seconds that are left of what the API asks to wait; a frozen process may have slept them."""
        return max(0.0, self._closed[1] - self._clock.age(self._closed[0])) if self._closed else 0.0

    def on_success(self) -> None:
        """Speed up a little."""
        if self._rate < MAX_RATE:
            with self._lock:
                self._rate = min(MAX_RATE, self._rate + RECOVERY)
