"""Admission: who may call. It stands in front of all parsing but the size check, and never says what was wrong."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256

from handler.errors import NotAdmitted
from handler.settings import Settings

HOW_TO_OPEN = (
    "nobody is admitted: set UNMIRROR_WEBHOOK_SECRETS or UNMIRROR_BEARER_TOKENS, "
    "or UNMIRROR_TRUST=platform where the platform authenticates every caller"
)


@dataclass(frozen=True, slots=True)
class Admission:
    """The doors that the settings open; any one of them is enough."""

    settings: Settings

    @property
    def closed(self) -> bool:
        """Whether nothing is set that could admit anybody."""
        settings = self.settings
        return not (settings.trust_platform or settings.webhook_secrets or settings.bearer_tokens)

    def admit(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if the caller may call, raise NotAdmitted if not. `headers` have lower-case names."""
        if not (
            self.settings.trust_platform
            or self._has_token(headers.get("authorization", ""))
            or self._is_signed(headers, body)
        ):
            raise NotAdmitted("the delivery is not admitted")

    def _has_token(self, authorization: str) -> bool:
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() != "bearer":
            return False
        # Digests of one length: neither the time nor a non-ASCII token tells anything.
        given = sha256(
            token.strip().encode("latin-1", "replace")
        ).digest()  # the bytes that were sent, as WSGI has them
        accepted = [sha256(each.encode("utf-8", "surrogateescape")).digest() for each in self.settings.bearer_tokens]
        return any([hmac.compare_digest(given, each) for each in accepted])  # noqa: C419 - all of them, every time

    def _is_signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Verify as https://www.standardwebhooks.com asks: id, timestamp and body, five minutes' tolerance."""
        if not self.settings.webhook_secrets or "webhook-signature" not in headers:
            return False
        from standardwebhooks.webhooks import Webhook, WebhookVerificationError  # only who takes webhooks pays for it

        for secret in self.settings.webhook_secrets:
            try:
                Webhook(secret).verify(body, dict(headers), json_parse=False)
            except (WebhookVerificationError, ValueError):  # a malformed signature or body is a bare ValueError
                continue
            return True
        return False
