"""The refresh of keys: in time, by one thread for all, and once where it is of no use."""

from __future__ import annotations

import threading

import pytest

from handler.errors import DeadlineExceeded, NotConfigured
from handler.vpc.credentials import AccessKey
from tests.support.clock import FakeClock
from tests.support.credentials import POD, VARIABLES, Chain, deadline, metadata, temporary
from tests.support.vpc_clients import at_once


def test_a_temporary_key_is_refreshed_before_it_expires_and_a_permanent_one_never(chain: Chain) -> None:
    time = FakeClock()
    services = metadata(temporary("first"), temporary("second", 12))
    credentials = chain({}, services, time=time)
    assert credentials.current(deadline()).id == "first-ak"
    time.pass_(5.9 * 3600)
    assert credentials.current(deadline()).id == "first-ak"
    time.pass_(120)
    assert credentials.current(deadline()).id == "second-ak"
    permanent = chain(VARIABLES, services, time=time)
    assert permanent.current(deadline()) is permanent.current(deadline())


def test_a_key_that_cannot_be_refreshed_yet_is_used_while_it_lasts(chain: Chain) -> None:
    time, services = FakeClock(), metadata(temporary())
    credentials = chain({}, services, time=time)
    first = credentials.current(deadline())
    services.answers = {}
    time.pass_(5.95 * 3600)
    asked = len(services.asked)
    assert [credentials.current(deadline()) for _ in range(3)] == [first] * 3
    assert len(services.asked) == asked + 1
    time.pass_(240)
    with pytest.raises(NotConfigured, match="the ECS metadata service: no answer"):
        credentials.current(deadline())


def test_a_provider_that_fails_for_once_does_not_make_us_another_identity(chain: Chain, pod: dict[str, str]) -> None:
    time, services = FakeClock(), metadata(temporary("meta"))
    services.answers[POD] = temporary("pod")
    credentials = chain(pod, services, time=time)
    assert credentials.current(deadline()).id == "pod-ak"
    del services.answers[POD]
    time.pass_(5.95 * 3600)
    assert credentials.current(deadline()).id == "pod-ak"


def test_an_expired_key_that_its_provider_still_hands_out_is_used_and_asked_for_once_a_minute(chain: Chain) -> None:
    time, services = FakeClock(), metadata(temporary(hours=-1))
    credentials = chain({}, services, time=time)
    assert {credentials.current(deadline()).id for _ in range(9)} == {"meta-ak"}
    assert len(services.asked) == 4
    time.pass_(61)
    assert {credentials.current(deadline()).id for _ in range(9)} == {"meta-ak"}
    assert len(services.asked) == 6


def test_many_threads_that_have_no_key_ask_once(chain: Chain) -> None:
    services = metadata(temporary())
    credentials = chain({}, services)
    assert len({key.id for key in at_once(16, lambda: credentials.current(deadline()))}) == 1
    assert len(services.asked) == 2


def test_one_thread_refreshes_while_the_others_go_on_with_the_key_they_have(chain: Chain) -> None:
    time, services = FakeClock(), metadata(temporary("first"), temporary("second", 12))
    credentials = chain({}, services, time=time)
    credentials.current(deadline())
    time.pass_(5.95 * 3600)
    meanwhile: list[str] = []
    services.on_ask = lambda: meanwhile.append(credentials.current(deadline()).id)
    assert credentials.current(deadline()).id == "second-ak"
    assert set(meanwhile) == {"first-ak"}
    assert len(services.asked) == 4


def test_who_waits_for_another_to_read_the_keys_waits_no_longer_than_its_deadline(chain: Chain) -> None:
    services = metadata(temporary())
    credentials = chain({}, services)
    reading, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        reading.set()
        assert go_on.wait(30)

    services.on_ask = wait
    reader = threading.Thread(target=lambda: credentials.current(deadline()))
    reader.start()
    assert reading.wait(30)
    for ask in (credentials.current, lambda soon: credentials.refresh(AccessKey("a", "s"), soon)):
        with pytest.raises(DeadlineExceeded):
            ask(deadline(0.05))
    go_on.set()
    reader.join(30)


# --- a key that the API refused ---------------------------------------------------------------------------------


def test_the_sources_are_read_again_for_a_key_that_was_refused(chain: Chain) -> None:
    services = metadata(temporary("first"), temporary("second"))
    credentials = chain({}, services)
    first = credentials.current(deadline())
    second = credentials.refresh(first, deadline())
    assert second is not None
    assert second.id == "second-ak"
    assert credentials.refresh(first, deadline()) == second  # another thread had the first in hand, too
    assert credentials.current(deadline()) == second
    assert len(services.asked) == 4


def test_there_is_no_other_key_where_the_providers_have_the_same_or_none(chain: Chain) -> None:
    same = chain(VARIABLES)
    assert same.refresh(same.current(deadline()), deadline()) is None
    services = metadata(temporary())
    none = chain({}, services)
    refused = none.current(deadline())
    services.answers = {}
    for _ in range(3):
        assert none.refresh(refused, deadline()) is None
    assert len(services.asked) == 3


def test_a_key_that_was_rotated_is_found_within_a_minute(chain: Chain) -> None:
    time = FakeClock()
    services = metadata(temporary("old"), temporary("old"), temporary("new"))
    credentials = chain({}, services, time=time)
    old = credentials.current(deadline())
    assert [credentials.refresh(old, deadline()) for _ in range(3)] == [None] * 3
    time.pass_(61)
    new = credentials.refresh(old, deadline())
    assert new is not None
    assert new.id == "new-ak"
