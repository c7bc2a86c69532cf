"""Settings: read once from a mapping, every fault named at once, by its name and right form, never its value."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any
from urllib.parse import urlsplit

from handler.errors import NotConfigured

SMN_DOMAINS = ("myhuaweicloud.com", "myhuaweicloud.eu", "huaweicloud.com", "huaweicloud.eu", "otc.t-systems.com")
"""Of Huawei Cloud, its European sites and Open Telekom Cloud; where others serve SMN, `UNMIRROR_SMN_DOMAINS`."""

BATCH_BYTES, MOST_BATCH_BYTES = 256 * 1024, 1024 * 1024
"""Of a batch of CloudEvents: by default, and the most that can be set."""


@dataclass(frozen=True, slots=True)
class SweepLimit:
    """How much one sweep may detach before it stops and asks."""

    number: float
    percent: bool = False

    def allows(self, leaving: int, seen: int) -> bool:
        """Tell whether a sweep that saw `seen` sources may detach `leaving` of them; up to ten always."""
        return leaving <= max(10.0, seen * self.number / 100) if self.percent else leaving <= self.number


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided. Secrets never show in the `repr`."""

    region: str | None = None
    endpoint: str | None = None
    """The VPC API's base URL, without a trailing slash; None when neither region nor endpoint is set."""
    project_id: str | None = None
    """The project of events that name none."""
    projects: frozenset[str] = frozenset()
    """The projects that the function may act in."""
    dry_run: bool = False
    webhook_secrets: tuple[str, ...] = field(default=(), repr=False)
    bearer_tokens: tuple[str, ...] = field(default=(), repr=False)
    smn_topics: frozenset[str] = frozenset()
    smn_domains: tuple[str, ...] = SMN_DOMAINS
    """Where SMN's certificates and confirmations may be: `smn.<region>.<domain>`, and the domain's console."""
    smn_certificates: frozenset[str] = frozenset()
    """SHA-256 of the certificates that SMN may sign with, in hex; empty: of any that it serves itself."""
    access_token_query: bool = False
    """Whether a bearer token may come as `access_token` in the URL, as CloudEvents' web hooks have it."""
    webhook_origins: frozenset[str] = frozenset({"*"})
    """Who is given consent to send by the web hook handshake, by DNS name in lower case."""
    webhook_rate: str = "*"
    """Requests a minute that the handshake consents to."""
    max_batch_bytes: int = BATCH_BYTES
    """The largest body of a batch of CloudEvents."""
    trust_platform: bool = False
    """Whoever reaches the function was authenticated by the platform."""
    deadline: float = 25.0
    """Seconds that one delivery may take."""
    snapshot_max_age: float = 300.0
    """Seconds."""
    sweep_limit: SweepLimit = SweepLimit(20, percent=True)
    protect: tuple[str, ...] = ()
    """Session ids, or globs of session names, that are never touched."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings; raise NotConfigured that names every wrong variable and its right form.

        A variable with nothing in it but spaces and commas counts as absent. `RUNTIME_PROJECT_ID` is FunctionGraph's
        own name for the project that the function lives in, which need not be one that it may act in.
        """
        values: dict[str, Any] = {}
        faults = [f"{name}: no such setting; right: {meant}" for name, meant in _misspelt(environ)]
        for name, (attribute, read) in _READERS.items():
            text = environ.get(name, "").strip()
            if not text.strip(", "):
                continue
            try:
                values.setdefault(attribute, read(text))
            except ValueError as error:
                faults.append(f"{name}: {_shape(text)}; right: {error}")
        if faults:
            raise NotConfigured("wrong settings: " + "; ".join(faults))
        if "region" in values:
            values.setdefault("endpoint", f"https://vpc.{values['region']}.myhuaweicloud.com")
        home = values.pop("home", None)
        if home and home in values.get("projects", (home,)):
            values.setdefault("project_id", home)
        if "project_id" in values:
            values.setdefault("projects", frozenset({values["project_id"]}))
        elif len(values.get("projects", ())) == 1:
            values["project_id"] = next(iter(values["projects"]))
        return cls(**values)

    @property
    def missing(self) -> tuple[str, ...]:
        """What has to be set before a delivery can be acted on, in words."""
        return tuple(
            what
            for what, there in (
                ("UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT", self.endpoint),
                ("HUAWEICLOUD_SDK_PROJECT_ID or UNMIRROR_PROJECTS", self.projects),
            )
            if not there
        )


def _shape(text: str) -> str:
    """Say of what form a value is, and nothing of what it says: `9 characters, letters and digits`."""
    kinds = [kind for kind, holds in _KINDS.items() if any(map(holds, text))]
    return f"{len(text)} character{'' if len(text) == 1 else 's'}, {' and '.join(kinds)}"


_KINDS: Mapping[str, Callable[[str], bool]] = {
    "letters": str.isalpha,
    "digits": str.isdecimal,
    "spaces": str.isspace,
    "signs": lambda letter: not (letter.isalpha() or letter.isdecimal() or letter.isspace()),
}


def _matching(pattern: str, form: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(form)
        return text

    return read


_project = _matching(r"[0-9A-Za-z_-]{1,64}", "a project id, letters and digits")


def _projects(text: str) -> frozenset[str]:
    return frozenset(_project(each.strip()) for each in text.split(",") if each.strip())


def _switch(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _endpoint(text: str) -> str:
    form = "https://host[:port], or http:// on a loopback address"
    try:
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port
    except ValueError as error:
        raise ValueError(form) from error
    if (
        not (re.fullmatch(_HOST, host) or _address(host))
        or url.path not in ("", "/")
        or url.query
        or url.fragment
        or "@" in url.netloc
    ):
        raise ValueError(form)
    if url.scheme != "https" and not (url.scheme == "http" and _is_loopback(host)):
        raise ValueError(form)
    return f"{url.scheme}://{url.netloc}"


def _is_loopback(host: str) -> bool:
    address = _address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None


def _secrets(text: str) -> tuple[str, ...]:
    for secret in text.split():
        try:
            encoded = secret.removeprefix("whsec_")
            key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
        except binascii.Error as error:
            raise ValueError("whsec_ and base64, several separated by spaces") from error
        if len(key) < 16:
            raise ValueError("each secret needs at least 16 bytes, better 24 to 64")
    return tuple(text.split())


def _tokens(text: str) -> tuple[str, ...]:
    if "," in text:  # no token has one (RFC 6750, 2.1), and two would be taken for one that nobody can guess
        raise ValueError("tokens separated by spaces, with no comma")
    return tuple(text.split())


def _topics(text: str) -> frozenset[str]:
    urn = _matching(
        r"urn:smn:[0-9a-z-]{1,63}:[0-9A-Za-z_-]{1,64}:[0-9A-Za-z_-]{1,255}",
        "topic URNs (urn:smn:region:project:topic), separated by spaces or commas",
    )
    return frozenset(urn(each) for each in _words(text))


def _domains(text: str) -> tuple[str, ...]:
    domain = _matching(rf"{_LABEL}(\.{_LABEL})+", "domains (myhuaweicloud.com), separated by spaces or commas")
    return tuple(domain(each) for each in _words(text.lower()))


def _fingerprints(text: str) -> frozenset[str]:
    form = "SHA-256 fingerprints of certificates in hex, with or without colons, separated by spaces or commas"
    fingerprint = _matching(r"[0-9a-f]{64}", form)
    return frozenset(fingerprint(each.replace(":", "")) for each in _words(text.lower()))


def _origins(text: str) -> frozenset[str]:
    origin = _matching(rf"\*|{_HOST}", "DNS names of senders, separated by spaces or commas, or *")
    return frozenset(origin(each) for each in _words(text.lower()))


_LABEL = r"[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"


def _batch_bytes(text: str) -> int:
    form = f"bytes, from {BATCH_BYTES} to {MOST_BATCH_BYTES}"
    if not re.fullmatch(r"[0-9]{1,9}", text) or not BATCH_BYTES <= int(text) <= MOST_BATCH_BYTES:
        raise ValueError(form)
    return int(text)


def _trust(text: str) -> bool:
    if text != "platform":
        raise ValueError("platform, or not set at all")
    return True


def _seconds(most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        form = f"seconds, more than 0 and at most {most:g}"
        try:
            seconds = float(text)
        except ValueError as error:
            raise ValueError(form) from error
        if not 0 < seconds <= most:
            raise ValueError(form)
        return seconds

    return read


def _limit(text: str) -> SweepLimit:
    number = text.removesuffix("%").strip()
    if not re.fullmatch(r"\d{1,9}(\.\d{1,3})?", number):
        raise ValueError("a count (50) or a percentage (20%)")
    return SweepLimit(float(number), percent=text.endswith("%"))


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.replace(",", " ").split())


_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "HUAWEICLOUD_SDK_PROJECT_ID": ("project_id", _project),
    "RUNTIME_PROJECT_ID": ("home", _project),
    "UNMIRROR_REGION": ("region", _matching(r"[a-z]{2}(-[a-z0-9]+)+", "a region such as eu-west-101")),
    "UNMIRROR_VPC_ENDPOINT": ("endpoint", _endpoint),
    "UNMIRROR_PROJECTS": ("projects", _projects),
    "UNMIRROR_DRY_RUN": ("dry_run", _switch),
    "UNMIRROR_WEBHOOK_SECRETS": ("webhook_secrets", _secrets),
    "UNMIRROR_BEARER_TOKENS": ("bearer_tokens", _tokens),
    "UNMIRROR_ACCESS_TOKEN_QUERY": ("access_token_query", _switch),
    "UNMIRROR_WEBHOOK_ORIGINS": ("webhook_origins", _origins),
    "UNMIRROR_WEBHOOK_RATE": ("webhook_rate", _matching(r"\*|[1-9][0-9]{0,8}", "requests a minute, or *")),
    "UNMIRROR_MAX_BATCH_BYTES": ("max_batch_bytes", _batch_bytes),
    "UNMIRROR_SMN_TOPICS": ("smn_topics", _topics),
    "UNMIRROR_SMN_DOMAINS": ("smn_domains", _domains),
    "UNMIRROR_SMN_CERTIFICATES": ("smn_certificates", _fingerprints),
    "UNMIRROR_TRUST": ("trust_platform", _trust),
    "UNMIRROR_DEADLINE": ("deadline", _seconds(900)),
    "UNMIRROR_SNAPSHOT_MAX_AGE": ("snapshot_max_age", _seconds(86_400)),
    "UNMIRROR_SWEEP_LIMIT": ("sweep_limit", _limit),
    "UNMIRROR_PROTECT": ("protect", _words),
}

NAMES = tuple(_READERS)
"""The variables that are read."""


def _misspelt(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return the variables that are nearly one of ours, and which: what protects would be off, and nobody would know.

    Others of our prefix are somebody else's: Kubernetes tells of a service `unmirror` by `UNMIRROR_PORT` and more.
    """
    unknown = [name for name in environ if name.startswith(_PREFIX) and name not in _READERS]
    if not unknown:
        return []
    from difflib import get_close_matches  # nobody else pays for it

    known = [name.removeprefix(_PREFIX) for name in _READERS if name.startswith(_PREFIX)]
    near = {name: get_close_matches(name.removeprefix(_PREFIX), known, 1, 0.75) for name in unknown}
    return [(name, _PREFIX + meant[0]) for name, meant in near.items() if meant]


_PREFIX = "UNMIRROR_"
