"""Where the access key comes from: the chain of providers, and the refresh of temporary keys.

Sources: the official SDK's providers (huaweicloudsdkcore, `auth/provider.py`, `auth/internal.py`); FunctionGraph
developer guide, "context"; ECS user guide, "metadata"; CCE API reference, "AssumeAgencyForPodIdentity". The order here:
what the platform gave with the delivery, the environment, the profile file, CCE pod identity, the ECS metadata service.
"""

import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Self, TypeAlias

from handler.deadline import Clock, Deadline, Instant
from handler.errors import DeadlineExceeded, NotConfigured

KEY_NAMES = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")
_PROFILE_NAME = "HUAWEICLOUD_SDK_CREDENTIALS_FILE"
_POD_NAMES = ("HC_CONTAINER_CREDENTIALS_FULL_URI", "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE")
# The variables that are read.
NAMES = (*KEY_NAMES, _PROFILE_NAME, *_POD_NAMES)
_PARTS = ("the access key", "the secret key", "the security token")
_HEADERS = ("x-cff-security-access-key", "x-cff-security-secret-key", "x-cff-security-token")
# Of a section of the profile file, in the order of KEY_NAMES.
PROFILE_MEMBERS = ("ak", "sk", "security_token")
# Of a link-local service: the member that holds the key, and the key's own. The SDK takes either from both.
_ANSWERS = (
    ("credential", "access", "secret", "securitytoken", "expires_at"),  # ECS metadata
    ("credentials", "accessKeyId", "secretAccessKey", "securityToken", "expiration"),  # CCE pod identity
)

# So long before a key expires the next is asked for. It is there 10 minutes before (OTC).
ADVISORY_REFRESH = timedelta(minutes=5)
# Seconds for which providers that had nothing new are not asked again.
NEGATIVE_TTL = 60.0
# The ECS metadata service, and the time that one request to a link-local service may take: the official SDK's.
METADATA, PROBE_SECONDS = "http://169.254.169.254", 3.0
_NOT_HEADER_SAFE = "has a line feed, a blank or another character that no HTTP header can carry; copy it anew"


class AccessKey:
    """An access key, permanent or temporary. Equal to another if the API cannot tell them apart; shows no secret."""

    __slots__ = ("expires_at", "id", "secret", "security_token")

    def __init__(self, id_: str, secret: str, security_token: str = "", expires_at: datetime | None = None) -> None:
        self.id, self.secret, self.security_token, self.expires_at = id_, secret, security_token, expires_at

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccessKey) and self._parts() == other._parts()

    def __hash__(self) -> int:
        return hash(self._parts())

    def __repr__(self) -> str:
        return f"AccessKey(expires_at={self.expires_at})"

    def _parts(self) -> tuple[str, str, str]:
        return self.id, self.secret, self.security_token

    @classmethod
    def of(cls, *given: str | None, expires_at: datetime | None = None, names: Sequence[str] = _PARTS) -> Self | None:
        """Return the key of an id, a secret and perhaps a token, each absent as None, "" or "null"; None without all.

        Raises NotConfigured, with the `names` and no value, for half a key and for what no header can carry.
        """
        stripped = {name: (part or "").strip() for name, part in zip(names, given, strict=False)}
        parts = {name: part for name, part in stripped.items() if part not in ("", "null")}
        faults = [f"{name}: missing beside {' and '.join(parts)}" for name in names[:2] if parts and name not in parts]
        faults += [f"{name}: {_NOT_HEADER_SAFE}" for name, part in parts.items() if not _is_header_safe(part)]
        if faults:
            raise NotConfigured("; ".join(faults))
        id_, secret, token = (parts.get(name, "") for name in names)
        return cls(id_, secret, token, expires_at) if parts else None

    @classmethod
    def from_headers(cls, headers: Mapping[str, str]) -> Self | None:
        """Return the key that FunctionGraph puts into a request to an image; names in lower case. See `of`."""
        return cls.of(*map(headers.get, _HEADERS))


def _is_header_safe(text: str) -> bool:
    """Tell whether there are only visible ASCII characters (RFC 9110, 5.5)."""
    return re.fullmatch(r"[!-~]+", text) is not None


class CredentialsNotFound(Exception):
    """This provider has no key; the message says why, without a value."""


# One place where a key may be: given the seconds that it may take it returns the key or raises CredentialsNotFound.
CredentialProvider: TypeAlias = Callable[[float], AccessKey]
# A request to a link-local service (method, URL, headers, body, seconds) -> (status, body), or CredentialsNotFound.
Http: TypeAlias = Callable[[str, str, Mapping[str, str], bytes | None, float], tuple[int, bytes]]


class CredentialChain:
    """The first provider that has a key decides. The key is refreshed in time and shared by all threads."""

    def __init__(self, providers: Mapping[str, CredentialProvider], clock: Clock) -> None:
        """Take the providers by their names, in words, in the order in which they are asked."""
        self._providers, self._clock = providers, clock
        self._lock = threading.Lock()
        self._key: AccessKey | None = None
        self.source = ""
        """Which provider the key came from, in words; empty before one was found."""
        self._failure = ""
        self._nothing_new: Instant | None = None
        """When the providers last had no other key than the one we have."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, clock: Clock, http: Http | None = None) -> Self:
        """Return the chain for an environment; reads nothing yet."""
        http = http or ask_link_local
        profile = profile_file(environ)
        providers: dict[str, CredentialProvider] = {
            f"the variables {KEY_NAMES[0]} and {KEY_NAMES[1]}": partial(_from_variables, environ),
            f"the profile file {profile}": partial(_from_profile, profile),
            "CCE pod identity": partial(_from_pod_identity, environ, http),
            "the ECS metadata service": partial(_from_metadata, http),
        }
        return cls(providers, clock)

    def current(self, deadline: Deadline) -> AccessKey:
        """Return a valid key, or an expired one that its provider still hands out, since clocks differ.

        Raises NotConfigured that lists what was tried.
        """
        key = self._key
        is_being_refreshed = self._lock.locked()  # then the others go on with the one there is
        if key and self._lasts(key, timedelta(0) if is_being_refreshed else ADVISORY_REFRESH):
            return key
        return self._other_than(None, deadline)

    def refresh(self, refused: AccessKey, deadline: Deadline) -> AccessKey | None:
        """Return a key other than the one that the API refused, None if the providers have no other; see `current`."""
        key = self._other_than(refused, deadline)
        return None if key == refused else key

    def _lasts(self, key: AccessKey, span: timedelta = timedelta(0)) -> bool:
        return key.expires_at is None or key.expires_at - self._clock.now() > span

    def _other_than(self, refused: AccessKey | None, deadline: Deadline) -> AccessKey:
        """Ask the providers, unless another thread has done so meanwhile, or they had nothing new a moment ago."""
        if not self._lock.acquire(timeout=deadline.require("reading the credentials")):
            raise DeadlineExceeded("no time left while another delivery reads the credentials")
        try:
            if self._key and self._key != refused and self._lasts(self._key, ADVISORY_REFRESH):
                return self._key
            if self._nothing_new is None or self._clock.age(self._nothing_new) >= NEGATIVE_TTL:
                self._ask(deadline)
            if self._key is None or (self._failure and not self._lasts(self._key)):
                raise NotConfigured(self._failure)
            return self._key
        finally:
            self._lock.release()

    def _ask(self, deadline: Deadline) -> None:
        tried = []
        for name, read in self._providers.items():
            try:
                key = read(deadline.require("reading the credentials"))
            except CredentialsNotFound as error:
                tried.append(f"{name}: {error}")
                continue
            except NotConfigured as error:  # half a key: another provider's would be another identity
                raise NotConfigured(f"{name}: {error}") from error
            self._nothing_new = self._clock.instant() if key == self._key else None
            self._key, self.source, self._failure = key, name, ""
            self._providers = {name: read}  # one that fails for once must not make us another identity
            return
        self._nothing_new = self._clock.instant()
        self._failure = "no credentials; tried " + "; ".join(tried)


def _found(key: AccessKey | None, why_not: str) -> AccessKey:
    if key is None:
        raise CredentialsNotFound(why_not)
    return key


def _from_variables(environ: Mapping[str, str], _: float) -> AccessKey:
    return _found(AccessKey.of(*map(environ.get, KEY_NAMES)), "not set")


def profile_file(environ: Mapping[str, str]) -> Path:
    """Return where the official SDK's profile file is."""
    home = environ.get("HOME") or environ.get("USERPROFILE") or "/"
    return Path(environ.get(_PROFILE_NAME) or Path(home, ".huaweicloud", "credentials"))


def profiles(file: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the sections of a profile file. Raises CredentialsNotFound where there is none that can be read."""
    import configparser  # most functions have their keys from elsewhere

    profile = configparser.ConfigParser(interpolation=None)
    try:
        profile.read_string(file.read_text("utf-8"))
    except FileNotFoundError:
        raise CredentialsNotFound("there is none") from None
    except (configparser.Error, UnicodeDecodeError, OSError):  # what they say quotes the file
        raise CredentialsNotFound("it cannot be read") from None
    return {name: profile[name] for name in profile.sections()}


def _from_profile(file: Path, _: float) -> AccessKey:
    basic = profiles(file).get("basic", {})
    return _found(AccessKey.of(*map(basic.get, PROFILE_MEMBERS)), "it has no ak and sk in its section [basic]")


def _from_pod_identity(environ: Mapping[str, str], http: Http, seconds: float) -> AccessKey:
    url, file = map(environ.get, _POD_NAMES)
    if not url or not file:
        raise CredentialsNotFound("not set")
    try:
        token = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsNotFound("its token file cannot be read") from error
    if not _is_header_safe(token):
        raise CredentialsNotFound(f"its token file {_NOT_HEADER_SAFE}")
    headers = {"Authorization": token, "Content-Type": "application/json"}
    return _temporary(*http("POST", url, headers, b"{}", min(seconds, PROBE_SECONDS)))


def _from_metadata(http: Http, seconds: float) -> AccessKey:
    """Ask with a token where the service gives one, else without."""
    seconds = min(seconds / 2, PROBE_SECONDS)
    ttl = {"X-Metadata-Token-Ttl-Seconds": "21600"}
    status, token = http("PUT", f"{METADATA}/meta-data/latest/api/token", ttl, None, seconds)
    headers = {"X-Metadata-Token": token.decode("latin-1").strip()} if status == 200 else {}
    url = f"{METADATA}/openstack/latest/securitykey"
    return _temporary(*http("GET", url, headers, None, seconds))


def _temporary(status: int, body: bytes) -> AccessKey:
    if status != 200:
        raise CredentialsNotFound(f"it answered {status}: is an agency configured?")
    try:
        answer = json.loads(body)
        holder, *parts, expiry = next(row for row in _ANSWERS if row[0] in answer)
        expires_at = datetime.fromisoformat(answer[holder][expiry])
        expires_at = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
        key = AccessKey.of(*(answer[holder][part] for part in parts), expires_at=expires_at)
    except (ValueError, LookupError, TypeError, AttributeError, StopIteration, RecursionError):
        key = None  # without the error, which quotes the answer
    return _found(key, "its answer cannot be read")


def ask_link_local(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
) -> tuple[int, bytes]:
    """Ask a link-local service: never through a proxy, never redirected, never retried. See `Http`."""
    import requests  # whose key is in the variables asks none

    with requests.Session() as session:
        session.trust_env = False
        try:
            answer = session.request(method, url, headers=headers, data=body, timeout=timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise CredentialsNotFound("no answer") from error
    return answer.status_code, answer.content
