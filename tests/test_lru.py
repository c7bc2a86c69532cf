"""A bounded mapping."""

from __future__ import annotations

from handler.lru import LruCache


def test_what_was_used_least_recently_makes_way() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c")) == (1, None, 3)


def test_a_newer_value_takes_the_place_of_an_older_one() -> None:
    cache: LruCache[str, int] = LruCache(2)
    for value in range(5):
        cache.put("a", value)
    cache.put("b", 9)
    assert (cache.get("a"), cache.get("b")) == (4, 9)
