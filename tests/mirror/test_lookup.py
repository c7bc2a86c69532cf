"""Which list is asked, what it costs, and that a suspect is only what no list showed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import ApiUnavailable, BadReply, DeadlineExceeded
from handler.mirror.lookup import BATCH, MOST_UNLISTED, Lookup
from tests.support.cloud import Clock, Cloud


def batches(count: int) -> int:
    return -(-count // BATCH)


@given(st.integers(0, 700), st.integers(0, 3000), st.integers(1, 1000), st.integers(0, 700))
def test_it_costs_at_most_twice_the_cheaper_list_and_suspects_what_is_not_shown(
    wanted: int, others: int, page_size: int, dead: int
) -> None:
    """One page more is read at most, to see whether anything at all can be seen."""
    cloud = Cloud(Clock())
    cloud.page_size = page_size
    ids = [f"i{number}" for number in range(wanted)]
    cloud.interfaces = dict.fromkeys([*(f"x{number}" for number in range(others)), *ids[dead:]])
    lookup = Lookup(ids)
    lookup.run(cloud.api(), 4, lambda: None)
    assert list(lookup.unseen) == ids[:dead]
    cheaper = min(batches(wanted), -(-max(1, len(cloud.interfaces)) // page_size))
    assert len(cloud.calls) == lookup.pages + lookup.batches <= 2 * cheaper + (not lookup.visible)


def test_what_was_seen_before_is_not_looked_up() -> None:
    cloud = Cloud(Clock())
    lookup = Lookup(["a", "b"], seen={"a", "b"})
    lookup.run(cloud.api(), 4, lambda: None)
    assert (cloud.calls, lookup.visible, list(lookup.unseen)) == ([], True, [])


def test_two_refused_lookups_leave_suspects_and_three_are_an_error(cloud: Cloud) -> None:
    ids = [f"i{number}" for number in range(5 * BATCH)]
    cloud.interfaces = dict.fromkeys(ids)
    refused = BadReply("a list that answers 404 for an id it does not know")
    cloud.next("list_all_interfaces", *[ApiUnavailable("away")] * 2)
    cloud.next("list_interfaces", refused, refused)
    lookup = Lookup(ids)
    lookup.run(cloud.api(), 1, lambda: None)
    assert list(lookup.unseen) == ids[:MOST_UNLISTED]
    cloud.next("list_interfaces", refused, refused, refused)
    with pytest.raises(BadReply):
        Lookup(ids).run(cloud.api(), 1, lambda: None)


@pytest.mark.parametrize("seconds", [1, 2, 3])
def test_what_was_seen_when_time_ran_out_stays_seen(cloud: Cloud, seconds: int) -> None:
    cloud.latency, cloud.page_size = 0.6, BATCH
    ids = [f"i{number}" for number in range(3 * BATCH)]
    cloud.interfaces = dict.fromkeys([*(f"x{number}" for number in range(10 * BATCH)), *ids])
    lookup = Lookup(ids)
    with pytest.raises(DeadlineExceeded):
        lookup.run(cloud.api(seconds), 1, lambda: None)
    assert len(lookup.unseen) == {1: 3, 2: 3, 3: 2}[seconds] * BATCH
