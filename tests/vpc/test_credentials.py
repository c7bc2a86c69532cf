"""Where the key comes from: the chain in its order, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from handler.errors import DeadlineExceeded, NotConfigured
from handler.vpc.credentials import KEY_NAMES, AccessKey, CredentialChain, CredentialsNotFound, ask_link_local
from tests.support.clock import NOON, FakeClock
from tests.support.credentials import KEY_URL, POD, PROFILE, VARIABLES, Chain, Services, deadline, metadata, temporary
from tests.support.wire import closing, said, wire

NOT_SAFE = "has a line feed, a blank or another character that no HTTP header can carry; copy it anew"
UNUSABLE = ["mar\nked", "mar\r\nked", "mar ked", "\u201cmarked\u201d", "marked\u200b", "m\u00e4rked", "mar\x00ked"]


@pytest.fixture
def services() -> Services:
    """Every link-local service, each with a key."""
    services = metadata(temporary("meta"))
    services.answers[POD] = temporary("pod")
    return services


def test_the_first_source_that_has_a_key_decides(chain: Chain, pod: dict[str, str], services: Services) -> None:
    def first(environ: Mapping[str, str], profile: str) -> tuple[str, str, str]:
        key = chain(environ, services, profile=profile).current(deadline())
        return key.id, key.secret, key.security_token

    assert first({**VARIABLES, **pod}, PROFILE) == ("env-ak", "env-sk", "")
    assert first(pod, PROFILE) == ("file-ak", "file-sk%1", "file-token")
    assert first(pod, "") == ("pod-ak", "pod-sk", "pod-token")
    assert first({}, "") == ("meta-ak", "meta-sk", "meta-token")


def test_the_provider_of_the_key_is_told(chain: Chain, pod: dict[str, str], tmp_path: Path) -> None:
    credentials = chain(pod, profile=PROFILE)
    assert credentials.source == ""
    credentials.current(deadline())
    assert credentials.source == f"the profile file {tmp_path / '.huaweicloud' / 'credentials'}"


@pytest.mark.parametrize("absent", [None, "", "null", " "])
def test_what_is_empty_or_the_word_null_is_absent(chain: Chain, absent: str | None) -> None:
    environ = {name: absent for name in VARIABLES if absent is not None}
    assert chain(environ, profile=PROFILE).current(deadline()).id == "file-ak"
    assert AccessKey.of(absent, absent, absent) is None
    assert AccessKey.of(" ak\n", "\tsk", absent) == AccessKey("ak", "sk")


@pytest.mark.parametrize(
    ("given", "faults"),
    [
        ((None, "marked", "marked"), "the access key: missing beside the secret key and the security token"),
        (("marked", "null"), "the secret key: missing beside the access key"),
        *((("a", text), f"the secret key: {NOT_SAFE}") for text in UNUSABLE),
        (("mar ked", "s", "mar ked"), f"the access key: {NOT_SAFE}; the security token: {NOT_SAFE}"),
    ],
)
def test_half_a_key_and_what_no_header_can_carry_is_refused_without_a_value(
    given: tuple[str | None, ...], faults: str
) -> None:
    with pytest.raises(NotConfigured) as caught:
        AccessKey.of(*given)
    assert str(caught.value) == faults


@pytest.mark.parametrize("half", ["the variables", "the profile file", "CCE pod identity", "the ECS metadata service"])
def test_half_a_key_is_named_by_its_source_and_never_another_identity(
    chain: Chain, pod: dict[str, str], services: Services, half: str
) -> None:
    environ = {"the variables": {**pod, KEY_NAMES[0]: "marked"}, "the ECS metadata service": {}}.get(half, pod)
    profile = "[basic]\nak=marked\n" if half == "the profile file" else ""
    status, body = temporary("marked")
    services.answers[POD if half == "CCE pod identity" else KEY_URL] = (status, body.replace(b"marked-sk", b""))
    with pytest.raises(NotConfigured, match=f"^{half}.*: the secret key: missing beside the access key") as caught:
        chain(environ, services, profile=profile).current(deadline())
    assert "marked" not in str(caught.value)


def test_a_token_of_pod_identity_that_is_none_is_not_sent(chain: Chain, pod: dict[str, str]) -> None:
    file = Path(pod["HC_CONTAINER_AUTHORIZATION_TOKEN_FILE"])
    file.write_text("mar\nked")
    with pytest.raises(NotConfigured, match=f"CCE pod identity: its token file {NOT_SAFE}"):
        chain(pod).current(deadline())
    file.unlink()
    with pytest.raises(NotConfigured, match="CCE pod identity: its token file cannot be read"):
        chain(pod).current(deadline())


def test_functiongraph_gives_a_key_with_each_request_to_an_image() -> None:
    headers = {"x-cff-security-access-key": "a", "x-cff-security-secret-key": "s", "x-cff-security-token": "t"}
    assert AccessKey.from_headers(headers) == AccessKey("a", "s", "t")
    assert AccessKey.from_headers(dict.fromkeys(headers, "null")) is None
    assert AccessKey.from_headers({}) is None


def test_keys_are_equal_if_the_api_cannot_tell_them_apart_and_show_nothing_secret() -> None:
    key = AccessKey("a-1", "s-1", "t-1")
    assert AccessKey("a-1", "s-1", "t-1", NOON) == key
    assert (
        len({key, AccessKey("a-1", "s-1", "t-1", NOON), AccessKey("a-1", "s-1"), AccessKey("a-2", "s-1", "t-1")}) == 3
    )
    assert repr(key) == "AccessKey(expires_at=None)"


def test_the_profile_file_may_be_named(chain: Chain, tmp_path: Path) -> None:
    named = tmp_path / "named"
    named.write_text("[basic]\nak=named-ak\nsk=named-sk\n")
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(named)}
    assert chain(environ, profile=PROFILE).current(deadline()).id == "named-ak"
    with pytest.raises(NotConfigured, match=f"{tmp_path}: it cannot be read"):
        chain({"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(tmp_path)}).current(deadline())


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
    services.answers = metadata(temporary()).answers
    assert credentials.current(deadline()).id == "meta-ak"


def test_pod_identity_sends_what_stands_in_its_token_file(chain: Chain, pod: dict[str, str]) -> None:
    services = Services({POD: temporary("pod")})
    key = chain(pod, services).current(deadline())
    assert (key.security_token, key.expires_at) == ("pod-token", NOON + timedelta(hours=6))
    ((method, url, headers),) = services.asked
    assert (method, url, headers["Authorization"]) == ("POST", POD, "pod-authorization")


@pytest.mark.parametrize(
    "expiry", ["2026-03-01T18:00:00.000000000Z", "2026-03-01T20:00:00+02:00", "2026-03-01T18:00:00"]
)
def test_pod_identity_answers_in_the_shape_that_the_official_sdks_read(
    chain: Chain, pod: dict[str, str], expiry: str
) -> None:
    key = {"accessKeyId": "a", "secretAccessKey": "s", "securityToken": "t", "expiration": expiry}
    body = json.dumps({"assumedAgency": {"urn": "x"}, "credentials": key}).encode()
    found = chain(pod, Services({POD: (200, body)})).current(deadline())
    assert (found, found.expires_at) == (AccessKey("a", "s", "t"), NOON + timedelta(hours=6))


def test_the_metadata_service_is_asked_with_a_token_where_it_gives_one(chain: Chain) -> None:
    for token, sent in (((200, b"the-token\n"), {"X-Metadata-Token": "the-token"}), ((404, b""), {}), ((403, b""), {})):
        services = metadata(temporary(), token=token)
        assert chain({}, services).current(deadline()).secret == "meta-sk"
        assert services.asked[1:] == [("GET", KEY_URL, sent)]


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, b"secret", "it answered 404: is an agency configured"),
        *(
            (200, body, "its answer cannot be read")
            for body in (
                b"secret",
                b"[]",
                b"7",
                b"\xff",
                b'{"credential":"secret"}',
                b'{"credential":{"access":"secret"}}',
            )
        ),
        (200, temporary()[1].replace(b'"meta-ak"', b"7"), "its answer cannot be read"),
        (200, temporary()[1].replace(b"T18:", b"secret"), "its answer cannot be read"),
    ],
)
def test_what_the_metadata_service_says_instead_of_a_key_is_told_without_its_text(
    chain: Chain, status: int, body: bytes, why: str
) -> None:
    with pytest.raises(NotConfigured, match=why) as caught:
        chain({}, metadata((status, body))).current(deadline())
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
        environ = {**pod, "HOME": str(tmp_path), "HC_CONTAINER_CREDENTIALS_FULL_URI": f"{served.url}/credentials"}
        credentials = CredentialChain.from_env(environ, clock=FakeClock().clock)
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
