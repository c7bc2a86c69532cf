"""What a process remembers of its own removals: bounded, and careful with what may be an old list."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from handler.mirror.ledger import SETTLED, Ledger


def test_what_happened_long_before_it_was_seen_counts() -> None:
    ledger = Ledger()
    ledger.enter(("p", "s", "i"), 100)
    ledger.enter(("p", "s", "i"), 200)
    assert ledger.times(("p", "s", "i"), 300) == 2
    assert ledger.times(("p", "s", "i")) == 2
    assert ledger.times(("p", "s", "other"), 300) == 0


def test_what_may_not_show_yet_does_not_count() -> None:
    ledger = Ledger()
    ledger.enter(("p", "s", "i"), 100)
    assert ledger.times(("p", "s", "i"), 99) == 0
    assert ledger.times(("p", "s", "i"), 100 + SETTLED) == 0
    assert ledger.times(("p", "s", "i"), 100.1 + SETTLED) == 1


def test_the_same_thing_within_seconds_happened_once() -> None:
    ledger = Ledger()
    ledger.enter(("p", "i"), 100)
    ledger.enter(("p", "i"), 100 + SETTLED)
    assert ledger.times(("p", "i")) == 1


@given(st.lists(st.tuples(st.sampled_from("abcdef")), max_size=40), st.integers(1, 6))
def test_it_remembers_the_latest_and_no_more_than_it_may(keys: list[tuple[str]], most: int) -> None:
    ledger = Ledger(most)
    for second, key in enumerate(keys):
        ledger.enter(key, second)
    latest = list(dict.fromkeys(reversed(keys)))
    assert [bool(ledger.times(key)) for key in latest] == [place < most for place in range(len(latest))]
