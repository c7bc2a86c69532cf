"""Admission: who may call. It stands in front of all parsing but the size check, and never says what was wrong."""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING

from handler.errors import CannotVerify, NotAdmitted
from handler.observability import logs as telemetry
from handler.report import Report
from handler.settings import Settings

if TYPE_CHECKING:  # only who takes SMN's messages pays for what verifies them
    from handler.web import smn
    from handler.web.fetch import Fetch

HOW_TO_OPEN = (
    "nobody is admitted: set UNMIRROR_WEBHOOK_SECRETS, UNMIRROR_BEARER_TOKENS or UNMIRROR_SMN_TOPICS, "
    "or UNMIRROR_TRUST=platform where the platform authenticates every caller"
)
TRUSTING = (
    "whoever reaches the function is admitted, because UNMIRROR_TRUST=platform: right where the platform "
    "authenticates every caller; never on a public URL"
)

WEBHOOK_TOLERANCE = timedelta(minutes=5)
"""Of the timestamp of a Standard Webhooks signature, either way: the library's."""
SMN_SECONDS = 4.0
"""For a message of SMN's, which gives up after 5: a 503 that comes in time makes it try again."""
MOST_REMEMBERED = 10_000
"""Deliveries that were done and are remembered: about 4 MiB."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who was let in, and what its signature says of the delivery."""

    once: bytes = b""
    """Names the delivery however often it is sent; empty where nothing that is signed does."""
    window: float = 0.0
    """Seconds for which its signature can be shown again."""
    patience: float = inf
    """Seconds after which it takes the delivery for failed."""
    message: smn.Message | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """The doors that the settings open; any one of them is enough."""

    settings: Settings
    topics: smn.Topics | None = None

    @classmethod
    def of(
        cls,
        settings: Settings,
        fetch: Fetch | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
    ) -> Admission:
        """Open the doors; raise NotConfigured where what one of them needs is not installed."""
        if not settings.smn_topics:
            return cls(settings)
        from handler.web import smn

        return cls(settings, smn.Topics.of(settings, fetch, now))

    @property
    def closed(self) -> bool:
        """Whether nothing is set that could admit anybody."""
        settings = self.settings
        return not (
            settings.trust_platform or settings.webhook_secrets or settings.bearer_tokens or settings.smn_topics
        )

    def admit(
        self, headers: Mapping[str, str], body: bytes, *, in_query: Sequence[str] = (), seconds: float = inf
    ) -> Caller:
        """Return who may call; raise NotAdmitted if nobody, CannotVerify if that cannot be told in so many seconds.

        `headers` have lower-case names; `in_query` are the values of `access_token` in the URL. A message of SMN's is
        verified even where another door is open: only then may its subscription be confirmed.
        """
        stuck: CannotVerify | None = None
        if self.topics is not None and self.topics.may_be(body):
            try:
                message = self.topics.verified(body, min(SMN_SECONDS, seconds))
            except NotAdmitted as refusal:
                telemetry.say(logging.WARNING, "admission.smn_refused", f"a message was refused: {refusal}")
            except CannotVerify as error:
                stuck = error
            else:
                return Caller(_digest(b"smn", message.text), self.topics.window, SMN_SECONDS, message)
        if self.settings.webhook_secrets and "webhook-signature" in headers and self._is_signed(headers, body):
            # What is not signed, and decides how the body is read, is part of what was done: who repeats a delivery
            # with other headers has sent another one.
            read_by = [name for name in sorted(headers) if name == "content-type" or name.startswith("ce-")]
            shown = [text.encode("utf-8", "surrogateescape") for name in read_by for text in (name, headers[name])]
            id_ = headers["webhook-id"].encode("utf-8", "surrogateescape")
            return Caller(_digest(b"webhook", id_, body, *shown), 2 * WEBHOOK_TOLERANCE.total_seconds())
        if self.settings.trust_platform or self._has_token(headers.get("authorization", ""), in_query):
            return Caller()
        raise stuck or NotAdmitted("the delivery is not admitted")

    def welcome(self, caller: Caller, seconds: float) -> None:
        """Consent to a subscription that SMN asks about, and say what becomes of one; what was done is not repeated.

        Raises CannotVerify when the consent does not arrive within so many seconds, so that SMN asks again.
        """
        message = caller.message
        if message is None or self.topics is None:
            return
        if message.kind == "UnsubscribeConfirmation":
            telemetry.say(logging.WARNING, "admission.smn_unsubscribed", GONE, topic_urn=message.topic_urn)
        elif message.kind == "SubscriptionConfirmation":
            try:
                self.topics.confirm(message, seconds)
            except (CannotVerify, NotAdmitted) as error:
                what = f"a subscription was not confirmed: {error}; confirm it in SMN's console"
                telemetry.say(logging.ERROR, "admission.smn_unconfirmed", what, topic_urn=message.topic_urn)
                raise CannotVerify("the subscription is not confirmed; the log says why") from error
            telemetry.say(logging.INFO, "admission.smn_confirmed", CONFIRMED, topic_urn=message.topic_urn)

    def consents_to(self, origin: str) -> str | None:
        """Return what the web hook handshake answers to an origin, `*` or its name; None when it may not send."""
        origins = self.settings.webhook_origins
        if "*" in origins:
            return "*"
        return next((known for known in origins if known == origin.strip().lower()), None)

    def _has_token(self, authorization: str, in_query: Sequence[str]) -> bool:
        scheme, _, token = authorization.partition(" ")
        given = []
        if scheme.lower() == "bearer":
            given.append(token.strip().encode("latin-1", "replace"))  # the bytes that were sent, as WSGI has them
        if self.settings.access_token_query and len(in_query) == 1:
            given.append(in_query[0].encode("utf-8", "surrogateescape"))
        # Digests of one length: neither the time nor a non-ASCII token tells anything.
        accepted = [sha256(each.encode("utf-8", "surrogateescape")).digest() for each in self.settings.bearer_tokens]
        shown = [sha256(each).digest() for each in given]
        return any([hmac.compare_digest(one, each) for one in shown for each in accepted])  # noqa: C419 - all, always

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Verify as https://www.standardwebhooks.com asks: id, timestamp and body, five minutes' tolerance."""
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # only who takes webhooks pays for it

        for secret in self.settings.webhook_secrets:
            try:
                Webhook(secret).verify(body, dict(headers), json_parse=False)
            except (WebhookVerificationError, ValueError):  # a malformed signature or body is a bare ValueError
                continue
            return True
        return False


GONE = "the function's subscription is cancelled: no more messages of this topic; subscribe again if that is wrong"
CONFIRMED = "the function's subscription to the topic is confirmed"


class Done:
    """Deliveries that were done, for as long as their signatures can be shown again; the oldest make room.

    A delivery is known by its id and its content: a sender who gives two different ones the same id loses neither.
    What is under way, and what failed, is not here: it is worked on again, so that nothing is lost.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, most: int = MOST_REMEMBERED) -> None:
        self._clock = clock
        self._most = most
        self._known: OrderedDict[bytes, tuple[Report, float]] = OrderedDict()
        self._lock = threading.Lock()

    def before(self, caller: Caller) -> Report | None:
        """Return the report to answer a repetition with; None for what has to be worked on."""
        if not caller.once:
            return None
        with self._lock:
            report, until = self._known.get(caller.once, (None, 0.0))
        return report if self._clock() < until else None

    def add(self, caller: Caller, report: Report) -> None:
        """Remember a delivery, unless sending it again could end differently."""
        if not caller.once or report.error is not None or report.outcome == "stopped":
            return
        repeated = Report(report.delivery_id, report.envelope, "ignored", REPEATED, dry_run=report.dry_run)
        with self._lock:
            self._known[caller.once] = repeated, self._clock() + caller.window
            self._known.move_to_end(caller.once)
            while len(self._known) > self._most:
                self._known.popitem(last=False)


REPEATED = "it was done when it came before"


def _digest(*parts: bytes) -> bytes:
    return sha256(b"".join(sha256(part).digest() for part in parts)).digest()
