"""SMN's messages: which of them a topic sent, by what SMN signed and with what.

Three things make a message authentic. The topic is one that the operator named. The certificate came over TLS from
`smn.<region>.<domain>`, with the region of that topic and an allowed domain: SMN documents neither an authority nor a
name for its certificates, so the host that serves them is what is trusted, unless the operator pins fingerprints. And
the certificate's key signed the text that SMN documents.
Source: SMN user guide, "Message format" and "Verifying message signatures",
https://support.huaweicloud.com/intl/en-us/usermanual-smn/smn_ug_a9003.html and smn_ug_a9004.html.
"""

import base64
import logging
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Self

import requests
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import Certificate, load_pem_x509_certificate
from urllib3.exceptions import HTTPError

from handler import events
from handler.deadline import Clock, Deadline, Instant
from handler.errors import BadEvent, CannotVerify, DeadlineExceeded, Unauthenticated
from handler.lru import LruCache
from handler.observability import logs
from handler.settings import Settings

# Of a message: SMN tries again up to six times and does not say over how long.
MAX_AGE = timedelta(hours=1)
# As of a Standard Webhooks signature.
MAX_CLOCK_SKEW = timedelta(minutes=5)
CERTIFICATE_SECONDS = 24 * 3600.0
# That are kept: a region has one at a time.
MAX_CERTIFICATES = 16
# For one page: a message may need two, and SMN waits 5 s.
PAGE_SECONDS = 2.5
# Bytes; a certificate has 2 KiB.
MAX_PAGE = 64 * 1024
RSA_BITS = range(2048, 8193)
MIN_EC_BITS = 256
_CONFIRMATION = ("message", "message_id", "subscribe_url", "timestamp", "topic_urn", "type")
# The members that are signed, in their order; a subject only where there is one.
SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": ("message", "message_id", "subject", "timestamp", "topic_urn", "type"),
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}

_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """A message of the form that SMN documents. Not yet verified."""

    members: Mapping[str, str]
    """What is signed, in its order."""
    signature: bytes
    certificate_url: str

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Parse a body; raise Unauthenticated, which says what is wrong, for the log alone."""
        try:
            value = events.decode(body)
        except BadEvent:
            raise Unauthenticated("it is not JSON") from None
        if not isinstance(value, dict) or (names := SIGNED.get(str(value.get("type")))) is None:
            raise Unauthenticated("it is of no type whose signature SMN documents")
        members: dict[str, str] = {}
        for name in names:
            text = value.get(name)
            if name == "subject" and not text:
                continue
            # Lines are signed, names and values alike: with a line break in any other, one text has two readings.
            if not isinstance(text, str) or (name != "message" and _CONTROLS.search(text)):
                raise Unauthenticated(f"its {name} is not one line of text")
            members[name] = text
        if value.get("signature_version") != "v1":
            raise Unauthenticated("its signature is not of version v1")
        try:
            signature = base64.b64decode(value.get("signature") or "", validate=True)
        except (TypeError, ValueError):
            raise Unauthenticated("its signature is not base64") from None
        return cls(members, signature, str(value.get("signing_cert_url")))

    @property
    def region(self) -> str:
        """The region of its topic: `urn:smn:<region>:<project>:<topic>`."""
        return self.members["topic_urn"].split(":")[2]

    @property
    def text(self) -> bytes:
        """What SMN signs: the name and the value of each member, each in a line of its own."""
        return "".join(f"{name}\n{value}\n" for name, value in self.members.items()).encode()


def is_certificate_url(url: str, region: str, domains: Iterable[str]) -> bool:
    """Tell whether SMN of that region keeps its certificates there: scheme, host and path, and nothing else."""
    hosts = [f"smn.{region}.{domain}" for domain in domains]
    return _is_at(url, hosts, rf"SMN_{re.escape(region)}_[0-9A-Za-z]{{1,64}}\.pem")


def is_confirmation_url(url: str, region: str, domains: Iterable[str]) -> bool:
    """Tell whether a subscription of that region is confirmed there: by SMN itself, or by the cloud's console."""
    hosts = [f"{name}.{domain}" for domain in domains for name in (f"smn.{region}", "console", "console-intl")]
    return _is_at(url, hosts, r"[0-9A-Za-z/_-]{1,200}\?[0-9A-Za-z._~:/?@!$&'()*+,;=%-]{1,4000}")


def _is_at(url: str, hosts: Iterable[str], path: str) -> bool:
    return bool(re.fullmatch(rf"https://(?:{'|'.join(map(re.escape, hosts))})/smn/{path}", url))


def fetch(url: str, deadline: Deadline) -> bytes:
    """Return the page of an allowed URL, at most MAX_PAGE bytes; raise CannotVerify for anything but a 200 in time.

    Redirects are not followed: the URL was allowed, and where it leads was not.
    """
    try:
        deadline = deadline.sooner(PAGE_SECONDS)
        left = deadline.require("fetching a page of SMN")
        headers = {"Accept-Encoding": "identity"}
        with requests.get(url, headers=headers, timeout=left, allow_redirects=False, stream=True) as response:
            if response.status_code != 200:
                raise CannotVerify(f"the page answers with status {response.status_code}")
            page = b""
            while chunk := response.raw.read1(MAX_PAGE):
                page += chunk
                if len(page) > MAX_PAGE:
                    raise CannotVerify(f"the page is over {MAX_PAGE} bytes")
                deadline.require("reading a page of SMN")
    except (requests.RequestException, HTTPError, OSError, DeadlineExceeded) as error:
        raise CannotVerify(f"the page cannot be fetched: {type(error).__name__}") from None  # the cause quotes the URL
    return page


def check_signature(message: Message, certificate: Certificate, now: datetime, pins: Collection[str] = ()) -> None:
    """Return if the certificate's key signed the message; raise Unauthenticated if not, or for a key not to rely on.

    `pins`: SHA-256 fingerprints, in hex, of the only certificates to rely on; none for any. RSA with PKCS #1 v1.5, or
    ECDSA where the key is of that kind. The hash is that of the certificate's own signature, as SMN documents; SHA-1
    and MD5 have been forged, so neither is accepted.
    """
    if pins and certificate.fingerprint(hashes.SHA256()).hex() not in pins:
        raise Unauthenticated("its certificate is not among UNMIRROR_SMN_CERTIFICATES")
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise Unauthenticated("its certificate is not valid today")
    try:
        key, algorithm = certificate.public_key(), certificate.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        raise Unauthenticated("its certificate has a key of a kind that is not known") from None
    if not isinstance(algorithm, (hashes.SHA256, hashes.SHA384, hashes.SHA512)):
        raise Unauthenticated("its certificate is not signed with SHA-256, SHA-384 or SHA-512")
    try:
        match key:
            case rsa.RSAPublicKey() if key.key_size in RSA_BITS:
                key.verify(message.signature, message.text, padding.PKCS1v15(), algorithm)
            case ec.EllipticCurvePublicKey() if key.key_size >= MIN_EC_BITS:
                key.verify(message.signature, message.text, ec.ECDSA(algorithm))
            case _:
                raise Unauthenticated("its certificate's key is too short, too long, or neither RSA nor ECDSA")
    except InvalidSignature:
        raise Unauthenticated("its signature does not hold") from None


class SmnVerifier:
    """Verifies the messages of the topics that the settings name. Needs the extra `smn`."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings, self.clock = settings, clock
        self._certificates: LruCache[str, tuple[Certificate, Instant]] = LruCache(MAX_CERTIFICATES)

    def verify(self, body: bytes, deadline: Deadline) -> Message:
        """Return the message that the body is, of one of the topics.

        Raises Unauthenticated, for the log alone, for any other body; CannotVerify where the certificate is away.
        """
        message, now = Message.parse(body), self.clock.now()
        if message.members["topic_urn"] not in self.settings.smn_topics:
            raise Unauthenticated("its topic is not among UNMIRROR_SMN_TOPICS")
        try:
            age = now - datetime.fromisoformat(message.members["timestamp"])
        except (ValueError, TypeError):  # no time, or one without a zone
            age = timedelta.max
        if not -MAX_CLOCK_SKEW <= age <= MAX_AGE:
            raise Unauthenticated("its timestamp is too old, too early, or none")
        if not is_certificate_url(message.certificate_url, message.region, self.settings.smn_domains):
            raise Unauthenticated("its certificate is not where SMN of the topic's region keeps its own")
        certificate = self.certificate(message.certificate_url, deadline)
        check_signature(message, certificate, now, self.settings.smn_certificates)
        return message

    def certificate(self, url: str, deadline: Deadline) -> Certificate:
        """Return the certificate of an allowed URL, kept for a day; raise CannotVerify where it cannot be had."""
        kept = self._certificates.get(url)
        if kept is not None and self.clock.age(kept[1]) < CERTIFICATE_SECONDS:
            return kept[0]
        try:
            certificate = load_pem_x509_certificate(fetch(url, deadline))
        except ValueError:
            raise CannotVerify("the page is no certificate") from None
        self._certificates.put(url, (certificate, self.clock.instant()))
        return certificate

    def confirm_subscription(self, message: Message, deadline: Deadline) -> None:
        """Confirm the subscription that a verified message asks about; log that, and the end of one.

        Raises CannotVerify when the confirmation fails, so that SMN asks again.
        """
        topic_urn, kind = message.members["topic_urn"], message.members["type"]
        if kind == "UnsubscribeConfirmation":
            what = "the subscription is cancelled: no more messages of this topic; subscribe again if that is wrong"
            logs.log_event(logging.WARNING, "smn.unsubscribed", what, topic_urn=topic_urn)
        if kind != "SubscriptionConfirmation":
            return
        url, failure = message.members["subscribe_url"], "its URL is neither SMN's nor the console's"
        if is_confirmation_url(url, message.region, self.settings.smn_domains):
            try:
                fetch(url, deadline)
            except CannotVerify as error:
                failure = str(error)
            else:
                logs.log_event(logging.INFO, "smn.confirmed", "the subscription is confirmed", topic_urn=topic_urn)
                return
        what = f"a subscription was not confirmed: {failure}; confirm it in SMN's console"
        logs.log_event(logging.ERROR, "smn.not_confirmed", what, topic_urn=topic_urn)
        raise CannotVerify("the subscription is not confirmed; the log says why")
