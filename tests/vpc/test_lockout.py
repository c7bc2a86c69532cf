"""The lockout guard: the API locks a key for five minutes after more than five failed authentications in a row."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from handler.cli.commands.demo import cts_event
from handler.emulator.sample import ACCESS_KEY, PROJECT_ID, SECRET_KEY, Tenant
from handler.emulator.server import Emulator, Fault
from handler.errors import ApiRefused
from handler.model import Deadline
from handler.vpc.credentials import AccessKey, Credentials, Source
from tests.conftest import NewFunction, untraced
from tests.vpc.conftest import KEYS, NewRegion, Region

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=timezone.utc)
FAR = NOW + timedelta(hours=12)
ACCESS, SECRET = KEYS.values()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def rotating(*keys: AccessKey) -> Credentials:
    """Return credentials that give one key after the other, the last for ever, each time they are read."""
    left = list(keys)
    return Credentials([Source("a test", lambda _: left.pop(0) if len(left) > 1 else left[0])], lambda: NOW)


def failures(emulator: Emulator) -> int:
    return sum(call.status == 401 for call in emulator.calls)


@untraced
def test_a_storm_with_a_wrong_key_fails_at_most_twice_and_answers_each_delivery_502(
    new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    function = new_function(HUAWEICLOUD_SDK_SK="wrong")
    before = tenant.cloud.sources(PROJECT_ID)
    dead = tenant.interfaces["api-3"]
    tenant.cloud.delete_port(dead)
    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(lambda n: function.post(cts_event(dead, trace=n)), range(500)))
    assert Counter(answer.status for answer in answers) == {502: 500}
    assert 1 <= failures(emulator) <= 2
    assert tenant.cloud.sources(PROJECT_ID) == before
    assert "check the access key" in answers[-1].problem["detail"]
    assert all(key not in answers[-1].body.decode() for key in (ACCESS_KEY, SECRET_KEY))


def test_a_refusal_whose_text_is_lost_is_still_one(
    new_function: NewFunction, emulator: Emulator, tenant: Tenant
) -> None:
    """Its status is enough: a call that is tried again brings the key nearer to its lock."""
    function = new_function(HUAWEICLOUD_SDK_SK="wrong")
    emulator.faults.append(Fault("list_sessions", "truncate", times=-1))
    statuses = {function.post(cts_event(tenant.interfaces["api-3"], trace=n)).status for n in range(4)}
    assert (statuses, failures(emulator)) == ({502}, 1)


def test_a_wrong_key_of_the_platform_rests_too_and_holds_up_no_other(region: Region) -> None:
    client = region.client()
    wrong = AccessKey("agency", "wrong", "token")
    for _ in range(3):
        with pytest.raises(ApiRefused):
            region.api(client, key=wrong).list_sessions()
    assert failures(region.emulator) == 1
    assert region.api(client).list_sessions().sessions == ()


def test_a_key_is_tried_again_when_it_has_rested(region: Region) -> None:
    clock = Clock()
    region.emulator.door.keys = {}
    client = region.client(clock=clock)

    def deliver() -> str:
        try:
            region.api(client).list_sessions()
        except ApiRefused as error:
            return error.code
        return "listed"

    assert [deliver() for _ in range(3)] == ["APIGW.0301"] * 3
    assert failures(region.emulator) == 1
    clock.now += 299
    deliver()
    assert failures(region.emulator) == 1
    region.emulator.door.keys = {ACCESS: SECRET}
    clock.now += 2
    assert deliver() == "listed"


def test_a_temporary_key_that_was_renewed_elsewhere_is_read_anew_once(new_region: NewRegion) -> None:
    region = new_region(keys={"new": ("new-sk", "new-token")})
    client = region.client(
        credentials=rotating(AccessKey("old", "old-sk", "t", FAR), AccessKey("new", "new-sk", "new-token", FAR))
    )
    assert region.api(client).list_sessions().sessions == ()
    assert region.api(client).list_sessions().sessions == ()
    assert failures(region.emulator) == 1


def test_deliveries_that_still_hold_the_old_key_go_on_with_the_new(new_region: NewRegion) -> None:
    """Whoever comes to the guard with a key that rests by now asks for the current one before it gives up."""
    region = new_region(keys={"old": "old-sk", "new": "new-sk"})
    client = region.client(credentials=rotating(AccessKey("old", "old-sk"), AccessKey("new", "new-sk")))
    assert region.api(client).list_sessions().sessions == ()
    region.emulator.door.keys = {"new": "new-sk"}
    barrier, refused = threading.Barrier(8), []

    def deliver(_: int) -> None:
        barrier.wait()
        try:
            for _ in range(3):
                region.api(client).list_sessions()
        except ApiRefused as error:
            refused.append(error)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(deliver, range(8)))
    assert refused == []


def test_a_second_key_that_is_wrong_too_ends_it(region: Region) -> None:
    client = region.client(credentials=rotating(AccessKey("one", "x"), AccessKey("two", "x"), AccessKey("three", "x")))
    with pytest.raises(ApiRefused):
        region.api(client).list_sessions()
    assert failures(region.emulator) == 2


def test_a_changed_profile_file_is_read_when_the_old_key_is_refused(region: Region, tmp_path: Path) -> None:
    profile = tmp_path / "credentials"
    environ = {"HUAWEICLOUD_SDK_CREDENTIALS_FILE": str(profile)}

    def write(secret: str) -> None:
        profile.write_text(f"[basic]\nak={KEYS['HUAWEICLOUD_SDK_AK']}\nsk={secret}\n")

    write("the old one")
    credentials = Credentials.from_env(environ)
    credentials.current(Deadline.within(5, lambda: 0.0))
    write(SECRET)
    assert region.api(credentials=credentials).list_sessions().sessions == ()
    assert failures(region.emulator) == 1


@pytest.mark.parametrize(
    ("minutes", "hint"),
    [(20, "clock is 20 minutes off"), (-90, "clock is 90 minutes off"), (0, "check the access key")],
)
def test_a_wrong_clock_is_named(new_region: NewRegion, minutes: int, hint: str) -> None:
    region = new_region(now=lambda: NOW, keys={ACCESS: SECRET if minutes else "another"})
    with pytest.raises(ApiRefused, match=hint) as caught:
        region.api(now=lambda: NOW + timedelta(minutes=minutes)).list_sessions()
    assert caught.value.request_id


def test_a_key_that_is_not_yet_known_is_tried_by_one_thread_for_all(region: Region) -> None:
    region.emulator.door.keys = {}
    client = region.client()

    def deliver(_: int) -> None:
        with pytest.raises(ApiRefused):
            region.api(client).list_sessions()

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(deliver, range(64)))
    assert failures(region.emulator) == 1


@pytest.mark.parametrize("fault", [Fault(status=503), Fault(status=429), Fault(kind="reset"), Fault(kind="truncate")])
def test_a_try_that_told_nothing_of_the_key_holds_up_no_other(region: Region, fault: Fault) -> None:
    fault.times, fault.done = 4, 0
    region.emulator.faults.append(fault)
    client = region.client()

    def deliver(_: int) -> bool:
        try:
            region.api(client, seconds=5).list_sessions()
        except Exception:  # noqa: BLE001 - what matters is who came through
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert any(pool.map(deliver, range(8)))


def test_a_defect_in_a_try_holds_up_no_other(region: Region) -> None:
    def broken() -> datetime:
        raise ZeroDivisionError

    client = region.client()
    right, client.now = client.now, broken
    with pytest.raises(ZeroDivisionError):
        region.api(client).list_sessions()
    client.now = right
    assert region.api(client, seconds=2).list_sessions().sessions == ()


def test_any_number_of_keys_of_the_platform_come_and_go(new_region: NewRegion) -> None:
    region = new_region(keys={f"key-{n}": f"sk-{n}" for n in range(100)})
    client = region.client()
    for n in [*range(100), 0]:
        assert region.api(client, key=AccessKey(f"key-{n}", f"sk-{n}")).list_sessions().sessions == ()
    assert failures(region.emulator) == 0
