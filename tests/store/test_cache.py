"""The cache: what goes first, and what it counts."""

from __future__ import annotations

import threading

import pytest
from proxystore.store.cache import LRUCache


def test_the_oldest_goes_first() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    cache.set('a', 1)
    cache.set('b', 2)
    assert cache.get('a') == 1  # now the youngest
    cache.set('c', 3)
    assert [cache.exists(key) for key in 'abc'] == [True, False, True]
    cache.set('a', 4)
    assert cache.get('a') == 4
    assert (cache.hits, cache.misses) == (2, 0)
    assert cache.get('b') is None
    assert cache.get('b', 7) == 7
    assert (cache.hits, cache.misses) == (2, 2)
    cache.evict('a')
    cache.evict('a')
    assert not cache.exists('a')
    assert cache.maxsize == 2


def test_a_cache_of_nothing() -> None:
    cache: LRUCache[int, int] = LRUCache(0)
    cache.set(1, 1)
    assert cache.get(1) is None
    with pytest.raises(ValueError, match='-1'):
        LRUCache(-1)


def test_threads() -> None:
    cache: LRUCache[int, int] = LRUCache(8)

    def work() -> None:
        for number in range(2000):
            cache.set(number % 20, number)
            cache.get((number + 7) % 20)
            cache.evict(number % 3)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.hits + cache.misses == 8000
    assert sum(cache.exists(number) for number in range(20)) <= 8
