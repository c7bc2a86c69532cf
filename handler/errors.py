"""The one error tree. Each class knows the HTTP status it becomes and whether sending again can help.

UnmirrorError
├── BadEvent              400  not JSON, no known envelope, or against its schema
├── NotAdmitted           401
├── NotAllowed            403  another project or region than the configured ones
├── MethodNotAllowed      405
├── TooSlow               408  the sender took longer than a delivery may
├── TooLarge              413
├── TooLong               414  the path and query of a request
├── UnsupportedMedia      415
├── NotConfigured         502  a setting or a credential is missing
├── ApiRefused            502  the API answered, and the answer is no
│   └── RemovalRejected   502  remove-sources as a whole; a look at the session tells why
├── CannotVerify          503  what would show who calls cannot be fetched now
├── Busy                  503  as many deliveries of this project as others leave room for are under way
├── StillExists           503  said to be deleted, and the API still shows it
└── ApiUnavailable        503  the API is away, or what it said cannot be relied on
    ├── ApiThrottled      503
    ├── OutcomeUnknown    503  a change was sent and its answer was lost
    ├── BadReply          503  not the documented status, shape or size
    └── DeadlineExceeded  503
        └── Interrupted   503  by whoever had started it

A message is one line for an operator: what is wrong and what to do. It never holds a value of the payload,
a key, a token, a signature or a header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class UnmirrorError(Exception):
    """The root: whatever unmirror raises on purpose."""

    status: ClassVar[int] = 500
    """The HTTP status that tells a sender what happened."""
    retry: ClassVar[bool] = True
    """Whether the same delivery, sent again later, can end differently; for a defect, once it is mended."""
    title: ClassVar[str] = "Internal error"
    """The RFC 9457 title: the same for every occurrence of the class."""
    slug: ClassVar[str] = "internal-error"
    """The last part of the RFC 9457 type."""


@dataclass(frozen=True, slots=True, order=True)
class Violation:
    """One rule that one place of a payload breaks, without the value that breaks it."""

    path: str
    """A JSON path: `$.cts.resource_id`."""
    rule: str
    """What the schema asks for: `required: resource_id`, `type: string`."""


class BadEvent(UnmirrorError):
    """The delivery can never be read, however often it is sent."""

    status, retry, title, slug = 400, False, "The event cannot be read", "bad-event"

    def __init__(self, message: str, violations: tuple[Violation, ...] = (), envelope: str | None = None) -> None:
        super().__init__(message)
        self.violations = violations
        """All violations at once, sorted."""
        self.envelope = envelope
        """The envelope it was recognised as, None when it was not."""


class NotAdmitted(UnmirrorError):
    """The caller did not show that it may call. Never says which part was wrong."""

    status, retry, title, slug = 401, False, "Not admitted", "not-admitted"


class NotAllowed(UnmirrorError):
    """The event is about a project or region that this function may not act in."""

    status, retry, title, slug = 403, False, "Not allowed here", "not-allowed"


class MethodNotAllowed(UnmirrorError):
    """An HTTP method that the function does not know."""

    status, retry, title, slug = 405, False, "The method is not allowed", "method-not-allowed"


class TooSlow(UnmirrorError):
    """The body did not arrive within the time that a delivery may take; over a better line it may."""

    status, retry, title, slug = 408, True, "The sender is too slow", "too-slow"


class TooLarge(UnmirrorError):
    """The body is over the limit."""

    status, retry, title, slug = 413, False, "The body is too large", "too-large"


class TooLong(UnmirrorError):
    """The path and query of a request are over the limit."""

    status, retry, title, slug = 414, False, "The URL is too long", "too-long"


class UnsupportedMedia(UnmirrorError):
    """The content type or content encoding is none that the function reads."""

    status, retry, title, slug = 415, False, "The media type is not supported", "unsupported-media"


class NotConfigured(UnmirrorError):
    """A setting or credential is missing or wrong; sending again helps once the operator has set it."""

    status, retry, title, slug = 502, True, "Not configured", "not-configured"


class ApiRefused(UnmirrorError):
    """The VPC API refuses: permission, credentials, or an operation that its region does not publish.

    Sending again helps once the operator has done what the message says.
    """

    status, retry, title, slug = 502, True, "The VPC API refuses", "api-refused"

    def __init__(self, message: str, *, code: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.code = code
        """The API's own error code, `VPC.2201` or `APIGW.0301`; empty when it gave none."""
        self.request_id = request_id
        """What the cloud's support asks for; empty when the answer had none."""


class RemovalRejected(ApiRefused):
    """remove-sources was answered with a 4xx that is about its ids or its session, not about permission.

    The API documents neither for what, nor whether one bad id rejects them all: look at the session.
    """


class CannotVerify(UnmirrorError):
    """The caller may be who it says, but the certificate that would show it cannot be had now."""

    status, retry, title, slug = 503, True, "The caller cannot be verified now", "cannot-verify"


class Busy(UnmirrorError):
    """Deliveries of one project would take the threads that others need."""

    status, retry, title, slug = 503, True, "The function is busy", "busy"
    retry_after = 1.0
    """Seconds."""


class StillExists(UnmirrorError):
    """An interface is said to be deleted, and the API still shows it: later it may be gone, or it was a lie."""

    status, retry, title, slug = 503, True, "The interface still exists", "still-exists"


class ApiUnavailable(UnmirrorError):
    """The API could not be reached, failed, or left the outcome open."""

    status, retry, title, slug = 503, True, "The VPC API is unavailable", "api-unavailable"

    def __init__(self, message: str, *, code: str = "", request_id: str = "", retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds that the API asked to wait; None when it did not say."""


class ApiThrottled(ApiUnavailable):
    """The API's gateway is over its rate limit for us."""

    title, slug = "The VPC API throttles", "api-throttled"


class OutcomeUnknown(ApiUnavailable):
    """A change was sent and its answer was lost: it may or may not have happened. Look at the session."""


class BadReply(ApiUnavailable):
    """The API's answer is not what it documents, so nothing may be concluded from it."""

    title, slug = "The VPC API's answer cannot be read", "bad-reply"


class DeadlineExceeded(ApiUnavailable):
    """The time that one delivery may take is used up."""

    title, slug = "Out of time", "deadline-exceeded"


class Interrupted(DeadlineExceeded):
    """Somebody said stop before the time was used up."""

    title = "Interrupted"
