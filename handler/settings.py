"""Settings: read once from a mapping, every fault named at once, by its name and right form, never its value."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from ipaddress import ip_address
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from handler.errors import NotConfigured
from handler.vpc.credentials import KEY_NAMES, AccessKey

# Of Huawei Cloud, its European sites and Open Telekom Cloud; where others serve SMN, `UNMIRROR_SMN_DOMAINS`.
SMN_DOMAINS = ("myhuaweicloud.com", "myhuaweicloud.eu", "huaweicloud.com", "huaweicloud.eu", "otc.t-systems.com")

# The endpoint by region; the first row that fits decides.
#
# `eu-west-1*` is under .eu by the Terraform provider's rule (huaweicloud/provider.go); the .com host refuses its keys.
# Open Telekom Cloud: https://docs.otc.t-systems.com/regions-and-endpoints/index.html
ENDPOINTS = (
    (r"eu-west-1.*", "https://vpc.{region}.myhuaweicloud.eu", "Huawei Cloud Europe"),
    (r"eu-(de|nl)", "https://vpc.{region}.otc.t-systems.com", "Open Telekom Cloud"),
    (r"eu-ch2", "https://vpc.{region}.sc.otc.t-systems.com", "Swiss Open Telekom Cloud"),
    (r".*", "https://vpc.{region}.myhuaweicloud.com", "Huawei Cloud"),
)


class SweepLimit(NamedTuple):
    """How much one sweep may remove before it stops and asks."""

    number: float
    percent: bool = False

    def allows(self, leaving: int, seen: int) -> bool:
        """Tell whether a sweep that saw `seen` sources may remove `leaving` of them; of a percentage ten always."""
        return leaving <= max(10.0, seen * self.number / 100) if self.percent else leaving <= self.number


class Settings(NamedTuple):
    """What the operator decided. Secrets never show in the `repr`."""

    region: str | None = None
    endpoint: str = ""
    """The VPC API's base URL, without a trailing slash; empty when neither region nor endpoint is set."""
    endpoint_source: str = "not set"
    """How the endpoint was found, in words."""
    project_id: str | None = None
    """The project of events that name none."""
    projects: frozenset[str] = frozenset()
    """The projects that the function may act in."""
    dry_run: bool = False
    protect: tuple[str, ...] = ()
    """Session ids in either case, or globs of session names, that are never touched."""
    sweep_limit: SweepLimit = SweepLimit(20, percent=True)
    deadline: float = 25.0
    """Seconds that one delivery may take. Less than the 30 s after which FunctionGraph and most gateways give up."""
    snapshot_max_age: float = 300.0
    """Seconds."""
    bearer_tokens: tuple[str, ...] = ()
    webhook_secrets: tuple[str, ...] = ()
    smn_topics: frozenset[str] = frozenset()
    smn_domains: tuple[str, ...] = SMN_DOMAINS
    """Where SMN's certificates and confirmations may be: `smn.<region>.<domain>`, and the domain's console."""
    smn_certificates: frozenset[str] = frozenset()
    """SHA-256 of the certificates that SMN may sign with, in hex; empty: of any that it serves itself."""
    trust_platform: bool = False
    """Whoever reaches the function was authenticated by the platform."""

    def __repr__(self) -> str:
        shown = self._asdict()
        del shown["bearer_tokens"], shown["webhook_secrets"]
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings; raise NotConfigured that names every wrong variable and its right form.

        A variable with nothing in it but blanks and commas counts as absent. `RUNTIME_PROJECT_ID` is FunctionGraph's
        own name for the project that the function lives in, which need not be one that it may act in. The variables
        of the access key are only checked.
        """
        values: dict[str, Any] = {}
        faults = _misspelt(environ)
        for name, (attribute, read) in _READERS.items():
            text = environ.get(name, "").strip()
            if not text.strip(", "):
                continue
            try:
                values[attribute] = read(text)
            except ValueError as error:
                faults.append(f"{name}: wrong, {len(text)} characters; right: {error}")
        try:
            AccessKey.of(*map(environ.get, KEY_NAMES), names=KEY_NAMES)
        except NotConfigured as error:
            faults.append(str(error))
        project_id, home, projects = values.get("project_id"), values.pop("home", None), values.get("projects")
        if project_id and projects and project_id not in projects:
            faults.append("HUAWEICLOUD_SDK_PROJECT_ID: none of UNMIRROR_PROJECTS; right: one of them, or not set")
        if faults:
            raise NotConfigured("wrong settings: " + "; ".join(faults))
        if "endpoint" in values:
            values["endpoint_source"] = "set by UNMIRROR_VPC_ENDPOINT"
        elif region := values.get("region"):
            host, cloud = next(row[1:] for row in ENDPOINTS if re.fullmatch(row[0], region))
            values |= {"endpoint": host.format(region=region), "endpoint_source": f"of {cloud}'s region {region}"}
        if home and (projects is None or home in projects):
            values.setdefault("project_id", home)
        if "project_id" in values:
            values.setdefault("projects", frozenset({values["project_id"]}))
        elif len(values.get("projects", ())) == 1:
            values["project_id"] = next(iter(values["projects"]))
        return cls(**values)

    @property
    def missing(self) -> tuple[str, ...]:
        """What has to be set before a delivery can be acted on, in words."""
        needs = {
            "UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT": self.endpoint,
            "HUAWEICLOUD_SDK_PROJECT_ID or UNMIRROR_PROJECTS": self.projects,
        }
        return tuple(what for what, there in needs.items() if not there)


def _misspelt(environ: Mapping[str, str]) -> list[str]:
    """Return a fault for each variable that is nearly one of ours: a misspelt UNMIRROR_PROTECT would protect nothing.

    Others of our prefix are somebody else's: Kubernetes tells of a service `unmirror` by `UNMIRROR_PORT` and more.
    """
    names = [name for name in environ if "MIR" in name.upper() and name not in _READERS]
    if not names:
        return []
    from difflib import get_close_matches  # nobody else pays for it

    ours = [name for name in _READERS if name.startswith("UNMIRROR_")]
    near = {name: get_close_matches(name.upper(), ours, 1, 0.88) for name in names}
    return [f"{name}: no such setting; right: {meant[0]}" for name, meant in near.items() if meant]


# --- readers: each returns the value of a text, or raises ValueError that says in words what is right ----------------


def _matching(pattern: str, form: str) -> Callable[[str], str]:
    """Return a reader of texts that match a pattern; `form` says in words which those are."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError(form)
        return text

    return read


def _each(
    read: Callable[[str], str], separator: str = r"[\s,]+", into: Callable[[Iterable[str]], Any] = tuple
) -> Callable[[str], Any]:
    """Return a reader of several values."""
    return lambda text: into(read(each) for each in re.split(separator, text) if each)


def _seconds(most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        with suppress(ValueError):
            if re.fullmatch(r"[0-9.]+", text) and 0 < (seconds := float(text)) <= most:
                return seconds
        raise ValueError(f"seconds, more than 0 and at most {most:g}")

    return read


def _endpoint(text: str) -> str:
    with suppress(ValueError):
        url = urlsplit(text)
        host, _ = url.hostname or "", url.port  # which raises, for a wrong one
        address = ip_address(host) if re.fullmatch(r"[0-9.]+|.*:.*", host) else None
        is_host_alone = url.path in ("", "/") and not url.query and not url.fragment and "@" not in url.netloc
        is_loopback = address.is_loopback if address else host == "localhost"
        is_secure = url.scheme == "https" or (url.scheme == "http" and is_loopback)
        if text.isprintable() and is_host_alone and is_secure and (address or re.fullmatch(_HOST, host)):
            return f"{url.scheme}://{url.netloc}"
    raise ValueError("https://host[:port], or http:// on a loopback address")


def _limit(text: str) -> SweepLimit:
    number, percent = text.removesuffix("%").strip(), text.endswith("%")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,3})?", number) or (percent and float(number) > 100):
        raise ValueError("a count (50) or a percentage (20%), at most 100%")
    return SweepLimit(float(number), percent)


_LABEL = r"[0-9a-z]([0-9a-z-]{0,61}[0-9a-z])?"
_HOST = rf"{_LABEL}(\.{_LABEL})*"
_SEVERAL = "separated by blanks or commas"
_project = _matching(r"[0-9A-Za-z_-]{1,64}", "a project id, letters and digits")
_topic = _matching(
    r"urn:smn:[0-9a-z-]{1,63}:[0-9A-Za-z_-]{1,64}:[0-9A-Za-z_-]{1,255}",
    f"topic URNs (urn:smn:region:project:topic), {_SEVERAL}",
)
_domain = _matching(rf"{_LABEL}(\.{_LABEL})+", f"domains (myhuaweicloud.com), {_SEVERAL}")
_fingerprint = _matching(r"[0-9a-f]{64}", f"SHA-256 fingerprints of certificates in hex, {_SEVERAL}")
# No token has a comma (RFC 6750, 2.1): two would be taken for one that nobody can guess. Blanks separate tokens, line
# feeds do not: one that was wrapped when it was copied would be taken for two that are easier to guess.
_token = _matching(r"[!-+\--~]+", "visible ASCII characters without a comma; several separated by blanks on one line")
_secret = _matching(
    r"(whsec_)?([0-9A-Za-z+/]{4}){5,}[0-9A-Za-z+/]{2,4}={0,2}",
    "whsec_ and base64 of at least 16 bytes, better 24 to 64; several separated by blanks on one line",
)

_READERS: Mapping[str, tuple[str, Callable[[str], Any]]] = {
    "HUAWEICLOUD_SDK_PROJECT_ID": ("project_id", _project),
    "RUNTIME_PROJECT_ID": ("home", _project),
    "UNMIRROR_REGION": ("region", _matching(r"[a-z]{2}(-[a-z0-9]+)+", "a region such as eu-west-101")),
    "UNMIRROR_VPC_ENDPOINT": ("endpoint", _endpoint),
    "UNMIRROR_PROJECTS": ("projects", _each(_project, r"\s*,\s*", frozenset)),
    "UNMIRROR_DRY_RUN": ("dry_run", lambda text: _matching("[01]", "0 or 1")(text) == "1"),
    "UNMIRROR_PROTECT": ("protect", _each(str)),
    "UNMIRROR_SWEEP_LIMIT": ("sweep_limit", _limit),
    "UNMIRROR_DEADLINE": ("deadline", _seconds(900)),
    "UNMIRROR_SNAPSHOT_MAX_AGE": ("snapshot_max_age", _seconds(86_400)),
    "UNMIRROR_BEARER_TOKENS": ("bearer_tokens", _each(_token, " ")),
    "UNMIRROR_WEBHOOK_SECRETS": ("webhook_secrets", _each(_secret, " ")),
    "UNMIRROR_SMN_TOPICS": ("smn_topics", _each(_topic, into=frozenset)),
    "UNMIRROR_SMN_DOMAINS": ("smn_domains", lambda text: _each(_domain)(text.lower())),
    "UNMIRROR_SMN_CERTIFICATES": (
        "smn_certificates",
        lambda text: _each(_fingerprint, into=frozenset)(text.lower().replace(":", "")),
    ),
    "UNMIRROR_TRUST": ("trust_platform", lambda text: bool(_matching("platform", "platform, or not set")(text))),
}

# The variables that are read.
NAMES = tuple(_READERS)
