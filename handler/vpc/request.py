"""One call: signed, sent, and tried again where its failure may pass."""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from handler import __version__
from handler.deadline import Clock, Deadline, longest_backoff
from handler.errors import ApiRefused, ApiThrottled, ApiUnavailable, BadReply, KeyCoolingDown, OutcomeUnknown
from handler.model import ApiCall, Operation
from handler.vpc.credentials import AccessKey, CredentialChain
from handler.vpc.key_lockout import KeyLockout
from handler.vpc.rate_limiter import RateLimiter
from handler.vpc.replies import Reply, error_for
from handler.vpc.signing import canonical_query, signed
from handler.vpc.transport import StaleConnection, Transport

T = TypeVar("T")
USER_AGENT = f"unmirror/{__version__}"
# For one call, and for one page of a list, of 2 MiB at most: ten times what they take on a bad day (300 ms, 1 s).
CALL_SECONDS, PAGE_SECONDS = 5.0, 10.0


class Request(Generic[T]):
    """What is asked of the API, and how its answer is read, unless that is an error."""

    def __init__(
        self,
        operation: Operation,
        path: str,
        read: Callable[[Reply], T],
        query: Sequence[tuple[str, str]] = (),
        body: bytes = b"",
        seconds: float = CALL_SECONDS,
    ) -> None:
        """Take the body of a PUT, none for a GET, and the time that one try may have."""
        self.operation, self.path, self.read, self.query = operation, path, read, query
        self.method, self.body, self.seconds = "PUT" if body else "GET", body, seconds


class RequestSender(NamedTuple):
    """Sends the requests for one project and one key. Safe for threads."""

    credentials: CredentialChain
    transport: Transport
    key_lockout: KeyLockout
    clock: Clock
    jitter: Callable[[], float]
    """From 0 to 1."""
    project_id: str
    key: AccessKey | None
    """None: the chain's own."""
    rate_limiter: RateLimiter
    on_call: Callable[[ApiCall], None]
    attempts: int

    def send(self, request: Request[T], deadline: Deadline) -> T:
        """Return what the answer says; raise the error that it is, or why there is none.

        A failure that may pass is tried again, `attempts` times in all, but not a change whose outcome is unknown: the
        caller reads the session. A read that an idle connection lost is repeated on a new one. A call that is refused
        for the chain's own key is repeated once with another key, where there is one.
        """
        key, is_renewable = self.key or self.credentials.current(deadline), self.key is None
        attempt, reuse = 1, True
        while True:
            try:
                return self._send_once(request, key, deadline, reuse)
            except StaleConnection:
                if not deadline.remaining():
                    raise
                reuse = False
                continue
            except KeyCoolingDown:
                if not is_renewable or (another := self.credentials.refresh(key, deadline)) is None:
                    raise
                key, is_renewable = another, False
                continue
            except ApiUnavailable as error:
                lost_change = isinstance(error, OutcomeUnknown | BadReply) and request.method != "GET"
                may_pass = attempt < self.attempts and error.transient and not lost_change
                pause = max(error.retry_after or 0.0, self.jitter() * longest_backoff(attempt - 1))
                if not may_pass or pause >= deadline.remaining():
                    raise
            self.clock.sleep(pause)
            attempt += 1
            if self.key is None:  # it may have been renewed meanwhile
                key, is_renewable = self.credentials.current(deadline), True

    def _send_once(self, request: Request[T], key: AccessKey, deadline: Deadline, reuse: bool) -> T:
        limiter, began, reply = self.rate_limiter, None, None
        while True:
            self.key_lockout.wait(key, deadline)  # before a turn is taken, for who waited would go out of turn
            limiter.acquire(deadline)  # before the lockout is entered, where waiting would keep others out
            probe = self.key_lockout.enter(key, deadline)
            if not limiter.closed_for():
                break
            if probe is not None:  # the API asked to wait while this call waited for another's verdict
                self.key_lockout.on_undecided(key, probe)
        try:
            deadline.require("a call of the VPC API")
            query = canonical_query(request.query)
            target = f"{request.path}?{query}" if query else request.path
            headers = {"Host": self.transport.host, "Content-Type": "application/json", "X-Project-Id": self.project_id}
            headers = signed(request.method, request.path, query, headers, request.body, key, self.clock.now())
            headers["User-Agent"] = USER_AGENT  # unsigned: proxies rewrite it
            began, left = self.clock.monotonic(), deadline.sooner(request.seconds)
            with self.transport.exchange(request.method, target, headers, request.body, left, reuse=reuse) as reply:
                error = error_for(request.operation, reply)
                match error:
                    case None:
                        limiter.on_success()
                        self.key_lockout.on_accepted(key)
                        return request.read(reply)
                    case BadReply():
                        raise error  # here, so that its connection is closed
                    case KeyCoolingDown():
                        self.key_lockout.on_refused(key, error, reply.date, reply.sent)
                    case ApiRefused():
                        self.key_lockout.on_accepted(key)
                    case ApiThrottled():
                        limiter.on_throttled(began, error.retry_after or 0.0)
            raise error
        finally:
            if probe is not None:
                self.key_lockout.on_undecided(key, probe)
            if began is not None:
                status, request_id = (reply.status, reply.request_id) if reply else (0, "")
                took = self.clock.monotonic() - began
                self.on_call(ApiCall(request.operation, status, request_id, took, self.clock.now()))
