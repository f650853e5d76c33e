"""Objects of more than 2 GiB, which one read or write of the kernel's does not take.

The source takes hardly any memory: it is nearly all zeros that were never written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import AbstractContextManager
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.store import Store

from ..conftest import OwnRedis

pytestmark = pytest.mark.integration

SIZE = 2_300_000_000
MARKED = [0, 1, 2**31 - 4097, 2**31 - 1, 2**31, 2**31 + 1, SIZE - 1]


def source() -> Any:
    array = np.zeros(SIZE, 'u1')
    array[MARKED] = range(1, len(MARKED) + 1)
    return array


def is_whole(array: Any) -> bool:
    return bool(
        array.shape == (SIZE,)
        and list(array[MARKED]) == list(range(1, len(MARKED) + 1))
        and np.count_nonzero(array) == len(MARKED)
    )


@contextmanager
def in_memory(_: Path) -> Iterator[Any]:
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        yield FileConnector(f'{folder}/objects')


@contextmanager
def on_disk(folder: Path) -> Iterator[Any]:
    yield FileConnector(str(folder / 'objects'))


@contextmanager
def in_process(_: Path) -> Iterator[Any]:
    yield LocalConnector()


@contextmanager
def in_redis(folder: Path) -> Iterator[Any]:
    with OwnRedis(folder) as server:
        yield RedisConnector(server.host, server.port)


Place = Callable[[Path], AbstractContextManager[Any]]


@pytest.mark.parametrize('place', [in_memory, on_disk, in_process, in_redis])
def test_an_array(place: Place, tmp_path: Path) -> None:
    with (
        place(tmp_path) as connector,
        Store('large', connector, cache_size=0, register=False) as store,
    ):
        key = store.put(source())
        for access in ('auto', 'copy'):
            back = store.get(key, access=access)
            assert is_whole(back), access
            back[5] = 1  # its own
            del back
        store.evict(key)


@pytest.mark.parametrize('place', [in_memory, on_disk])
def test_within_other_objects(place: Place, tmp_path: Path) -> None:
    with (
        place(tmp_path) as connector,
        Store('large', connector, cache_size=0, register=False) as store,
    ):
        key = store.put({'array': source(), 'a': range(3)})  # pickled, out of band
        back = store.get(key)
        assert is_whole(back['array'])
        assert back['a'] == range(3)
        del back
        store.evict(key)
        text = bytes(source())
        key = store.put([text, 1])
        assert store.get(key) == [text, 1]
        store.evict(key)
