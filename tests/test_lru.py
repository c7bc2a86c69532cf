"""A bounded mapping."""

from __future__ import annotations

from handler.lru import LruCache


def test_what_was_used_least_recently_makes_way() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (cache.get("a"), cache.get("b"), cache.get("c"), len(cache)) == (1, None, 3, 2)
    assert cache.get_or_add("a", lambda: 9) == 1
    assert cache.get_or_add("d", lambda: 4) == 4
    assert (cache.get("a"), cache.get("c")) == (1, None)


def test_a_newer_value_takes_the_place_of_an_older_one() -> None:
    cache: LruCache[str, int] = LruCache(2)
    for value in range(5):
        cache.put("a", value)
    assert (cache.get("a"), len(cache)) == (4, 1)
