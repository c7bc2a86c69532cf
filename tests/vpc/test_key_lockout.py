"""The API locks a key for five minutes after more than five failed authentications in a row: it never comes to that."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from handler.emulator.operations import Fault
from handler.errors import ApiRefused, ApiUnavailable, DeadlineExceeded, Interrupted, KeyCoolingDown
from handler.vpc.client import VpcClient
from handler.vpc.credentials import AccessKey, CredentialChain
from handler.vpc.key_lockout import PROBE_SECONDS, KeyLockout
from tests.support.clock import NOON
from tests.support.vpc_clients import ACCESS_KEY, KEY, SECRET_KEY, NewRegion, VpcRegion, at_once, rotating


def deliver(region: VpcRegion, client: VpcClient, key: AccessKey | None = None) -> str:
    """Make a call; return what came of it."""
    try:
        region.list(client, key)
    except ApiRefused as error:
        return error.code
    except ApiUnavailable:
        return "unavailable"
    return "listed"


def test_a_key_that_is_not_known_is_tried_by_one_call_for_all(region: VpcRegion) -> None:
    region.emulator.keys = {}
    client = region.client()
    assert set(at_once(16, lambda: deliver(region, client))) == {"APIGW.0301"}
    assert region.refusals == 1


def test_a_key_that_worked_is_tried_by_one_call_alone_once_the_api_has_not_accepted_it_for_5_s(
    region: VpcRegion,
) -> None:
    client = region.client()
    assert deliver(region, client) == "listed"
    region.time.pass_(6)
    region.emulator.keys = {}
    assert set(at_once(16, lambda: deliver(region, client))) == {"APIGW.0301"}
    assert region.refusals == 1


def test_a_key_that_was_accepted_a_moment_ago_is_used_by_all_at_once(region: VpcRegion) -> None:
    client = region.client()
    assert deliver(region, client) == "listed"
    together = threading.Barrier(4)

    async def hold(_: str) -> None:
        await region.emulator.loop.run_in_executor(None, together.wait, 10)

    region.emulator.hold = hold
    assert set(at_once(4, lambda: deliver(region, client))) == {"listed"}


def test_a_refusal_whose_text_is_lost_is_still_one(region: VpcRegion) -> None:
    """Its status is enough: a call that is tried again brings the key nearer to its lock."""
    region.emulator.keys = {}
    region.emulator.faults.append(Fault("list_sessions", "truncate", times=-1))
    client = region.client()
    with pytest.raises(KeyCoolingDown):
        region.list(client, attempts=4)
    assert deliver(region, client) == ""
    assert region.refusals == 1


def test_a_wrong_key_of_the_platform_cools_down_too_and_holds_up_no_other(region: VpcRegion) -> None:
    client = region.client()
    for hours in range(3):  # it is the same key, whenever it is said to expire
        wrong = AccessKey("agency", "wrong", "token", NOON + timedelta(hours=hours))
        assert deliver(region, client, wrong) == "APIGW.0301"
    assert deliver(region, client) == "listed"
    assert region.refusals == 1


def test_a_key_is_tried_again_when_it_has_cooled_down(region: VpcRegion) -> None:
    region.emulator.keys = {}
    client = region.client()
    assert [deliver(region, client) for _ in range(3)] == ["APIGW.0301"] * 3
    region.time.pass_(299)
    deliver(region, client)
    assert region.refusals == 1
    region.emulator.keys = {ACCESS_KEY: SECRET_KEY}
    region.time.pass_(2)
    assert deliver(region, client) == "listed"


def test_a_key_that_is_withdrawn_during_a_pause_is_not_tried_after_it(region: VpcRegion) -> None:
    old = AccessKey("OLDACCESSKEY", "old-secret", expires_at=region.clock.now() + timedelta(seconds=400))
    region.emulator.keys[old.id] = old.secret

    def sleep(seconds: float) -> None:
        del region.emulator.keys[old.id]
        region.time.pass_(seconds)

    region.emulator.faults.append(Fault(status=503, headers={"Retry-After": "200"}))
    client = region.client(credentials=rotating(region.clock, old, KEY), clock=region.clock._replace(sleep=sleep))
    assert region.api(client, attempts=2).list_sessions(region.deadline(600)).sessions == ()
    assert region.refusals == 0


def test_each_refusal_names_the_lock_and_its_request(region: VpcRegion) -> None:
    region.emulator.keys = {}
    client = region.client()
    for _ in range(2):
        with pytest.raises(KeyCoolingDown, match=r"check the access key; .*the API locks a key") as caught:
            region.list(client)
        assert caught.value.request_id == f"{1:032x}"


@pytest.mark.parametrize(("minutes", "hint"), [(20, "clock is 20 minutes off"), (-90, "clock is 90 minutes off")])
def test_a_key_that_is_refused_because_of_the_clock_is_tried_again_once_the_clock_is_right(
    region: VpcRegion, minutes: int, hint: str
) -> None:
    region.time.wall_offset = minutes * 60
    client = region.client()
    for _ in range(3):
        with pytest.raises(ApiRefused, match=hint):
            region.list(client)
        region.time.pass_(10)
    assert region.refusals == 1
    region.time.wall_offset = 30
    assert deliver(region, client) == "listed"


@pytest.mark.parametrize("date", ["Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 01 Jan 0001 00:00:00 GMT"])
def test_a_date_that_no_clock_has_is_none(region: VpcRegion, date: str) -> None:
    client = region.client()
    region.emulator.faults.append(Fault(status=401, headers={"Date": date}))
    for _ in range(2):
        with pytest.raises(KeyCoolingDown):
            region.list(client)
        region.time.pass_(1)


def test_a_key_that_cools_down_takes_no_turn_of_a_throttled_project(region: VpcRegion) -> None:
    client = region.client()
    assert deliver(region, client, AccessKey("wrong", "key")) == "APIGW.0301"
    region.emulator.faults.append(Fault(status=429, headers={"Retry-After": "20"}))
    assert deliver(region, client) == "unavailable"
    before = region.time.monotonic()
    assert deliver(region, client, AccessKey("wrong", "key")) == "APIGW.0301"
    assert region.time.monotonic() == before


def test_a_right_clock_does_not_shorten_the_cooldown_of_a_wrong_key(region: VpcRegion) -> None:
    region.time.wall_offset = 20 * 60
    client = region.client()
    region.emulator.keys = {}
    for offset in (20 * 60, 20 * 60, 0, 0, 0):
        region.time.wall_offset = offset
        deliver(region, client)
    assert region.refusals == 2


# --- the chain's own key ------------------------------------------------------------------------------------


def test_calls_that_still_hold_the_old_key_go_on_with_the_new(new_region: NewRegion) -> None:
    """Whoever comes with a key that cools down by now asks for the current one before it gives up."""
    region = new_region(keys={"old": "old-sk", "new": "new-sk"})
    client = region.client(credentials=rotating(region.clock, AccessKey("old", "old-sk"), AccessKey("new", "new-sk")))
    assert deliver(region, client) == "listed"
    region.emulator.keys = {"new": "new-sk"}
    assert set(at_once(4, lambda: deliver(region, client))) == {"listed"}


def test_a_second_key_that_is_wrong_too_ends_it(region: VpcRegion) -> None:
    keys = [AccessKey(name, "x") for name in ("one", "two", "three")]
    assert deliver(region, region.client(credentials=rotating(region.clock, *keys))) == "APIGW.0301"
    assert region.refusals == 2


def test_a_changed_profile_file_is_read_when_the_old_key_is_refused(region: VpcRegion, tmp_path: Path) -> None:
    profile = tmp_path / "credentials"
    profile.write_text(f"[basic]\nak={ACCESS_KEY}\nsk=the-old-one\n")
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(profile)}
    credentials = CredentialChain.from_env(environ, clock=region.clock)
    credentials.current(region.deadline())
    profile.write_text(f"[basic]\nak={ACCESS_KEY}\nsk={SECRET_KEY}\n")
    assert deliver(region, region.client(credentials=credentials)) == "listed"
    assert region.refusals == 1


def test_an_answer_to_a_call_from_before_the_refusal_proves_nothing(region: VpcRegion) -> None:
    lockout = KeyLockout(region.clock)
    assert lockout.enter(KEY, region.deadline())
    lockout.on_accepted(KEY)
    assert not lockout.enter(KEY, region.deadline())
    lockout.on_refused(KEY, KeyCoolingDown("no"), None, region.clock.instant())
    lockout.on_accepted(KEY)
    with pytest.raises(KeyCoolingDown):
        lockout.enter(KEY, region.deadline())
    region.time.pass_(301)
    assert lockout.enter(KEY, region.deadline())
    lockout.on_accepted(KEY)
    assert not lockout.enter(KEY, region.deadline())


# --- a probe that tells nothing -----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=429), Fault(kind="reset"), Fault(kind="truncate")])
def test_a_try_that_told_nothing_of_the_key_holds_up_no_other(region: VpcRegion, fault: Fault) -> None:
    region.emulator.faults.append(replace(fault, times=2))
    client = region.client()
    assert "listed" in at_once(4, lambda: deliver(region, client))


def test_a_defect_in_a_try_holds_up_no_other(region: VpcRegion) -> None:
    broken = [True]

    def now() -> datetime:
        if broken[0]:
            raise ZeroDivisionError
        return region.time.now()

    client = region.client(clock=region.clock._replace(now=now))
    with pytest.raises(ZeroDivisionError):
        region.list(client, KEY)
    broken.clear()
    broken.append(False)
    assert deliver(region, client, KEY) == "listed"


def test_any_number_of_keys_of_the_platform_come_and_go(new_region: NewRegion) -> None:
    region = new_region(keys={f"key-{n}": f"sk-{n}" for n in range(100)})
    client = region.client()
    assert {deliver(region, client, AccessKey(f"key-{n}", f"sk-{n}")) for n in [*range(100), 0]} == {"listed"}
    assert region.refusals == 0


def test_a_probe_that_hangs_keeps_nobody_waiting_for_longer_than_a_call_may_take(region: VpcRegion) -> None:
    lockout = KeyLockout(region.clock)
    hanging = lockout.enter(KEY, region.deadline())
    region.time.pass_(PROBE_SECONDS)
    another = lockout.enter(KEY, region.deadline())
    assert hanging is not None
    assert another is not None
    lockout.on_undecided(KEY, hanging)
    with pytest.raises(DeadlineExceeded):
        lockout.enter(KEY, region.deadline(0))
    lockout.on_undecided(KEY, another)
    assert lockout.enter(KEY, region.deadline())


def test_who_waits_for_a_verdict_hears_a_stop(region: VpcRegion) -> None:
    lockout, deadline = KeyLockout(region.clock), region.deadline()
    lockout.enter(KEY, deadline)
    deadline.cancellation.cancel()
    with pytest.raises(Interrupted):
        lockout.enter(KEY, deadline)


def test_a_refusal_of_a_call_from_before_the_key_was_accepted_proves_nothing(region: VpcRegion) -> None:
    lockout, sent = KeyLockout(region.clock), region.clock.instant()
    region.time.pass_(1)
    lockout.enter(KEY, region.deadline())
    lockout.on_accepted(KEY)
    lockout.on_refused(KEY, KeyCoolingDown("no"), None, sent)
    assert lockout.enter(KEY, region.deadline()) is None


def test_after_a_probe_that_is_throttled_no_other_goes_before_its_time(region: VpcRegion) -> None:
    throttled = Fault("list_sessions", status=429, body=b"{}", headers={"Retry-After": "4"})
    region.emulator.faults.append(throttled)
    client = region.client()
    at_once(8, lambda: deliver(region, client))
    first, *others = sorted(call.ended_at for call in region.calls)
    assert others
    assert all(each >= first + timedelta(seconds=4) for each in others)


def test_a_refusal_counts_however_often_other_calls_have_been_accepted_since_it_was_sent(region: VpcRegion) -> None:
    """Where the API's nodes do not all know yet that the key was withdrawn."""
    lockout = KeyLockout(region.clock)
    lockout.enter(KEY, region.deadline())
    lockout.on_accepted(KEY)
    region.time.pass_(1)
    sent = region.clock.instant()
    region.time.pass_(1)
    lockout.on_accepted(KEY)
    lockout.on_refused(KEY, KeyCoolingDown("no"), None, sent)
    with pytest.raises(KeyCoolingDown):
        lockout.enter(KEY, region.deadline())
