"""Arrays of Python objects: packed when all of them are leaves, else pickled."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from proxystore import _core
from proxystore.serialize import deserialize
from proxystore.serialize import serialize

N = 1000


class Text(str):
    """A text of a class of its own."""


def array(elements: list[Any]) -> Any:
    made = np.empty(len(elements), dtype=object)
    made[:] = elements
    return made


def is_packed(frame: bytes) -> bool:
    return b'rebuild_objects' in frame


def same(a: Any, b: Any) -> bool:
    return (
        type(a) is np.ndarray is type(b)
        and a.dtype == b.dtype == object
        and a.shape == b.shape
        and [type(one) for one in a.flat] == [type(one) for one in b.flat]
        and all(
            x == y or x != x and y != y for x, y in zip(a.flat, b.flat, strict=True)
        )
    )


PACKED: dict[str, list[Any]] = {
    'texts': [f'row {i}' for i in range(N)],
    'few texts': ['alpha', 'ü', ''] * N,
    'long texts': ['x' * i for i in range(1, 400)],
    'missing': [None, 'a', float('nan')] * N,
    'numbers': [1, -(2**63), 2**64 - 1, 2**100, -(2**70), 1.5, True, False] * N,
    'bytes': [b'', b'abc', bytes(100)] * N,
    'none at all': [None] * N,
}

PICKLED: dict[str, list[Any]] = {
    'lone surrogates': ['\ud800'] + ['a'] * N,
    'subclass': [Text('a')] + ['a'] * N,
    'numpy scalars': [np.float64(1.5)] * N,
    'lists': [[1], [2]] * N,
    'decimals': [decimal.Decimal('1.5')] * N,
    'one long text many times': ['x' * 1000] * N,
    'a very long text': ['x' * 100_000] + ['a'] * N,
    'few': ['a', 'b'],
}


@pytest.mark.parametrize('name', PACKED)
def test_leaves_are_packed(name: str) -> None:
    flat = array(PACKED[name])
    square = array(PACKED[name][:100]).reshape(10, 10)
    for each in (
        flat,
        square,
        np.asfortranarray(square),
        flat[::2],
        square.T,
        flat[:0],
    ):
        frame = serialize(each)
        assert is_packed(frame) == (each.size >= 64)
        back = deserialize(frame)
        assert same(back, each)
        assert back.flags.writeable
        assert back.flags.f_contiguous == each.copy(order='K').flags.f_contiguous


@pytest.mark.parametrize('name', PICKLED)
def test_what_else_there_is_is_pickled(name: str) -> None:
    each = array(PICKLED[name])
    frame = serialize(each)
    assert not is_packed(frame)
    assert same(deserialize(frame), each)


def test_text_that_is_met_often_is_shared() -> None:
    back = deserialize(serialize(array(['one', 'another one'] * N)))
    assert len({id(one) for one in back}) < 10


def test_an_array_within_itself() -> None:
    each = array(['a'] * N)
    each[5] = each
    back = deserialize(serialize(each))
    assert back[5] is back


@pytest.mark.parametrize('dtype', ['object', 'str', pd.StringDtype('python')])
def test_text_columns(dtype: Any) -> None:
    series = pd.Series(['row', None, 'ü'] * N, dtype=dtype)
    frame = pd.DataFrame({'s': series, 'x': np.arange(3.0 * N)})
    for each in (series, frame):
        back = deserialize(serialize(each))
        assert back.equals(each)
        pd.testing.assert_index_equal(back.index, each.index)


def test_references_do_not_leak() -> None:
    import sys

    text = ''.join(['a text', ' of its own'])
    each = array([text] * N)
    frame = serialize(each)
    before = sys.getrefcount(text), sys.getrefcount(None)
    for _ in range(20):
        serialize(each)
        deserialize(frame)
    after = sys.getrefcount(text), sys.getrefcount(None)
    assert after[0] == before[0]
    assert abs(after[1] - before[1]) < 100  # it is immortal from 3.12 on


def test_damaged_bytes() -> None:
    packed = bytes(memoryview(_core.pack_objects(array(['a', 'bc'] * N))))
    with pytest.raises(ValueError, match='MessagePack'):
        _core.unpack_objects(packed[:-1], np.empty(2 * N, object))
    with pytest.raises(ValueError, match='MessagePack'):
        _core.unpack_objects(packed, np.empty(2 * N - 1, object))
    with pytest.raises(ValueError, match='MessagePack'):
        _core.unpack_objects(b'\x91\x90', np.empty(1, object))
    for wrong in (np.zeros(5), np.empty(5, object)[::2], b'abc'):
        with pytest.raises((TypeError, ValueError, BufferError)):
            _core.unpack_objects(packed, wrong)
        with pytest.raises((TypeError, ValueError, BufferError)):
            _core.pack_objects(wrong)
