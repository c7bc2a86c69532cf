"""SMN's messages: which are the topic's own, by what SMN signed and with what.

Who may say so is settled in three steps. The topic is one that the operator named. The certificate came by TLS, which
leads to a public authority, from `smn.<region>.<domain>` with the region of that topic and a domain of the list: SMN
documents no more of it, neither an authority nor a name, so the host that serves it is what is trusted. An operator
who wants more pins its fingerprint. And the certificate's key signed the text that SMN documents.
Source: SMN user guide, "Message format" and "Verifying message signatures",
https://support.huaweicloud.com/intl/en-us/usermanual-smn/smn_ug_a9003.html and smn_ug_a9004.html.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from importlib.util import find_spec
from math import inf
from typing import TYPE_CHECKING

from handler import events
from handler.errors import BadEvent, CannotVerify, NotAdmitted, NotConfigured
from handler.events.fields import time as moment
from handler.settings import Settings
from handler.web.fetch import Fetch, within

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

OLDEST = timedelta(hours=1)
"""Of a message's timestamp: SMN tries again up to six times and does not say over how long."""
EARLIEST = timedelta(minutes=5)
"""How far our clocks may be apart."""

CERTIFICATE_SECONDS = 24 * 3600.0
FAILURE_SECONDS = 60.0
MOST_CERTIFICATES = 16
MOST_FAILURES = 8
"""Of pages that are under way or failed within `FAILURE_SECONDS`: then no new one is begun, whoever forges messages."""

RSA_BITS = range(2048, 8193)
EC_BITS = 256
MARK = b'"signing_cert_url"'
"""What a body without cannot be one of SMN's."""

_CONFIRMATION = ("message", "message_id", "subscribe_url", "timestamp", "topic_urn", "type")
SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("message", "message_id", "subject", "timestamp", "topic_urn", "type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
"""The members that are signed, in their order; a subject only where there is one."""

_CONSOLES = ("console", "console-intl")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was posted: text, and of the form that SMN documents. Not yet verified."""

    members: Mapping[str, str] = field(repr=False)
    """What is signed, in its order."""
    signature: bytes = field(repr=False)
    certificate_url: str = field(repr=False)

    @classmethod
    def read(cls, value: object) -> Message:
        """Read what a body holds; raise NotAdmitted, which says what is wrong, for the log alone."""
        if not isinstance(value, dict):
            raise NotAdmitted("no message of SMN's")
        kind = value.get("type")
        if not isinstance(kind, str) or kind not in SIGNED:
            raise NotAdmitted("no message of a type whose signature SMN documents")
        members: dict[str, str] = {}
        for name in SIGNED[kind]:
            text = value.get(name)
            if name == "subject" and not text:
                continue
            # Lines are signed, names and values alike: with a line break in any other, one text has two readings.
            if not isinstance(text, str) or (name != "message" and _CONTROLS.search(text)):
                raise NotAdmitted(f"its {name} is not one line of text")
            members[name] = text
        if value.get("signature_version") != "v1":
            raise NotAdmitted("its signature is not of version v1")
        try:
            signature = base64.b64decode(value.get("signature") or "", validate=True)
        except (TypeError, ValueError):
            raise NotAdmitted("its signature is not base64") from None
        return cls(members, signature, str(value.get("signing_cert_url")))

    @property
    def kind(self) -> str:
        """One of the names of `SIGNED`."""
        return self.members["type"]

    @property
    def topic_urn(self) -> str:
        """The topic that it says it is from."""
        return self.members["topic_urn"]

    @property
    def region(self) -> str:
        """The region of that topic: `urn:smn:<region>:<project>:<topic>`."""
        return self.topic_urn.split(":")[2]

    @property
    def text(self) -> bytes:
        """What SMN signs: the name and the value of each member, each in a line of its own."""
        return "".join(f"{name}\n{value}\n" for name, value in self.members.items()).encode()


def is_certificate_url(url: str, region: str, domains: tuple[str, ...]) -> bool:
    """Tell whether SMN of that region keeps its certificates there: scheme, host and path, and nothing else."""
    host = _any_of(f"smn.{region}.{domain}" for domain in domains)
    return bool(re.fullmatch(rf"https://{host}/smn/SMN_{re.escape(region)}_[0-9A-Za-z]{{1,64}}\.pem", url))


def is_confirmation_url(url: str, region: str, domains: tuple[str, ...]) -> bool:
    """Tell whether a subscription of that region is confirmed there: by SMN itself, or by the cloud's console."""
    names = (f"smn.{region}", *_CONSOLES)
    host = _any_of(f"{name}.{domain}" for domain in domains for name in names)
    query = r"[0-9A-Za-z._~:/?@!$&'()*+,;=%-]{1,4000}"
    return bool(re.fullmatch(rf"https://{host}/smn/[0-9A-Za-z/_-]{{1,200}}\?{query}", url))


def _any_of(hosts: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(re.escape, hosts))})"


class Certificates:
    """Certificates by URL: each fetched once for all who wait for it, kept for a day, and a failure for a minute."""

    def __init__(self, fetch: Fetch, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetch = fetch
        self._clock = clock
        self._begun: dict[str, tuple[Future[Certificate], float]] = {}
        self._lock = threading.Lock()

    def at(self, url: str, seconds: float) -> Certificate:
        """Return the certificate; raise CannotVerify where there is none to be had within so many seconds."""
        return within(self._page(url), seconds)

    def _page(self, url: str) -> Future[Certificate]:
        now = self._clock()
        with self._lock:
            page, begun = self._begun.get(url, (None, now))
            if page is not None and now < begun + _kept_for(page):
                return page
            if page is None or not _is_good(page):  # one that was good is fetched again, whatever else fails
                self._forget(now)
            self._begun[url] = (page := self._fetch.begin(url, _certificate), now)
            return page

    def _forget(self, now: float) -> None:
        """Make room for one; raise CannotVerify where too much has failed of late to try yet another."""
        kept = self._begun.items()  # what was good once stays: it is fetched again, whatever else fails
        self._begun = {url: (page, at) for url, (page, at) in kept if _is_good(page) or now < at + _kept_for(page)}
        if sum(not _is_good(page) for page, _ in self._begun.values()) >= MOST_FAILURES:
            raise CannotVerify("too many certificates could not be had of late")
        while len(self._begun) >= MOST_CERTIFICATES:
            del self._begun[next(iter(self._begun))]


def _certificate(page: bytes) -> Certificate:
    from cryptography import x509

    try:
        return x509.load_pem_x509_certificate(page)
    except ValueError:
        raise CannotVerify("the page is not a certificate") from None


def _is_good(page: Future[Certificate]) -> bool:
    return page.done() and page.exception() is None


def _kept_for(page: Future[Certificate]) -> float:
    if not page.done():
        return inf
    return CERTIFICATE_SECONDS if _is_good(page) else FAILURE_SECONDS


def check_signature(message: Message, certificate: Certificate, now: datetime) -> None:
    """Return if the certificate's key signed the message; raise NotAdmitted if not, or if it is no key to rely on.

    RSA with PKCS #1 v1.5, or ECDSA where the key is of that kind. The hash is that of the certificate's own
    signature, as SMN documents; SHA-1 and MD5 have been forged, so that neither is taken.
    """
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise NotAdmitted("its certificate is not valid today")
    try:
        key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        raise NotAdmitted("its certificate has a key of a kind that is not known") from None
    if not isinstance(algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512)):
        raise NotAdmitted("its certificate is not signed with SHA-256, SHA-384 or SHA-512")
    try:
        match key:
            case rsa.RSAPublicKey() if key.key_size in RSA_BITS:
                key.verify(message.signature, message.text, padding.PKCS1v15(), algorithm)
            case ec.EllipticCurvePublicKey() if key.key_size >= EC_BITS:
                key.verify(message.signature, message.text, ec.ECDSA(algorithm))
            case _:
                raise NotAdmitted("its certificate's key is too short, too long, or neither RSA nor ECDSA")
    except InvalidSignature:
        raise NotAdmitted("its signature does not hold") from None


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics whose messages are let in."""

    settings: Settings
    certificates: Certificates
    fetch: Fetch
    now: Callable[[], datetime]

    @classmethod
    def of(cls, settings: Settings, fetch: Fetch | None, now: Callable[[], datetime]) -> Topics:
        """Return the topics that are set; raise NotConfigured where what verifies messages is not installed."""
        if find_spec("cryptography") is None:
            raise NotConfigured("UNMIRROR_SMN_TOPICS needs cryptography: pip install 'unmirror[smn]'")
        fetch = fetch or Fetch()
        return cls(settings, Certificates(fetch), fetch, now)

    @property
    def window(self) -> float:
        """Seconds for which a message can be shown again."""
        return (OLDEST + EARLIEST).total_seconds()

    def may_be(self, body: bytes) -> bool:
        """Tell whether a body could be a message of SMN's at all."""
        return MARK in body

    def verified(self, body: bytes, seconds: float) -> Message:
        """Return the message of one of the topics that the body is.

        Raises NotAdmitted when it is none or not SMN's, with what is wrong for the log alone; CannotVerify when that
        cannot be told within so many seconds.
        """
        try:
            value = events.decode(body)
        except BadEvent:
            raise NotAdmitted("no message of SMN's") from None
        message = Message.read(value)
        if message.topic_urn not in self.settings.smn_topics:
            raise NotAdmitted("its topic is not among UNMIRROR_SMN_TOPICS")
        now, sent = self.now(), moment(message.members["timestamp"])
        if sent is None or not now - OLDEST <= sent <= now + EARLIEST:
            raise NotAdmitted("its timestamp is too old, too early, or none")
        if not is_certificate_url(message.certificate_url, message.region, self.settings.smn_domains):
            raise NotAdmitted("its certificate is not where SMN of the topic's region keeps its own")
        certificate = self.certificates.at(message.certificate_url, seconds)
        if pins := self.settings.smn_certificates:
            from cryptography.hazmat.primitives.hashes import SHA256

            if certificate.fingerprint(SHA256()).hex() not in pins:
                raise NotAdmitted("its certificate is not among UNMIRROR_SMN_CERTIFICATES")
        check_signature(message, certificate, now)
        return message

    def confirm(self, message: Message, seconds: float) -> None:
        """Consent to the subscription; raise CannotVerify where that fails, NotAdmitted where it leads elsewhere."""
        url = message.members["subscribe_url"]
        if not is_confirmation_url(url, message.region, self.settings.smn_domains):
            raise NotAdmitted("the subscription is not to be confirmed at SMN or at the cloud's console")
        within(self.fetch.begin(url, bytes), seconds)
