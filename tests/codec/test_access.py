"""What a store's connector and access hint make of the decoded object."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store


@pytest.fixture
def local() -> Any:
    with Store('local', LocalConnector(), cache_size=0, register=False) as store:
        yield store


@pytest.fixture
def file(tmp_path: pathlib.Path) -> Any:
    connector = FileConnector(str(tmp_path / 'store'))
    with Store('file', connector, cache_size=0, register=False) as store:
        yield store


@pytest.mark.parametrize('size', [0, 1, 100, 1_000_000])
def test_immutable_objects_are_kept_by_reference(local: Any, size: int) -> None:
    for value in ('x' * size, b'x' * size, 'ü' * size):
        back = local.get(local.put(value))
        assert back is value


def test_mutable_objects_are_not(local: Any) -> None:
    value = bytearray(1000)
    assert local.get(local.put(value)) is not value


def test_bytes_of_a_serializer_are_kept_for_the_deserializer(local: Any) -> None:
    made = b'made by hand' * 100
    key = local.put('anything', serializer=lambda obj: made)
    seen = []
    local.get(key, deserializer=seen.append)
    assert seen[0] is made
    with pytest.raises(Exception, match='deserializer'):
        local.get(key)


@pytest.mark.parametrize('size', [10, 100_000, 3_000_000])
def test_a_view_takes_no_writes_and_is_nobody_elses(
    tmp_path: pathlib.Path, size: int
) -> None:
    connector = FileConnector(str(tmp_path / 'store'))
    with Store('views', connector, register=False) as store:
        key = store.put({'a': np.arange(size), 'o': 1})
        view = store.get(key, access='view')
        assert view['a'].sum() == size * (size - 1) // 2
        assert size < 100 or not view['a'].flags.writeable
        back = store.get(key)
        assert back['a'].flags.writeable
        back['a'][0] = 7
        assert view['a'][0] == 0


@pytest.mark.parametrize('access', ['auto', 'copy', 'cow'])
@pytest.mark.parametrize('size', [10, 100_000, 3_000_000])
def test_every_get_is_a_value_of_its_own(file: Any, access: str, size: int) -> None:
    key = file.put(np.arange(size))
    first, second = file.get(key, access=access), file.get(key, access=access)
    first[:] = 0
    np.testing.assert_array_equal(second, np.arange(size))
    np.testing.assert_array_equal(file.get(key), np.arange(size))


def test_arrays_outlive_eviction_and_store(file: Any) -> None:
    key = file.put([np.arange(3_000_000), np.arange(10)])
    large, small = file.get(key)
    file.evict(key)
    file.close()
    assert large.sum() == 2_999_999 * 1_500_000
    assert small.sum() == 45
