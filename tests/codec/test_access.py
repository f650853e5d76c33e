"""What a store's connector and access hint make of the decoded object."""

from __future__ import annotations

import contextlib
import pathlib
from typing import Any

import numpy as np
import pandas as pd
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


def mappings_below(folder: pathlib.Path) -> int:
    maps = pathlib.Path('/proc/self/maps').read_text()
    return sum(str(folder) in line for line in maps.splitlines())


def test_a_slice_keeps_its_memory_and_a_copy_lets_it_go(
    file: Any, tmp_path: pathlib.Path
) -> None:
    key = file.put(np.arange(3_000_000))
    part = file.get(key)[5:10]
    file.evict(key)
    assert mappings_below(tmp_path) == 1
    assert part.tolist() == [5, 6, 7, 8, 9]
    kept = part.copy()
    del part
    assert mappings_below(tmp_path) == 0
    assert kept.tolist() == [5, 6, 7, 8, 9]


@pytest.mark.parametrize('size', [10, 100_000, 3_000_000])
def test_arrays_do_not_own_their_memory(file: Any, size: int) -> None:
    back = file.get(file.put(np.arange(size)))
    assert not back.flags.owndata
    with pytest.raises(ValueError, match='own'):
        back.resize(size + 1, refcheck=False)
    back.sort()  # anything that keeps the length


def test_a_table_seen_through_a_view(file: Any) -> None:
    key = file.put(pd.DataFrame({'a': np.arange(1_000_000), 'b': 1.5}))
    view = file.get(key, access='view')
    assert view.a.sum() == 999_999 * 500_000
    assert view.groupby(view.a % 3).b.sum().sum() == 1_500_000
    assert view.sort_values('a', ascending=False).a.iloc[0] == 999_999
    with pytest.raises(ValueError, match='read-only'):
        view.a.to_numpy()[0] = 7
    # pandas raises or copies first, from version to version.
    with contextlib.suppress(ValueError):
        view.iloc[0, 0] = 7
    assert file.get(key).a[0] == 0


STORE: list[Any] = []


class Again:
    """Gets others while it is made from memory of the same pool."""

    def __init__(self, key: Any, array: Any) -> None:
        self.key, self.array = key, array

    def __reduce__(self) -> Any:
        return again, (self.key, self.array)


def again(key: Any, array: Any) -> Any:
    before = int(array.sum())
    inner = STORE[-1].get(key, access='copy')
    assert int(array.sum()) == before
    return array, inner


@pytest.mark.parametrize('size', [100, 8_000, 100_000])
def test_an_object_that_gets_others_while_it_is_made(file: Any, size: int) -> None:
    STORE.append(file)
    try:
        key = file.put([np.full(size, 1), 'x'])
        for depth in range(2, 5):
            key = file.put(Again(key, np.full(size, depth)))
        found = file.get(key, access='copy')
        for depth in (4, 3, 2):
            array, found = found
            assert (array == depth).all()
        assert (found[0] == 1).all()
    finally:
        STORE.pop()
