"""Settings: read once, every fault named at once by its variable and the right form, never by its value."""

from __future__ import annotations

import pytest

from handler.errors import NotConfigured
from handler.settings import NAMES, Settings, SweepLimit

WRONG = {
    "HUAWEICLOUD_SDK_PROJECT_ID": "a/b",
    "RUNTIME_PROJECT_ID": "../x",
    "UNMIRROR_REGION": "evil.example/",
    "UNMIRROR_VPC_ENDPOINT": "http://vpc.example.com",
    "UNMIRROR_PROJECTS": "one, t w o",
    "UNMIRROR_DRY_RUN": "yes",
    "UNMIRROR_WEBHOOK_SECRETS": "whsec_!!",
    "UNMIRROR_BEARER_TOKENS": "one,two",
    "UNMIRROR_SMN_TOPICS": "my-topic",
    "UNMIRROR_SMN_DOMAINS": "https://evil.example/",
    "UNMIRROR_SMN_CERTIFICATES": "0123abcd",
    "UNMIRROR_TRUST": "everybody",
    "UNMIRROR_DEADLINE": "-17",
    "UNMIRROR_SNAPSHOT_MAX_AGE": "soon",
    "UNMIRROR_SWEEP_LIMIT": "101%",
}


def test_every_wrong_setting_is_named_at_once_and_no_value_is_repeated() -> None:
    with pytest.raises(NotConfigured) as caught:
        Settings.from_env(WRONG)
    message = str(caught.value)
    assert [name for name in WRONG if f"{name}: " not in message] == []
    assert [value for value in WRONG.values() if value in message] == []


def test_nothing_set_is_no_fault_but_says_what_is_missing() -> None:
    settings = Settings.from_env({})
    assert settings.missing == (
        "UNMIRROR_REGION or UNMIRROR_VPC_ENDPOINT",
        "HUAWEICLOUD_SDK_PROJECT_ID or UNMIRROR_PROJECTS",
    )


@pytest.mark.parametrize("nothing", ["", " ", ",", " , ,"])
def test_an_empty_variable_counts_as_absent(nothing: str) -> None:
    assert Settings.from_env(dict.fromkeys(NAMES, nothing)) == Settings()


@pytest.mark.parametrize(
    "protect",
    [
        *("UNMIRROR_PROTEC", "UNMIRROR_PROTECTED", "UNMIRROR_DRYRUN", "UNMIRROR_DRY-RUN"),
        *("UNMIRROR_Protect", "unmirror_dry_run", "UNMIROR_PROTECT", "Unmirror_PROTECT", "UNMIRRORPROTECT"),
    ],
)
def test_a_name_that_is_nearly_one_of_ours_is_a_fault(protect: str) -> None:
    """What it was to protect would not be protected."""
    with pytest.raises(
        NotConfigured, match=rf"^wrong settings: {protect}: no such setting; right: UNMIRROR_(PROTECT|DRY_RUN)$"
    ):
        Settings.from_env({protect: "1"})


def test_names_that_are_somebody_elses_are_left_alone() -> None:
    """Kubernetes describes a service of the name `unmirror` to every pod beside it."""
    theirs = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_PROTO")
    assert (
        Settings.from_env({f"UNMIRROR_{name}": "1" for name in theirs} | {"UNMIRROR": "1", "PIP_MIRROR": "1"})
        == Settings()
    )


@pytest.mark.parametrize(
    ("region", "endpoint", "source"),
    [
        ("cn-north-4", "https://vpc.cn-north-4.myhuaweicloud.com", "of Huawei Cloud's region cn-north-4"),
        ("eu-west-0", "https://vpc.eu-west-0.myhuaweicloud.com", "of Huawei Cloud's region eu-west-0"),
        ("eu-west-101", "https://vpc.eu-west-101.myhuaweicloud.eu", "of Huawei Cloud Europe's region eu-west-101"),
        ("eu-de", "https://vpc.eu-de.otc.t-systems.com", "of Open Telekom Cloud's region eu-de"),
        ("eu-nl", "https://vpc.eu-nl.otc.t-systems.com", "of Open Telekom Cloud's region eu-nl"),
        ("eu-ch2", "https://vpc.eu-ch2.sc.otc.t-systems.com", "of Swiss Open Telekom Cloud's region eu-ch2"),
    ],
)
def test_the_region_names_the_endpoint_unless_one_is_given(region: str, endpoint: str, source: str) -> None:
    found = Settings.from_env({"UNMIRROR_REGION": region})
    assert (found.endpoint, found.endpoint_source) == (endpoint, source)
    given = Settings.from_env({"UNMIRROR_REGION": region, "UNMIRROR_VPC_ENDPOINT": "https://vpc.example.com/"})
    assert (given.endpoint, given.endpoint_source) == ("https://vpc.example.com", "set by UNMIRROR_VPC_ENDPOINT")


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:8099", "http://[::1]:8099", "http://localhost:1"])
def test_plain_http_is_for_loopback(endpoint: str) -> None:
    assert Settings.from_env({"UNMIRROR_VPC_ENDPOINT": endpoint}).endpoint == endpoint


NO_ENDPOINTS = [
    *(
        "http://10.0.0.1",
        "http://localhost.example.com",
        "http://127.example.com",
        "ftp://127.0.0.1",
        "vpc.example.com",
    ),
    *("https://user:pass@vpc.example.com", "https://vpc.example.com/v3", "https://vpc.example.com?x=1"),
    *(
        "https://vpc.example.com:port",
        "https://vpc.example\n.com",
        "https://[::1",
        "https://vpc.example .com",
        "https://vpc.example\\.com",
    ),
    *("https://vpc.example.com:65536", "https://[1]", "https://999.999.999.999", "http://127.999.1.1"),
    *("https://*.example.com", "https://vpc..example.com", "https://vpc.example.com#x", "https://"),
]


@pytest.mark.parametrize("endpoint", NO_ENDPOINTS)
def test_an_endpoint_is_a_host_and_nothing_else(endpoint: str) -> None:
    with pytest.raises(NotConfigured, match="UNMIRROR_VPC_ENDPOINT"):
        Settings.from_env({"UNMIRROR_VPC_ENDPOINT": endpoint})


def test_the_projects_default_to_the_one_project_and_the_other_way_round() -> None:
    assert Settings.from_env({"HUAWEICLOUD_SDK_PROJECT_ID": "a"}).projects == {"a"}
    assert Settings.from_env({"RUNTIME_PROJECT_ID": "b"}).project_id == "b"
    assert Settings.from_env({"HUAWEICLOUD_SDK_PROJECT_ID": "a", "RUNTIME_PROJECT_ID": "b"}).project_id == "a"
    assert Settings.from_env({"UNMIRROR_PROJECTS": "a"}).project_id == "a"
    elsewhere = Settings.from_env({"RUNTIME_PROJECT_ID": "where-the-function-lives", "UNMIRROR_PROJECTS": "a"})
    assert (elsewhere.project_id, elsewhere.projects) == ("a", {"a"})
    several = Settings.from_env({"UNMIRROR_PROJECTS": "a, b,"})
    assert (several.projects, several.project_id) == ({"a", "b"}, None)


def test_the_project_of_events_that_name_none_is_one_that_it_may_act_in() -> None:
    with pytest.raises(NotConfigured, match=r"^wrong settings: HUAWEICLOUD_SDK_PROJECT_ID: none of UNMIRROR_PROJECTS"):
        Settings.from_env({"HUAWEICLOUD_SDK_PROJECT_ID": "a", "UNMIRROR_PROJECTS": "b"})


@pytest.mark.parametrize("seconds", ["1_0", "\u0663", "1e2", "1e-320", "nan", "inf", "0", "900.1", "1.2.3"])
def test_seconds_are_digits_within_bounds(seconds: str) -> None:
    with pytest.raises(NotConfigured, match="UNMIRROR_DEADLINE: wrong"):
        Settings.from_env({"UNMIRROR_DEADLINE": seconds})


def test_secrets_never_show() -> None:
    settings = Settings.from_env(
        {
            "UNMIRROR_BEARER_TOKENS": "marked-token another-marked-token",
            "UNMIRROR_WEBHOOK_SECRETS": "whsec_bWFya2VkLXNlY3JldC0xMjM0NQ whsec_bWFya2VkLXNlY3JldC0xMjM0NTY=",
        }
    )
    assert (len(settings.bearer_tokens), len(settings.webhook_secrets)) == (2, 2)
    assert not any(secret in repr(settings) for secret in settings.bearer_tokens + settings.webhook_secrets)


DOORS = {
    "UNMIRROR_SMN_TOPICS": [f"urn:smn:{wrong}" for wrong in ("r:p", "r:p:t:x", "r:p:", "R:p:t", "r/..:p:t", "r:p:t/")],
    "UNMIRROR_SMN_DOMAINS": ["com", ".example.com", "a..b", "*.example.com", "a_b.com", "a.b:1"],
    "UNMIRROR_SMN_CERTIFICATES": ["g" * 64, "0" * 63, "0" * 65, "sha256:" + "0" * 64],
}


@pytest.mark.parametrize(("name", "wrong"), [(name, wrong) for name, many in DOORS.items() for wrong in many])
def test_what_opens_a_door_is_read_strictly(name: str, wrong: str) -> None:
    with pytest.raises(NotConfigured, match=f"^wrong settings: {name}: "):
        Settings.from_env({name: wrong})


def test_what_opens_a_door_may_be_written_in_several_ways() -> None:
    settings = Settings.from_env(
        {
            "UNMIRROR_SMN_TOPICS": "urn:smn:eu-west-101:p:t urn:smn:region01:p:test_t-2",
            "UNMIRROR_SMN_DOMAINS": "Cloud.example, other.cloud.example",
            "UNMIRROR_SMN_CERTIFICATES": f"{'AB' * 32},{':'.join(['0c'] * 32)}",
        }
    )
    assert settings.smn_topics == {"urn:smn:eu-west-101:p:t", "urn:smn:region01:p:test_t-2"}
    assert settings.smn_domains == ("cloud.example", "other.cloud.example")
    assert settings.smn_certificates == {"ab" * 32, "0c" * 32}


KEY = {"HUAWEICLOUD_SDK_AK": "a", "HUAWEICLOUD_SDK_SK": "s", "HUAWEICLOUD_SDK_SECURITY_TOKEN": "t"}


@pytest.mark.parametrize("missing", ["HUAWEICLOUD_SDK_AK", "HUAWEICLOUD_SDK_SK"])
def test_half_a_key_is_a_fault(missing: str) -> None:
    with pytest.raises(NotConfigured, match=f"^wrong settings: {missing}: missing beside HUAWEICLOUD_SDK_.."):
        Settings.from_env({**KEY, missing: ""})


@pytest.mark.parametrize(("text", "pieces"), [("mar\nked", ("mar", "ked")), ("\u201cmarked\u201d", ("marked",))])
def test_every_key_and_token_that_no_header_can_carry_is_named_at_once(text: str, pieces: tuple[str, ...]) -> None:
    """A token that was wrapped when it was copied is not two: each would be easier to guess."""
    names = (*KEY, "UNMIRROR_BEARER_TOKENS", "UNMIRROR_WEBHOOK_SECRETS")
    with pytest.raises(NotConfigured) as caught:
        Settings.from_env(dict.fromkeys(names, text))
    assert [name for name in names if f"{name}: " not in str(caught.value)] == []
    assert not any(piece in str(caught.value) for piece in pieces)


def test_blanks_around_a_key_or_token_do_not_matter() -> None:
    spaced = {name: f" {value}\n" for name, value in KEY.items()}
    assert Settings.from_env({**spaced, "UNMIRROR_BEARER_TOKENS": " a  b \n"}).bearer_tokens == ("a", "b")


@pytest.mark.parametrize("secret", ["whsec_c2hvcnQ=", "whsec_bWFya2VkLXNlY3JldC0xMjM0NQxxx", "whsec_!!", "c2hvcnQ"])
def test_a_webhook_secret_that_is_short_or_no_base64_is_refused(secret: str) -> None:
    with pytest.raises(NotConfigured, match="at least 16 bytes"):
        Settings.from_env({"UNMIRROR_WEBHOOK_SECRETS": secret})


@pytest.mark.parametrize(
    ("limit", "seen", "most"),
    [("20%", 10, 10), ("20%", 200, 40), ("5", 1000, 5), ("0", 1000, 0), ("100%", 50, 50), ("2.5 %", 1000, 25)],
)
def test_a_sweep_limit_is_a_count_or_a_share_of_the_sources_seen_of_which_ten_may_always_go(
    limit: str, seen: int, most: int
) -> None:
    found = Settings.from_env({"UNMIRROR_SWEEP_LIMIT": limit}).sweep_limit
    assert (found.allows(most, seen), found.allows(most + 1, seen)) == (True, False)


def test_the_default_limit_is_a_fifth() -> None:
    assert Settings().sweep_limit == SweepLimit(20, percent=True)


@pytest.mark.parametrize("limit", ["100.001%", "1e1", "-1", "%", "\u0663", "50%%"])
def test_a_sweep_limit_is_read_strictly(limit: str) -> None:
    with pytest.raises(NotConfigured, match=r"^wrong settings: UNMIRROR_SWEEP_LIMIT: .* at most 100%$"):
        Settings.from_env({"UNMIRROR_SWEEP_LIMIT": limit})


def test_patterns_to_protect_are_kept_as_they_are_written() -> None:
    assert Settings.from_env({"UNMIRROR_PROTECT": "ids-*, 1715609F pci"}).protect == ("ids-*", "1715609F", "pci")
