"""The one error tree. Each class knows the HTTP status it becomes; whether sending again can help follows from it.

A message is one line for an operator: what is wrong and what to do. It never holds a value of the payload, a key, a
token, a signature or a header. Names say what happened, without a suffix, as in gidgethub and itsdangerous.
"""

from collections.abc import Iterable
from typing import ClassVar, NamedTuple

# Before a delivery is sent again, where the API asked for no time. Huawei documents none; a deletion is visible within
# seconds, an outage may pass.
RETRY_AFTER_SECONDS = 10.0
# The most that one error tells; a sender who breaks a hundred rules knows enough.
MAX_VIOLATIONS = 100


class UnmirrorError(Exception):
    """The root: whatever unmirror raises on purpose."""

    status: ClassVar[int] = 500
    """The HTTP status that tells a sender what happened."""
    title: ClassVar[str] = "Internal error"
    """The RFC 9457 title: the same for every occurrence of the class."""
    slug: ClassVar[str] = "internal-error"
    """The last part of the RFC 9457 type."""
    transient: ClassVar[bool] = False
    """Whether trying again within the same delivery can help."""
    retry_after: float | None = None
    """Seconds to wait before sending again; None when nobody said."""

    def __init__(
        self, message: str = "", *, code: str = "", request_id: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        """The API's own error code, `VPC.2201` or `APIGW.0301`; empty when no answer of the API is the reason."""
        self.request_id = request_id
        """What the cloud's support asks for; empty as above."""
        self.retry_after = retry_after or self.retry_after

    @property
    def retry(self) -> bool:
        """Whether the same delivery, sent again later, can end differently; for a 5xx perhaps once somebody acted."""
        return self.status >= 500 or self.status == 408


class Violation(NamedTuple):
    """One rule that one place of a payload breaks, without the value that breaks it."""

    path: str
    """A JSON path: `$.cts.resource_id`."""
    rule: str
    """What the schema asks for: `required: resource_id`, `type: string`."""


class BadEvent(UnmirrorError):
    """The delivery can never be read, however often it is sent."""

    status, title, slug = 400, "The event cannot be read", "bad-event"

    def __init__(self, message: str, violations: Iterable[Violation] = (), envelope: str | None = None) -> None:
        super().__init__(message)
        self.violations = tuple(sorted(set(violations))[:MAX_VIOLATIONS])
        """The first MAX_VIOLATIONS, sorted, each once."""
        self.envelope = envelope
        """The envelope it was recognised as, None when it was not."""


class Unauthenticated(UnmirrorError):
    """The caller did not show that it may call. Never says which part was wrong."""

    status, title, slug = 401, "Not authenticated", "unauthenticated"


class Forbidden(UnmirrorError):
    """The event is about a project or region that this function may not act in."""

    status, title, slug = 403, "Not allowed here", "forbidden"


class MethodNotAllowed(UnmirrorError):
    """An HTTP method that the function does not know."""

    status, title, slug = 405, "The method is not allowed", "method-not-allowed"


class RequestTimeout(UnmirrorError):
    """The body did not arrive within the time that a delivery may take; over a better line it may."""

    status, title, slug = 408, "The sender is too slow", "request-timeout"


class TooLarge(UnmirrorError):
    """The body is over the limit."""

    status, title, slug = 413, "The body is too large", "too-large"


class UriTooLong(UnmirrorError):
    """The path and query of a request are over the limit."""

    status, title, slug = 414, "The URL is too long", "uri-too-long"


class UnsupportedMedia(UnmirrorError):
    """The content type or content encoding is none that the function reads."""

    status, title, slug = 415, "The media type is not supported", "unsupported-media"


class NotConfigured(UnmirrorError):
    """A setting or credential is missing or wrong; sending again helps once the operator has set it."""

    status, title, slug = 502, "Not configured", "not-configured"


class ApiRefused(UnmirrorError):
    """The VPC API refuses: permission, credentials, or an operation that its region does not publish.

    Sending again helps once the operator has done what the message says.
    """

    status, title, slug = 502, "The VPC API refuses", "api-refused"


class KeyCoolingDown(ApiRefused):
    """The API has refused the access key, which is not tried again for a while; the message says what it said."""


class RemovalRejected(ApiRefused):
    """remove-sources was answered with a 4xx that is about its ids or its session, not about permission.

    The API documents neither for what, nor whether one bad id rejects them all: read the session.
    """


class CannotVerify(UnmirrorError):
    """The caller may be who it says, but the certificate that would show it cannot be had now."""

    status, title, slug = 503, "The caller cannot be verified now", "cannot-verify"


class Overloaded(UnmirrorError):
    """The project holds as many serving threads, or has as many hung calls, as it may."""

    status, title, slug = 503, "The function is overloaded", "overloaded"
    retry_after = 1.0


class StillExists(UnmirrorError):
    """An interface is said to be deleted, and the API still shows it: later it may be gone, or it was a lie."""

    status, title, slug = 503, "The interface still exists", "still-exists"


class ApiUnavailable(UnmirrorError):
    """The API could not be reached, failed, or left the outcome open."""

    status, title, slug = 503, "The VPC API is unavailable", "api-unavailable"
    transient = True


class ApiThrottled(ApiUnavailable):
    """The API's gateway is over its rate limit for us."""

    title, slug = "The VPC API throttles", "api-throttled"


class OutcomeUnknown(ApiUnavailable):
    """A change was sent and its answer was lost: it may or may not have happened. Read the session."""


class BadReply(ApiUnavailable):
    """The API's answer is not what it documents, so nothing may be concluded from it."""

    title, slug = "The VPC API's answer cannot be read", "bad-reply"


class DeadlineExceeded(ApiUnavailable):
    """The time that one delivery or one call may take is used up."""

    title, slug = "Out of time", "deadline-exceeded"


class Interrupted(DeadlineExceeded):
    """Somebody said stop before the time was used up."""

    title = "Interrupted"
    transient = False
