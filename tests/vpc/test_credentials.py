"""Where the key comes from: the chain in its order, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from handler.errors import DeadlineExceeded, NotConfigured
from handler.vpc.credentials import AccessKey, CredentialChain, CredentialsNotFound, ask_link_local
from tests.support.clock import NOON, FakeClock
from tests.support.credentials import KEY_URL, POD, PROFILE, TOKEN_URL, VARIABLES, Chain, Services, deadline, temporary
from tests.support.wire import closing, said, wire


def test_the_first_source_that_has_a_key_decides(chain: Chain, pod: dict[str, str]) -> None:
    services = Services({POD: temporary("pod"), TOKEN_URL: (404, b""), KEY_URL: temporary("meta")})

    def first(environ: Mapping[str, str], profile: str) -> tuple[str, str, str]:
        key = chain(environ, services, profile=profile).current(deadline())
        return key.id, key.secret, key.security_token

    assert first({**VARIABLES, **pod}, PROFILE) == ("env-ak", "env-sk", "")
    assert first(pod, PROFILE) == ("file-ak", "file-sk%1", "file-token")
    assert first(pod, "") == ("pod-ak", "pod-sk", "pod-token")
    assert first({}, "") == ("meta-ak", "meta-sk", "meta-token")


def test_the_provider_of_the_key_is_told(chain: Chain, pod: dict[str, str], tmp_path: Path) -> None:
    credentials = chain(pod, profile=PROFILE)
    assert credentials.describe() == ""
    credentials.current(deadline())
    assert credentials.describe() == f"the profile file {tmp_path / '.huaweicloud' / 'credentials'}"


@pytest.mark.parametrize("absent", [None, "", "null", " "])
def test_what_is_empty_or_the_word_null_is_absent(chain: Chain, absent: str | None) -> None:
    environ = {name: absent for name in VARIABLES if absent is not None}
    assert chain(environ, profile=PROFILE).current(deadline()).id == "file-ak"
    assert AccessKey.of(absent, absent, absent) is None
    assert AccessKey.of(" ak\n", "\tsk", absent) == AccessKey("ak", "sk")


@pytest.mark.parametrize("absent", [None, "", "null", " "])
def test_half_a_key_is_an_error_and_never_another_identity(
    chain: Chain, pod: dict[str, str], absent: str | None
) -> None:
    """Whatever else would have a key: the variables, the profile file, FunctionGraph's context and its headers."""
    services = Services({POD: temporary("pod"), TOKEN_URL: (404, b""), KEY_URL: temporary("meta")})
    no_id: dict[str, Any] = {**pod, "HUAWEICLOUD_SDK_SK": "marked", "HUAWEICLOUD_SDK_AK": absent}
    no_secret: dict[str, Any] = {**pod, "HUAWEICLOUD_SDK_AK": "marked", "HUAWEICLOUD_SDK_SK": absent}
    profile = f"[basic]\nak={absent or ''}\nsk=marked\n"
    reads: dict[str, Callable[[], object]] = {
        "HUAWEICLOUD_SDK_AK": lambda: chain(no_id, services, profile=PROFILE).current(deadline()),
        "HUAWEICLOUD_SDK_SK": lambda: chain(no_secret, services, profile=PROFILE).current(deadline()),
        "ak of [basic]": lambda: chain(pod, services, profile=profile).current(deadline()),
        "the access key": lambda: AccessKey.of(absent, "marked", "marked-too"),
        "X-CFF-Security-Access-Key": lambda: AccessKey.from_headers({"x-cff-security-secret-key": "marked"}),
    }
    for name, read in reads.items():
        with pytest.raises(NotConfigured, match="missing beside") as caught:
            read()
        assert str(caught.value).startswith(name)
        assert "marked" not in str(caught.value)


UNUSABLE = ["mar\nked", "mar\r\nked", "mar ked", "\u201cmarked\u201d", "marked\u200b", "m\u00e4rked", "mar\x00ked"]


@pytest.mark.parametrize("text", UNUSABLE)
@pytest.mark.parametrize("part", [0, 1, 2])
def test_what_no_header_can_carry_is_refused_when_it_is_read_by_the_name_of_its_source(
    chain: Chain, part: int, text: str
) -> None:
    parts = ["a", "b", "c"]
    parts[part] = text
    names = ("HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK", "HUAWEICLOUD_SDK_SECURITY_TOKEN")
    headers = ("X-CFF-Security-Access-Key", "X-CFF-Security-Secret-Key", "X-CFF-Security-Token")
    members = ("access", "secret", "securitytoken")
    answer = dict(zip(members, parts, strict=True), expires_at="2030-01-01T00:00:00Z")
    services = Services({TOKEN_URL: (404, b""), KEY_URL: (200, json.dumps({"credential": answer}).encode())})
    reads: dict[str, Callable[[], object]] = {
        names[part]: lambda: chain(dict(zip(names, parts, strict=True))).current(deadline()),
        headers[part]: lambda: AccessKey.from_headers(dict(zip(map(str.lower, headers), parts, strict=True))),
        f"{members[part]} of the ECS metadata service": lambda: chain({}, services).current(deadline()),
    }
    for name, read in reads.items():
        with pytest.raises(NotConfigured, match="no HTTP header can carry") as caught:
            read()
        assert str(caught.value).startswith(name)
        assert not any(piece in str(caught.value) for piece in ("mar", "ked", "rked"))


@pytest.mark.parametrize("text", UNUSABLE)
def test_a_token_of_pod_identity_that_no_header_can_carry_is_not_sent(
    chain: Chain, pod: dict[str, str], text: str
) -> None:
    Path(pod["HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"]).write_text(text)
    with pytest.raises(NotConfigured, match=r"CCE pod identity: its token file .*no HTTP header can carry"):
        chain(pod).current(deadline())


def test_functiongraph_gives_a_key_with_each_request_to_an_image() -> None:
    headers = {"x-cff-security-access-key": "a", "x-cff-security-secret-key": "s", "x-cff-security-token": "t"}
    assert AccessKey.from_headers(headers) == AccessKey("a", "s", "t")
    assert AccessKey.from_headers(dict.fromkeys(headers, "null")) is None
    assert AccessKey.from_headers({}) is None


def test_keys_are_equal_if_the_api_cannot_tell_them_apart() -> None:
    assert AccessKey("a", "s", "t", NOON) == AccessKey("a", "s", "t")
    assert hash(AccessKey("a", "s", "t", NOON)) == hash(AccessKey("a", "s", "t"))
    assert len({AccessKey("a", "s", "t"), AccessKey("a", "s"), AccessKey("a", "x", "t"), AccessKey("x", "s", "t")}) == 4


def test_a_key_shows_nothing_secret() -> None:
    assert repr(AccessKey("the-ak", "the-sk", "the-token")) == "AccessKey(expires_at=None)"


def test_the_profile_file_may_be_named(chain: Chain, tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text("[basic]\nak=named-ak\nsk=named-sk\n")
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(named)}
    assert chain(environ, profile=PROFILE).current(deadline()).id == "named-ak"


@pytest.mark.parametrize(
    ("profile", "why"),
    [
        (None, "credentials: there is none"),
        ("[other]\nak=x\n", r"no ak and sk in its section \[basic\]"),
        ("ak=secret-in-the-wrong-place", "credentials: it cannot be read"),
        (b"\xff\xfe[basic]", "credentials: it cannot be read"),
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


@pytest.mark.parametrize("clock_was", [0, 8 * 3600, -8 * 3600], ids=["right", "ahead", "behind"])
def test_providers_that_have_no_key_are_asked_again_after_a_minute_whoever_sets_the_clock(
    chain: Chain, clock_was: float
) -> None:
    time, services = FakeClock(wall_offset=clock_was), Services()
    credentials = chain({}, services, time=time)
    for _ in range(5):
        with pytest.raises(NotConfigured):
            credentials.current(deadline())
    assert len(services.asked) == 1
    time.wall_offset = 0
    time.pass_(61)
    services.answers = {TOKEN_URL: (200, b"t"), KEY_URL: temporary()}
    assert credentials.current(deadline()).id == "meta-ak"


def test_pod_identity_sends_what_stands_in_its_token_file(chain: Chain, pod: dict[str, str]) -> None:
    services = Services({POD: temporary("pod")})
    key = chain(pod, services).current(deadline())
    assert (key.security_token, key.expires_at) == ("pod-token", NOON + timedelta(hours=6))
    ((method, url, headers),) = services.asked
    assert (method, url, headers["Authorization"]) == ("POST", POD, "pod-authorization")


@pytest.mark.parametrize(
    ("expiry", "expected"),
    [
        ("2026-03-01T18:00:00Z", 0),
        ("2026-03-01T18:00:00.5Z", 0.5),
        ("2026-03-01T18:00:00.000000Z", 0),
        ("2026-03-01T18:00:00.123456789Z", 0.123456),
        ("2026-03-01T20:00:00+02:00", 0),
        ("2026-03-01T18:00:00", 0),
    ],
)
def test_pod_identity_answers_in_the_shape_that_the_official_sdks_read(
    chain: Chain, pod: dict[str, str], expiry: str, expected: float
) -> None:
    key = {"accessKeyId": "a", "secretAccessKey": "s", "securityToken": "t", "expiration": expiry}
    body = json.dumps({"assumedAgency": {"urn": "x"}, "credentials": key}).encode()
    found = chain(pod, Services({POD: (200, body)})).current(deadline())
    assert found == AccessKey("a", "s", "t")
    assert found.expires_at == NOON + timedelta(hours=6, seconds=expected)


def test_pod_identity_without_its_token_file_says_so(chain: Chain, pod: dict[str, str]) -> None:
    environ = {**pod, "HC_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nowhere/token"}
    with pytest.raises(NotConfigured, match="CCE pod identity: its token file cannot be read"):
        chain(environ).current(deadline())


def test_the_metadata_service_is_asked_with_a_token(chain: Chain) -> None:
    services = Services({TOKEN_URL: (200, b"the-token\n"), KEY_URL: temporary()})
    assert chain({}, services).current(deadline()).secret == "meta-sk"
    assert [(method, url) for method, url, _ in services.asked] == [("PUT", TOKEN_URL), ("GET", KEY_URL)]
    assert services.asked[1][2] == {"X-Metadata-Token": "the-token"}


@pytest.mark.parametrize("status", [404, 405, 503])
def test_the_metadata_service_is_asked_without_a_token_where_it_gives_none(chain: Chain, status: int) -> None:
    services = Services({TOKEN_URL: (status, b""), KEY_URL: temporary()})
    assert chain({}, services).current(deadline()).secret == "meta-sk"
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
        credentials = CredentialChain.from_env(environ, clock=FakeClock().clock, home=tmp_path)
        assert credentials.current(deadline()).id == "pod-ak"
        assert served.heads[0].startswith(b"POST /credentials ")
        assert b"authorization: pod-authorization\r\n" in served.heads[0].lower()


def test_a_service_that_sends_elsewhere_is_not_followed() -> None:
    with wire([said("302 Found", b"", "Location: /elsewhere")]) as served:
        assert ask_link_local("GET", served.url, {}, None, 1.0) == (302, b"")
        assert len(served.heads) == 1


def test_a_service_that_is_not_there_or_breaks_off_is_no_answer() -> None:
    with wire([closing]) as served:
        for url in (served.url, "http://127.0.0.1:9"):
            with pytest.raises(CredentialsNotFound, match="no answer"):
                ask_link_local("GET", url, {}, None, 1.0)
