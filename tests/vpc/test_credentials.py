"""Where the key comes from: the chain in its order, and its renewal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from handler.errors import DeadlineExceeded, NotConfigured
from handler.model import Deadline
from handler.vpc.credentials import METADATA, AccessKey, Credentials, NoKeyHere, ask_link_local
from tests.vpc.wire import closing, said, wire

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
POD = "http://169.254.1.1/credentials"


def deadline(seconds: float = 5.0) -> Deadline:
    return Deadline.within(seconds, lambda: 0.0)


def temporary(name: str = "meta", hours: float = 6, now: datetime = NOW) -> tuple[int, bytes]:
    expires_at = (now + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    key = {"access": f"{name}-ak", "secret": f"{name}-sk", "securitytoken": f"{name}-token", "expires_at": expires_at}
    return 200, json.dumps({"credential": key}).encode()


class Services:
    """The link-local services: an answer for each URL, an exception where nobody listens."""

    def __init__(self, answers: Mapping[str, tuple[int, bytes] | list[tuple[int, bytes]]] | None = None) -> None:
        self.answers = dict(answers or {})
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.on_ask: Callable[[], None] = lambda: None

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout: float
    ) -> tuple[int, bytes]:
        assert 0 < timeout <= 3.0
        self.asked.append((method, url, dict(headers)))
        self.on_ask()
        answer = self.answers.get(url)
        if answer is None:
            raise NoKeyHere("no answer")
        return answer.pop(0) if isinstance(answer, list) else answer


TOKEN_URL = f"{METADATA}/meta-data/latest/api/token"
KEY_URL = f"{METADATA}/openstack/latest/securitykey"


@pytest.fixture
def chain(tmp_path: Path) -> Callable[..., Credentials]:
    """Return a chain; `profile` is what stands in the profile file of its home."""

    def make(
        environ: Mapping[str, str] | None = None,
        services: Services | None = None,
        *,
        profile: str | bytes | None = None,
        now: Callable[[], datetime] = lambda: NOW,
    ) -> Credentials:
        if profile is not None:
            file = tmp_path / ".huaweicloud" / "credentials"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(profile if isinstance(profile, bytes) else profile.encode())
        return Credentials.from_env(environ or {}, now=now, http=services or Services(), home=tmp_path)

    return make


Chain = Callable[..., Credentials]
VARIABLES = {"HUAWEICLOUD_SDK_AK": "env-ak", "HUAWEICLOUD_SDK_SK": "env-sk"}
PROFILE = "[basic]\nak = file-ak\nsk = file-sk%1\nsecurity_token = file-token\n"


@pytest.fixture
def pod(tmp_path: Path) -> dict[str, str]:
    """What CCE sets in a pod."""
    file = tmp_path / "pod-token"
    file.write_text("pod-authorization\n")
    return {"HC_CONTAINER_CREDENTIALS_FULL_URI": POD, "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(file)}


def test_the_first_source_that_has_a_key_decides(chain: Chain, pod: dict[str, str]) -> None:
    services = Services({POD: temporary("pod"), TOKEN_URL: (404, b""), KEY_URL: temporary("meta")})

    def first(environ: Mapping[str, str], profile: str) -> tuple[str, str, str]:
        key = chain(environ, services, profile=profile).current(deadline())
        return key.ak, key.sk, key.security_token

    assert first({**VARIABLES, **pod}, PROFILE) == ("env-ak", "env-sk", "")
    assert first(pod, PROFILE) == ("file-ak", "file-sk%1", "file-token")
    assert first(pod, "") == ("pod-ak", "pod-sk", "pod-token")
    assert first({}, "") == ("meta-ak", "meta-sk", "meta-token")


@pytest.mark.parametrize("absent", ["", "null", " "])
def test_what_is_empty_or_the_word_null_is_absent(chain: Chain, absent: str) -> None:
    environ = {**VARIABLES, "HUAWEICLOUD_SDK_SK": absent}
    assert chain(environ, profile=PROFILE).current(deadline()).ak == "file-ak"
    assert AccessKey.of("ak", absent) is None
    assert AccessKey.of(absent, "sk") is None
    assert AccessKey.of(None, "sk") is None
    assert AccessKey.of("ak", "sk", absent) == AccessKey("ak", "sk")


def test_functiongraph_gives_a_key_with_each_request_to_an_image() -> None:
    headers = {"x-cff-security-access-key": "a", "x-cff-security-secret-key": "s", "x-cff-security-token": "t"}
    assert AccessKey.from_headers(headers) == AccessKey("a", "s", "t")
    assert AccessKey.from_headers({**headers, "x-cff-security-secret-key": "null"}) is None
    assert AccessKey.from_headers({}) is None


def test_a_key_shows_nothing_secret() -> None:
    assert repr(AccessKey("the-ak", "the-sk", "the-token")) == "AccessKey(expires_at=None)"


def test_the_profile_file_may_be_named(chain: Chain, tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text("[basic]\nak=named-ak\nsk=named-sk\n")
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(named)}
    assert chain(environ, profile=PROFILE).current(deadline()).ak == "named-ak"


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (None, "the profile file: there is none"),
        ("[other]\nak=x\n", r"no ak and sk in its section \[basic\]"),
        ("[basic]\nak=x\n", r"no ak and sk in its section \[basic\]"),
        ("ak=secret-in-the-wrong-place", "the profile file: it cannot be read"),
        (b"\xff\xfe[basic]", "the profile file: it cannot be read"),
    ],
)
def test_no_key_anywhere_is_one_error_that_lists_what_was_tried(chain: Chain, profile: Any, why: str) -> None:
    with pytest.raises(NotConfigured, match=why) as caught:
        chain(profile=profile).current(deadline())
    message = str(caught.value)
    for tried in ("HUAWEICLOUD_SDK_AK", "profile file", "CCE pod identity: not set", "ECS metadata service: no answer"):
        assert tried in message
    assert "secret-in" not in message
    assert "\n" not in message


def test_the_sources_are_not_asked_again_at_once_when_none_has_a_key(chain: Chain) -> None:
    now, services = [NOW], Services()
    credentials = chain({}, services, now=lambda: now[0])
    for _ in range(5):
        with pytest.raises(NotConfigured):
            credentials.current(deadline())
    assert len(services.asked) == 1
    now[0] += timedelta(seconds=61)
    services.answers = {TOKEN_URL: (200, b"t"), KEY_URL: temporary(now=now[0])}
    assert credentials.current(deadline()).ak == "meta-ak"


def test_pod_identity_sends_what_stands_in_its_token_file(chain: Chain, pod: dict[str, str]) -> None:
    services = Services({POD: temporary("pod")})
    key = chain(pod, services).current(deadline())
    assert (key.security_token, key.expires_at) == ("pod-token", NOW + timedelta(hours=6))
    ((method, url, headers),) = services.asked
    assert (method, url, headers["Authorization"]) == ("POST", POD, "pod-authorization")


def test_pod_identity_without_its_token_file_says_so(chain: Chain, pod: dict[str, str]) -> None:
    environ = {**pod, "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/token"}
    with pytest.raises(NotConfigured, match="CCE pod identity: its token file cannot be read"):
        chain(environ).current(deadline())


def test_the_metadata_service_is_asked_with_a_token(chain: Chain) -> None:
    services = Services({TOKEN_URL: (200, b"the-token\n"), KEY_URL: temporary()})
    assert chain({}, services).current(deadline()).sk == "meta-sk"
    assert [(method, url) for method, url, _ in services.asked] == [("PUT", TOKEN_URL), ("GET", KEY_URL)]
    assert services.asked[1][2] == {"X-Metadata-Token": "the-token"}


@pytest.mark.parametrize("status", [404, 405, 503])
def test_the_metadata_service_is_asked_without_a_token_where_it_gives_none(chain: Chain, status: int) -> None:
    services = Services({TOKEN_URL: (status, b""), KEY_URL: temporary()})
    assert chain({}, services).current(deadline()).sk == "meta-sk"
    assert services.asked[1][2] == {}


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ({TOKEN_URL: (403, b"")}, "its token service answered 403"),
        ({TOKEN_URL: (200, b"t"), KEY_URL: (404, b"secret")}, "it answered 404: is an agency configured"),
        ({TOKEN_URL: (200, b"t"), KEY_URL: (200, b"secret")}, "its answer cannot be read"),
        ({TOKEN_URL: (200, b"t"), KEY_URL: (200, b"[]")}, "its answer cannot be read"),
        ({TOKEN_URL: (200, b"t"), KEY_URL: (200, b'{"credential":{"access":"secret"}}')}, "its answer cannot be read"),
        ({TOKEN_URL: (200, b"t"), KEY_URL: (200, b"\xff")}, "its answer cannot be read"),
        (
            {
                TOKEN_URL: (200, b"t"),
                KEY_URL: (
                    200,
                    b'{"credential":{"access":7,"secret":"s","securitytoken":"t","expires_at":"2026-05-01T13:00:00.0Z"}}',
                ),
            },
            "its answer cannot be read",
        ),
    ],
)
def test_what_the_metadata_service_says_instead_of_a_key_is_told_without_its_text(
    chain: Chain, answers: dict[str, tuple[int, bytes]], why: str
) -> None:
    with pytest.raises(NotConfigured, match=why) as caught:
        chain({}, Services(answers)).current(deadline())
    assert "secret" not in str(caught.value)


def test_no_time_left_is_no_time_to_look_for_a_key(chain: Chain) -> None:
    with pytest.raises(DeadlineExceeded):
        chain().current(deadline(0))


# --- asked over a real socket -----------------------------------------------------------------------------------


def test_a_service_is_asked_without_the_proxy_of_the_world(
    pod: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with wire([said("200 OK", temporary("pod")[1])]) as served:
        environ = {**pod, "HC_CONTAINER_CREDENTIALS_FULL_URI": f"{served.url}/credentials"}
        credentials = Credentials.from_env(environ, now=lambda: NOW, home=tmp_path)
        assert credentials.current(deadline()).ak == "pod-ak"
        assert served.heads[0].startswith(b"POST /credentials ")
        assert b"authorization: pod-authorization\r\n" in served.heads[0].lower()


def test_a_service_that_sends_elsewhere_is_not_followed() -> None:
    with wire([said("302 Found", b"", "Location: /elsewhere")]) as served:
        assert ask_link_local("GET", served.url, {}, None, 1.0) == (302, b"")
        assert len(served.heads) == 1


def test_a_service_that_is_not_there_or_breaks_off_is_no_answer() -> None:
    with wire([closing]) as served:
        for url in (served.url, "http://127.0.0.1:9"):
            with pytest.raises(NoKeyHere, match="no answer"):
                ask_link_local("GET", url, {}, None, 1.0)


# --- renewal ------------------------------------------------------------------------------------------------


def test_a_temporary_key_is_renewed_before_it_expires_and_a_permanent_one_never(chain: Chain) -> None:
    now = [NOW]
    services = Services({TOKEN_URL: (200, b"t"), KEY_URL: [temporary("first"), temporary("second", 12)]})
    credentials = chain({}, services, now=lambda: now[0])
    assert credentials.current(deadline()).ak == "first-ak"
    now[0] += timedelta(hours=5, minutes=54)
    assert credentials.current(deadline()).ak == "first-ak"
    now[0] += timedelta(minutes=2)
    assert credentials.current(deadline()).ak == "second-ak"
    permanent = chain(VARIABLES, services, now=lambda: now[0])
    assert permanent.current(deadline()) is permanent.current(deadline())


def test_a_key_that_cannot_be_renewed_yet_is_used_while_it_lasts(chain: Chain) -> None:
    now = [NOW]
    services = Services({TOKEN_URL: (200, b"t"), KEY_URL: temporary()})
    credentials = chain({}, services, now=lambda: now[0])
    first = credentials.current(deadline())
    services.answers = {}
    now[0] += timedelta(hours=5, minutes=57)
    asked = len(services.asked)
    assert [credentials.current(deadline()) for _ in range(3)] == [first] * 3
    assert len(services.asked) == asked + 1
    now[0] += timedelta(minutes=4)
    with pytest.raises(NotConfigured):
        credentials.current(deadline())


def test_one_thread_renews_while_the_others_go_on_with_the_key_they_have(chain: Chain) -> None:
    now = [NOW]
    services = Services({TOKEN_URL: (404, b""), KEY_URL: [temporary("first"), temporary("second", 12)]})
    credentials = chain({}, services, now=lambda: now[0])
    credentials.current(deadline())
    now[0] += timedelta(hours=5, minutes=56)
    renewing, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        renewing.set()
        assert go_on.wait(5)

    services.on_ask = wait
    got: list[str] = []
    renewer = threading.Thread(target=lambda: got.append(credentials.current(deadline()).ak))
    renewer.start()
    assert renewing.wait(5)
    assert [credentials.current(deadline()).ak for _ in range(3)] == ["first-ak"] * 3
    go_on.set()
    renewer.join(5)
    assert got == ["second-ak"]
    assert len(services.asked) == 4


def test_many_threads_that_have_no_key_ask_once(chain: Chain) -> None:
    services = Services({TOKEN_URL: (404, b""), KEY_URL: temporary()})
    credentials, barrier = chain({}, services), threading.Barrier(16)
    got: list[AccessKey] = []

    def ask() -> None:
        barrier.wait()
        got.append(credentials.current(deadline()))

    threads = [threading.Thread(target=ask) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert len(got) == 16
    assert len(set(got)) == 1
    assert len(services.asked) == 2


def test_who_waits_for_another_to_read_the_keys_waits_no_longer_than_its_deadline(chain: Chain) -> None:
    services = Services({TOKEN_URL: (404, b""), KEY_URL: temporary()})
    credentials = chain({}, services)
    reading, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reading.set()
        assert go_on.wait(5)

    services.on_ask = wait
    reader = threading.Thread(target=lambda: credentials.current(deadline()))
    reader.start()
    assert reading.wait(5)
    for ask in (credentials.current, lambda soon: credentials.reread(AccessKey("a", "s"), soon)):
        with pytest.raises(DeadlineExceeded):
            ask(deadline(0.05))
    go_on.set()
    reader.join(5)


# --- a key that the API refused ---------------------------------------------------------------------------------


def test_the_sources_are_read_again_for_a_key_that_was_refused(chain: Chain) -> None:
    services = Services({TOKEN_URL: (404, b""), KEY_URL: [temporary("first"), temporary("second")]})
    credentials = chain({}, services)
    first = credentials.current(deadline())
    second = credentials.reread(first, deadline())
    assert second is not None
    assert second.ak == "second-ak"
    assert credentials.reread(first, deadline()) == second  # another thread had the first in hand, too
    assert credentials.current(deadline()) == second
    assert len(services.asked) == 4


def test_there_is_no_other_key_where_the_sources_have_the_same_or_none(chain: Chain) -> None:
    same = chain(VARIABLES)
    assert same.reread(same.current(deadline()), deadline()) is None
    services = Services({TOKEN_URL: (404, b""), KEY_URL: temporary()})
    none = chain({}, services)
    refused = none.current(deadline())
    services.answers = {}
    assert none.reread(refused, deadline()) is None
