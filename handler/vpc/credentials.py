"""Where the access key comes from: the chain, and the renewal of temporary keys.

Sources: the official SDK's providers (huaweicloudsdkcore, `auth/provider.py`, `auth/internal.py`); FunctionGraph
developer guide, "context"; ECS user guide, "metadata". Their order here: what the platform gave with the delivery,
the environment, the profile file, CCE pod identity, the ECS metadata service.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from handler.errors import DeadlineExceeded, NotConfigured
from handler.model import Deadline

if TYPE_CHECKING:
    from configparser import ConfigParser

NAMES = (
    "HUAWEICLOUD_SDK_AK",
    "HUAWEICLOUD_SDK_SK",
    "HUAWEICLOUD_SDK_SECURITY_TOKEN",
    "HUAWEICLOUD_SDK_CREDENTIALS_FILE",
    "HC_CONTAINER_CREDENTIALS_FULL_URI",
    "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE",
)
"""The variables that are read."""

RENEW_BEFORE = timedelta(minutes=5)
"""Before a temporary key expires, one thread asks for the next; the others go on with the one they have."""

REMEMBER_NONE = timedelta(minutes=1)
"""For so long a chain that found nothing, or a renewal that failed, is not tried again."""

METADATA = "http://169.254.169.254"
PROBE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class AccessKey:
    """An access key, permanent or temporary. Shows nothing secret."""

    ak: str = field(repr=False)
    sk: str = field(repr=False)
    security_token: str = field(default="", repr=False)
    expires_at: datetime | None = None

    @classmethod
    def of(cls, ak: str | None, sk: str | None, security_token: str | None = None) -> AccessKey | None:
        """Return the key, None where a part is missing: FunctionGraph says so with None, "" or the text "null"."""
        ak, sk, token = (_present(each) for each in (ak, sk, security_token))
        return cls(ak, sk, token) if ak and sk else None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> AccessKey | None:
        """Return the key that FunctionGraph puts into a request to an image; names in lower case."""
        return cls.of(
            headers.get("x-cff-security-access-key"),
            headers.get("x-cff-security-secret-key"),
            headers.get("x-cff-security-token"),
        )


def _present(text: str | None) -> str:
    text = (text or "").strip()
    return "" if text == "null" else text


class NoKeyHere(Exception):
    """This source has no key; the message says why, without a value."""


class Http(Protocol):
    """One small request to a metadata service; not to the VPC API."""

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> tuple[int, bytes]:
        """Return status and body; raise NoKeyHere when there was no answer."""


@dataclass(frozen=True, slots=True)
class Source:
    """One place where a key may be."""

    name: str
    read: Callable[[float], AccessKey]
    """Given the seconds it may take; raises NoKeyHere."""


class Credentials:
    """The chain: the first source that has a key, renewed in time, shared by all threads."""

    def __init__(self, sources: Iterable[Source], now: Callable[[], datetime]) -> None:
        self._sources = tuple(sources)
        self._now = now
        self._lock = threading.Lock()
        self._key: AccessKey | None = None
        self._none: NotConfigured | None = None
        self._not_before = datetime.min.replace(tzinfo=timezone.utc)

    @classmethod
    def from_env(
        cls,
        environ: Mapping[str, str],
        *,
        now: Callable[[], datetime] | None = None,
        http: Http | None = None,
        home: Path | None = None,
    ) -> Credentials:
        """Return the chain for an environment; reads nothing yet."""
        ask = http or ask_link_local
        return cls(
            (
                Source("the variables HUAWEICLOUD_SDK_AK and HUAWEICLOUD_SDK_SK", lambda _: _from_variables(environ)),
                Source("the profile file", lambda _: _from_profile(environ, home or Path.home())),
                Source("CCE pod identity", lambda seconds: _from_pod_identity(environ, ask, seconds)),
                Source("the ECS metadata service", lambda seconds: _from_metadata(ask, seconds)),
            ),
            now or (lambda: datetime.now(timezone.utc)),
        )

    def current(self, deadline: Deadline) -> AccessKey:
        """Return a valid key; raise NotConfigured that lists what was tried."""
        key = self._key
        if key is not None and self._lasts(key, RENEW_BEFORE):
            return key
        if key is not None and self._lasts(key, timedelta(0)):
            if not self._lock.acquire(blocking=False):  # another thread renews it; this one is still valid
                return key
        else:
            self._take_turn(deadline)
        try:
            return self._renewed(deadline)
        finally:
            self._lock.release()

    def reread(self, refused: AccessKey, deadline: Deadline) -> AccessKey | None:
        """Return a key other than the one that the API refused, None if the sources have no other."""
        self._take_turn(deadline)
        try:
            if self._key == refused:
                self._key, self._none, self._not_before = None, None, self._now()
            key = self._renewed(deadline)
        except NotConfigured:
            return None
        finally:
            self._lock.release()
        return None if (key.ak, key.sk, key.security_token) == (refused.ak, refused.sk, refused.security_token) else key

    def _take_turn(self, deadline: Deadline) -> None:
        if not self._lock.acquire(timeout=deadline.require("reading the credentials")):
            raise DeadlineExceeded("no time left while another delivery reads the credentials")

    def _lasts(self, key: AccessKey, span: timedelta) -> bool:
        return key.expires_at is None or key.expires_at - self._now() > span

    def _renewed(self, deadline: Deadline) -> AccessKey:
        key = self._key
        valid = key is not None and self._lasts(key, timedelta(0))
        if key is not None and (self._lasts(key, RENEW_BEFORE) or (valid and self._now() < self._not_before)):
            return key  # another thread has renewed it meanwhile, or could not just now
        if self._none is not None and self._now() < self._not_before:
            raise self._none
        tried = []
        for source in self._sources:
            try:
                self._key, self._none = source.read(deadline.require("reading the credentials")), None
            except NoKeyHere as error:
                tried.append(f"{source.name}: {error}")
            else:
                return self._key
        self._not_before = self._now() + REMEMBER_NONE
        if key is not None and valid:
            return key
        self._none = NotConfigured("no credentials; tried " + "; ".join(tried))
        raise self._none


def _from_variables(environ: Mapping[str, str]) -> AccessKey:
    key = AccessKey.of(
        environ.get("HUAWEICLOUD_SDK_AK"),
        environ.get("HUAWEICLOUD_SDK_SK"),
        environ.get("HUAWEICLOUD_SDK_SECURITY_TOKEN"),
    )
    if key is None:
        raise NoKeyHere("not set")
    return key


def _from_profile(environ: Mapping[str, str], home: Path) -> AccessKey:
    profile = profiles(environ, home)
    basic = profile["basic"] if profile.has_section("basic") else {}
    key = AccessKey.of(basic.get("ak"), basic.get("sk"), basic.get("security_token"))
    if key is None:
        raise NoKeyHere("it has no ak and sk in its section [basic]")
    return key


def profiles(environ: Mapping[str, str], home: Path) -> ConfigParser:
    """Return the profile file: a section each. Raises NoKeyHere where there is none, or it cannot be read."""
    import configparser  # most functions have their keys from elsewhere

    named = environ.get("HUAWEICLOUD_SDK_CREDENTIALS_FILE")
    profile = configparser.ConfigParser(interpolation=None)
    try:
        found = profile.read(Path(named) if named else home / ".huaweicloud" / "credentials", encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError, OSError):  # what they say quotes the file
        raise NoKeyHere("it cannot be read") from None
    if not found:
        raise NoKeyHere("there is none")
    return profile


def _from_pod_identity(environ: Mapping[str, str], ask: Http, seconds: float) -> AccessKey:
    url, file = (environ.get(f"HC_CONTAINER_{name}") for name in ("CREDENTIALS_FULL_URI", "AUTHORIZATION_TOKEN_FILE"))
    if not url or not file:
        raise NoKeyHere("not set")
    try:
        token = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise NoKeyHere("its token file cannot be read") from error
    headers = {"Authorization": token, "Content-Type": "application/json"}
    return _temporary(*ask("POST", url, headers, b"{}", min(seconds, PROBE_SECONDS)))


def _from_metadata(ask: Http, seconds: float) -> AccessKey:
    """Ask with a token where the service gives one (404, 405 and 503 say that it does not), else without."""
    seconds = min(seconds / 2, PROBE_SECONDS)
    ttl = {"X-Metadata-Token-Ttl-Seconds": "21600"}
    status, token = ask("PUT", f"{METADATA}/meta-data/latest/api/token", ttl, None, seconds)
    if status not in (200, 404, 405, 503):
        raise NoKeyHere(f"its token service answered {status}")
    headers = {"X-Metadata-Token": token.decode("latin-1").strip()} if status == 200 else {}
    return _temporary(*ask("GET", f"{METADATA}/openstack/latest/securitykey", headers, None, seconds))


def _temporary(status: int, body: bytes) -> AccessKey:
    import json

    if status != 200:
        raise NoKeyHere(f"it answered {status}: is an agency configured?")
    try:
        credential = json.loads(body)["credential"]
        expires_at = datetime.strptime(credential["expires_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc)
        ak, sk, token = (credential[name] for name in ("access", "secret", "securitytoken"))
    except (ValueError, KeyError, TypeError):  # what they say quotes the answer
        raise NoKeyHere("its answer cannot be read") from None
    if not all(each and isinstance(each, str) for each in (ak, sk, token)):
        raise NoKeyHere("its answer cannot be read")
    return AccessKey(ak, sk, token, expires_at)


def ask_link_local(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
) -> tuple[int, bytes]:
    """Ask a link-local service: never through a proxy, never redirected, never retried."""
    import requests
    import urllib3

    with requests.Session() as session:
        session.trust_env = False
        try:
            with session.request(
                method, url, headers=dict(headers), data=body, timeout=timeout, allow_redirects=False, stream=True
            ) as response:
                return response.status_code, response.raw.read(65_536, decode_content=True)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            raise NoKeyHere("no answer") from error
