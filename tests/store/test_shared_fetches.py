"""Threads that want one object share its fetch, whatever its key looks like."""

from __future__ import annotations

import threading
from typing import Any
from typing import NamedTuple

import pytest
from proxystore.connectors.endpoint import EndpointKey
from proxystore.store import Store


class Shelf:
    """A connector of somebody's own, whose gets wait until they are let go."""

    def __init__(self) -> None:
        self.fetched: list[Any] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def put(self, obj: Any) -> Any: ...

    def put_batch(self, objs: Any) -> Any: ...

    def get_batch(self, keys: Any) -> Any: ...

    def get(self, key: Any) -> bytes:
        self.fetched.append(key)
        self.begun.release()
        assert self.go.wait(20)
        return repr(key).encode()

    def exists(self, key: Any) -> bool:
        return True

    def evict(self, key: Any) -> None: ...

    def close(self) -> None: ...

    def config(self) -> dict[str, Any]:
        return {}


class Part(NamedTuple):
    """A part of a key that is itself a key."""

    name: str
    number: int


class Odd(NamedTuple):
    """A key with a part that is only pickled."""

    place: complex


KEYS: list[Any] = [
    EndpointKey('name', '5a0f2d1e-93ac-4ad7-9e1f-0d3a1c6b7e55'),
    EndpointKey('name', None),
    ('one',),
    (Part('a', 1), b'bytes', True),
    ('lone \udcff', 'surrogate'),
    Odd(1 + 2j),
    'text alone',
    (2**200, -1),
]


def get_all(
    store: Store[Any], keys: list[Any], shelf: Shelf, fetches: int
) -> list[Any]:
    results: dict[int, Any] = {}

    def get(number: int) -> None:
        results[number] = store.get(keys[number])

    threads = [threading.Thread(target=get, args=(n,)) for n in range(len(keys))]
    for thread in threads:
        thread.start()
    for _ in range(fetches):
        assert shelf.begun.acquire(timeout=20)
    # One fetch too many would begin now.
    shelf.begun.acquire(timeout=0.1)
    shelf.go.set()
    for thread in threads:
        thread.join(20)
    return [results[number] for number in range(len(keys))]


@pytest.mark.parametrize('key', KEYS, ids=repr)
def test_equal_keys_share_one_fetch(key: Any) -> None:
    shelf = Shelf()
    with Store('flights', shelf, deserializer=bytes, cache_size=0) as store:  # type: ignore[type-var]
        results = get_all(store, [key] * 4, shelf, 1)
    assert shelf.fetched == [key]
    assert results == [repr(key).encode()] * 4


def test_different_keys_never_share_one() -> None:
    keys: list[Any] = [
        ('a', 'bc'),
        ('ab', 'c'),
        ('a', 'bc', None),
        ('a', ('bc',)),
        ('a', b'bc'),
        ('1', '2'),
        (1, 2),
        (1 + 2j,),
        (1 - 2j,),
    ]
    shelf = Shelf()
    with Store('flights', shelf, deserializer=bytes, cache_size=0) as store:  # type: ignore[type-var]
        results = get_all(store, keys, shelf, len(keys))
    assert results == [repr(key).encode() for key in keys]


def test_a_key_that_does_not_pickle_is_fetched_by_each() -> None:
    key = (threading.Lock(),)
    shelf = Shelf()
    with Store('flights', shelf, deserializer=bytes, cache_size=0) as store:  # type: ignore[type-var]
        results = get_all(store, [key] * 2, shelf, 2)
    assert results == [repr(key).encode()] * 2
