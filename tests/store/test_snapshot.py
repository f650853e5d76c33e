"""What another thread writes during a put: stored in part, but never with `snapshot`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.store import Store

SIZE = 8 << 20


@pytest.fixture
def store(store_dir: Path) -> Iterator[Store[Any]]:
    connector = FileConnector(str(store_dir))
    with Store('snapshots', connector, cache_size=0, populate_target=False) as store:
        store._register = True
        from proxystore.store import register_store

        register_store(store)
        yield store


@contextmanager
def overwritten(memory: bytearray) -> Iterator[None]:
    """Overwrites all of it in one step of the interpreter, again and again, elsewhere."""
    done = threading.Event()
    contents = [bytes([value]) * len(memory) for value in range(1, 5)]

    def overwrite() -> None:
        with memoryview(memory) as view:
            while not done.is_set():
                for content in contents:
                    view[:] = content

    thread = threading.Thread(target=overwrite)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def is_torn(array: Any) -> bool:
    return bool(array.min() != array.max())


def put(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return store.get(store.put(obj, snapshot=snapshot))


def put_batch(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    (key,) = store.put_batch([obj], snapshot=snapshot)
    return store.get(key)


def proxy(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return store.proxy(obj, snapshot=snapshot) + 0


def proxy_batch(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return store.proxy_batch([obj], snapshot=snapshot)[0] + 0


def owned_proxy(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return store.owned_proxy(obj, snapshot=snapshot) + 0


def locked_proxy(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return store.locked_proxy(obj, snapshot=snapshot).unlock() + 0


def set_result(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    future: Any = store.future()
    future.set_result(obj, snapshot=snapshot)
    return future.result()


def aput(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return store.get(asyncio.run(store.aput(obj, snapshot=snapshot)))


def aproxy(store: Store[Any], obj: Any, snapshot: bool) -> Any:
    return asyncio.run(store.aproxy(obj, snapshot=snapshot)) + 0


WAYS = [
    put,
    put_batch,
    proxy,
    proxy_batch,
    owned_proxy,
    locked_proxy,
    set_result,
    aput,
    aproxy,
]


@pytest.mark.parametrize('way', WAYS, ids=lambda way: way.__name__)
def test_an_array_that_is_overwritten(
    store: Store[Any], way: Callable[[Store[Any], Any, bool], Any]
) -> None:
    memory = bytearray(SIZE)
    array = np.frombuffer(memory, 'u1')
    with overwritten(memory):
        assert any(is_torn(way(store, array, False)) for _ in range(100))
        assert not any(is_torn(way(store, array, True)) for _ in range(10))


class Holder:
    def __init__(self, array: Any) -> None:
        self.array = array


@pytest.mark.parametrize('kind', ['bytearray', 'memoryview', 'dict', 'pickled'])
def test_what_holds_memory_that_is_overwritten(store: Store[Any], kind: str) -> None:
    memory = bytearray(SIZE)
    array = np.frombuffer(memory, 'u1')
    objects = {
        'bytearray': (memory, lambda back: np.frombuffer(back, 'u1')),
        'memoryview': (memoryview(memory), lambda back: np.frombuffer(back, 'u1')),
        'dict': ({'a': [array]}, lambda back: back['a'][0]),
        'pickled': (Holder(array), lambda back: back.array),
    }
    obj, array_of = objects[kind]
    with overwritten(memory):
        assert any(is_torn(array_of(put(store, obj, False))) for _ in range(100))
        assert not any(is_torn(array_of(put(store, obj, True))) for _ in range(10))


def test_what_cannot_change_is_not_copied() -> None:
    from proxystore.connectors.local import LocalConnector

    store = Store('snapshots-of-bytes', LocalConnector(), cache_size=0)
    for obj in (bytes(SIZE), 'x' * SIZE):
        # The memory connector keeps immutable objects themselves.
        assert put(store, obj, True) is obj


def test_a_serializer_of_ones_own(store: Store[Any]) -> None:
    memory = bytearray(b'abc')
    key = store.put(None, serializer=lambda _: memory, snapshot=True)
    assert store.get(key, deserializer=bytes) == b'abc'
    memory.append(0)  # nothing holds on to it
