from __future__ import annotations

import math
import pickle
import struct
import sys
from typing import Any

import numpy as np
import pytest
from proxystore.exceptions import FrameError
from proxystore.exceptions import NewerFrameError
from proxystore.serialize import SerializationError
from proxystore.serialize import deserialize
from proxystore.serialize import is_bytes_like
from proxystore.serialize import serialize

PICKLE, BYTES, STR, NDARRAY, MESSAGEPACK, ARROW, FOREIGN = range(7)


def layout(frame: bytes) -> tuple[int, int, list[int]]:
    """Codec, length of the stream, lengths of the buffers."""
    codec = frame[5]
    (stream,) = struct.unpack_from('<Q', frame, 16)
    (count,) = struct.unpack_from('<I', frame, 24)
    return codec, stream, list(struct.unpack_from(f'<{count}Q', frame, 32))


def round_trip(obj: Any) -> Any:
    return deserialize(serialize(obj))


@pytest.mark.parametrize(
    'value',
    [b'', b'abc', bytes(300_000), bytes(5_000_001), bytearray(), bytearray(b'abc')],
    ids=lambda value: f'{type(value).__name__}{len(value)}',
)
def test_bytes(value: bytes | bytearray) -> None:
    frame = serialize(value)
    assert layout(frame)[0] == BYTES
    back = deserialize(frame)
    assert type(back) is type(value)
    assert back == value


def test_memoryview_arrives_as_bytes() -> None:
    assert round_trip(memoryview(b'abc')) == b'abc'
    assert round_trip(memoryview(b'abcdef')[::2]) == b'ace'
    array = np.arange(6, dtype='i2').reshape(2, 3)
    assert round_trip(memoryview(array)) == array.tobytes()
    assert round_trip(memoryview(np.asfortranarray(array))) == array.tobytes()


@pytest.mark.parametrize(
    'value',
    ['', 'abc', 'ü', '日本', '\U0001f600', 'x' * 300_000, 'ü' * 300_000],
    ids=len,
)
def test_text(value: str) -> None:
    frame = serialize(value)
    assert layout(frame)[0] == STR
    assert deserialize(frame) == value


def test_lone_surrogates() -> None:
    assert round_trip('\ud800') == '\ud800'


def test_subclasses_of_bytes_and_text_stay_what_they_are() -> None:
    import collections

    value = collections.UserString('x')
    assert type(round_trip(value)) is collections.UserString

    class Text(str):
        pass

    globals()['Text'] = Text
    Text.__qualname__ = 'Text'
    assert type(round_trip(Text('x'))) is Text


PLAIN = [
    *'?bBhHiIlLqQefdFD',
    '>i4',
    '>f8',
    '>c16',
    '<u2',
    'S5',
    'U3',
    '>U3',
    'M8[ns]',
    '>M8[D]',
    'm8[25s]',
    'm8',
    'M8',
]


@pytest.mark.parametrize('dtype', PLAIN)
@pytest.mark.parametrize('shape', [(), (0,), (3, 0, 2), (7,), (2, 3), (2, 3, 4)])
@pytest.mark.parametrize('order', 'CF')
def test_plain_arrays_need_no_pickle(dtype: str, shape: Any, order: Any) -> None:
    size = math.prod(shape)
    array = np.arange(size).reshape(shape, order=order)
    array = array.astype('i8').view('M8[s]') if dtype == 'M8' else array
    array = np.asarray(array.astype(dtype), order=order)
    frame = serialize(array)
    assert layout(frame)[0] == NDARRAY
    back = deserialize(frame)
    assert type(back) is np.ndarray
    assert back.dtype == array.dtype
    assert back.dtype.byteorder == array.dtype.byteorder
    assert back.shape == array.shape
    assert back.flags.writeable
    assert back.flags.aligned
    if size:
        assert back.flags.c_contiguous == array.flags.c_contiguous
        assert back.flags.f_contiguous == array.flags.f_contiguous
        assert back.ctypes.data % 64 == 0
    np.testing.assert_array_equal(back, array)


def test_arrays_with_gaps() -> None:
    base = np.arange(60.0).reshape(6, 10)
    for array in [
        base[::2],
        base[:, 3:5],
        base[::-1],
        base.T[1:4],
        np.broadcast_to(np.arange(3), (4, 3)),
        base.view('M8[s]')[::2],
        np.frombuffer(b'x' + bytes(16), 'f8', 2, 1),
    ]:
        frame = serialize(array)
        codec, _, buffers = layout(frame)
        assert codec == NDARRAY
        assert buffers == [array.nbytes]
        back = deserialize(frame)
        np.testing.assert_array_equal(back, array)
        assert back.flags.writeable


def test_a_read_only_array_arrives_writable() -> None:
    array = np.arange(1000)
    array.flags.writeable = False
    for back in [round_trip(array), round_trip({'a': array, 1j: object})['a']]:
        back[0] = 5
        assert back[0] == 5
    assert array[0] == 0


def test_the_array_is_a_value_of_its_own() -> None:
    frame = bytearray(serialize(np.arange(10)))
    first, second = deserialize(frame), deserialize(frame)
    first[:] = 0
    frame[-80:] = bytes(80)
    np.testing.assert_array_equal(second, np.arange(10))


@pytest.mark.parametrize(
    'array',
    [
        np.array([1, 'a', None], object),
        np.array([(1, 2.0)], dtype=[('a', 'i4'), ('b', 'f8')]),
        np.arange(4, dtype=np.longdouble),
        np.zeros(3, 'V7'),
        np.ma.masked_array([1, 2, 3], mask=[0, 1, 0]),
    ],
    ids=lambda array: f'{type(array).__name__}-{array.dtype}',
)
def test_other_arrays_by_pickle(array: Any) -> None:
    frame = serialize(array)
    assert layout(frame)[0] == PICKLE
    back = deserialize(frame)
    assert type(back) is type(array)
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_arrays_within_objects_lie_out_of_band() -> None:
    value = {'a': np.arange(1000.0), 'b': [np.zeros((3, 100), 'M8[s]')], 'c': {1j}}
    value['again'] = value['a']
    frame = serialize(value)
    assert sorted(layout(frame)[2]) == [2400, 8000]
    back = deserialize(frame)
    np.testing.assert_array_equal(back['a'], value['a'])
    np.testing.assert_array_equal(back['b'][0], value['b'][0])
    assert back['again'] is back['a']
    back['a'][0] = -1


def test_large_strings_within_objects() -> None:
    value = [
        complex(1),
        'x' * 100_000,
        'ü' * 100_000,
        b'y' * 100_000,
        bytearray(100_000),
    ]
    assert round_trip([value, value]) == [value, value]


def test_what_only_cloudpickle_takes() -> None:
    offset = 5
    assert round_trip(lambda x: x + offset)(1) == 6
    array = np.arange(1000.0)
    frame = serialize((lambda: 1, array))
    assert layout(frame)[2] == [8000]


def test_what_nobody_takes() -> None:
    with pytest.raises(SerializationError, match='generator') as caught:
        serialize(x for x in [])
    assert isinstance(caught.value.__cause__, TypeError)


class Interrupts:
    def __reduce__(self) -> Any:
        raise KeyboardInterrupt


def test_interrupts_are_passed_on() -> None:
    with pytest.raises(KeyboardInterrupt):
        serialize(Interrupts())


def test_errors_of_reading() -> None:
    frame = serialize(np.arange(5))
    for cut in [0, 3, 31, 40, len(frame) - 1]:
        with pytest.raises(FrameError):
            deserialize(frame[:cut])
    with pytest.raises(NewerFrameError, match='upgrade'):
        deserialize(frame[:4] + b'\x63' + frame[5:])
    with pytest.raises(SerializationError, match='deserializer'):
        deserialize(b'XX\nsomething')


@pytest.mark.parametrize('value', ['text', None, 1, [1], 1.5, np.arange(3)])
def test_only_bytes_are_deserialized(value: Any) -> None:
    with pytest.raises(ValueError, match='bytes-like'):
        deserialize(value)


class Vanishing:
    pass


def test_sound_bytes_of_an_object_that_cannot_be(monkeypatch: Any) -> None:
    frame = serialize(Vanishing())
    monkeypatch.delattr(sys.modules[__name__], 'Vanishing')
    with pytest.raises(SerializationError, match='Vanishing') as caught:
        deserialize(frame)
    assert isinstance(caught.value.__cause__, AttributeError)
    assert not isinstance(caught.value, FrameError)


def test_is_bytes_like() -> None:
    assert all(map(is_bytes_like, [b'', bytearray(), memoryview(b'')]))
    assert not any(map(is_bytes_like, ['', 1, None, np.arange(2)]))


def test_the_error_keeps_its_old_place() -> None:
    assert SerializationError.__module__ == 'proxystore.serialize'
    assert pickle.loads(pickle.dumps(SerializationError('x'))).args == ('x',)


# What ProxyStore 1.1's serialize gave.
V1 = {
    b'BS\nabc': b'abc',
    b'US\nabc': 'abc',
    b'PK\n\x80\x05\x95\t\x00\x00\x00\x00\x00\x00\x00]\x94(K\x01K\x02e.': [1, 2],
    b'CP\n' + pickle.dumps({'a': 1}): {'a': 1},
}


@pytest.mark.parametrize('form', V1, ids=lambda form: form[:2].decode())
def test_proxystore_1_form(form: bytes) -> None:
    assert deserialize(form) == V1[form]
    assert deserialize(bytearray(form)) == V1[form]


def test_proxystore_1_arrays_and_tables() -> None:
    import io

    import pandas as pd
    import polars as pl

    file = io.BytesIO(b'NP\n')
    file.seek(3)
    np.save(file, np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(
        deserialize(file.getvalue()),
        np.arange(6.0).reshape(2, 3),
    )
    pandas = pd.DataFrame({'a': [1, 2]})
    assert deserialize(b'PD\n' + pickle.dumps(pandas)).equals(pandas)
    polars = pl.DataFrame({'a': [1, 2]})
    file = io.BytesIO()
    polars.write_ipc(file)
    assert deserialize(b'PL\n' + file.getvalue()).equals(polars)
    with pytest.raises(SerializationError):
        deserialize(b'PK\nxyz')
