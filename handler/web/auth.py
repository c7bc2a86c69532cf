"""Authentication: who may call. It comes before any parsing, and never tells the caller what was wrong."""

import hmac
import logging
from collections.abc import Mapping
from hashlib import sha256
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Self

from handler.deadline import Clock, Deadline
from handler.errors import CannotVerify, NotConfigured, Unauthenticated
from handler.observability import logs
from handler.settings import Settings

if TYPE_CHECKING:  # only a function with SMN topics imports what verifies them
    from handler.web import smn

HOW_TO_OPEN = (
    "no caller is accepted: set UNMIRROR_WEBHOOK_SECRETS, UNMIRROR_BEARER_TOKENS or UNMIRROR_SMN_TOPICS, "
    "or UNMIRROR_TRUST=platform where the platform authenticates every caller"
)
TRUSTING = (
    "every caller is accepted, because UNMIRROR_TRUST=platform: right where the platform authenticates every caller; "
    "never on a public URL"
)

# For a message of SMN, which gives up after 5 s: a 503 that comes in time makes it try again.
# Source: https://support.huaweicloud.com/intl/en-us/smn_faq/smn_faq_0014.html
SMN_SECONDS = 4.0
# In every message of SMN; a cheap check before parsing.
SMN_MARK = b'"signing_cert_url"'


class Authenticator(NamedTuple):
    """The ways to authenticate that the settings have; any one of them is enough."""

    settings: Settings
    smn: "smn.SmnVerifier | None" = None

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock) -> Self:
        """Raise NotConfigured where what one of the ways needs is not installed."""
        if not settings.smn_topics:
            return cls(settings)
        try:
            from handler.web.smn import SmnVerifier
        except ImportError:
            raise NotConfigured("UNMIRROR_SMN_TOPICS needs cryptography: pip install 'unmirror[smn]'") from None
        return cls(settings, SmnVerifier(settings, clock))

    @property
    def accepts_nobody(self) -> bool:
        """Whether nothing is set by which a caller could authenticate."""
        its = self.settings
        return not (its.trust_platform or its.webhook_secrets or its.bearer_tokens or its.smn_topics)

    def seconds(self, body: bytes) -> float:
        """Return how long the sender of this body waits for an answer, as far as that is known."""
        return SMN_SECONDS if self.smn is not None and SMN_MARK in body else inf

    def authenticate(self, headers: Mapping[str, str], body: bytes, deadline: Deadline) -> bool:
        """Return whether it is SMN that signed the body, which says nothing of the headers.

        Raises Unauthenticated for who may not call, CannotVerify where the proof cannot be had in time.
        `headers` have lower-case names. A message of SMN is verified even where the caller authenticates otherwise:
        only then is the subscription confirmed that it asks about.
        """
        cannot_verify: CannotVerify | None = None
        if self.smn is not None and SMN_MARK in body:
            try:
                message = self.smn.verify(body, deadline)
            except Unauthenticated as error:
                logs.log_event(logging.WARNING, "smn.message_refused", f"a message of SMN was refused: {error}")
            except CannotVerify as error:
                cannot_verify = error
            else:
                self.smn.confirm_subscription(message, deadline)
                return True
        if self.settings.trust_platform or self._has_token(headers) or self._is_signed(headers, body):
            return False
        raise cannot_verify or Unauthenticated("the caller is not authenticated")

    def _has_token(self, headers: Mapping[str, str]) -> bool:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        # Digests have one length, and each is compared: the time it takes tells nothing. WSGI has bytes as Latin-1.
        shown = sha256(token.strip().encode("latin-1", "replace")).digest()
        accepted = [sha256(each.encode("utf-8", "surrogateescape")).digest() for each in self.settings.bearer_tokens]
        return any([hmac.compare_digest(shown, each) for each in accepted])  # noqa: C419 - all of them, always

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Verify as https://www.standardwebhooks.com asks: id, timestamp and body, with five minutes' tolerance."""
        if not self.settings.webhook_secrets or "webhook-signature" not in headers:
            return False
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # only a sender of webhooks needs it

        for secret in self.settings.webhook_secrets:
            try:
                Webhook(secret).verify(body, dict(headers), json_parse=False)
            except (WebhookVerificationError, ValueError):  # a malformed signature or body is a bare ValueError
                continue
            return True
        return False
