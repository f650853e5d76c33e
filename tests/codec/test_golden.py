"""Frames of earlier days, which must stay readable.

scripts/make_golden_frames.py wrote them.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from proxystore.serialize import deserialize
from proxystore.serialize import serialize

GOLDEN = pathlib.Path(__file__).parent.parent / 'golden'


def tree() -> dict[Any, Any]:
    return {
        'nil': None,
        'booleans': [True, False],
        'integers': [0, 127, 128, -1, -32, -33, 2**16, -(2**31), 2**63 - 1],
        'large': [2**64 - 1, 2**64, -(2**63) - 1, 2**100],
        'floats': [0.0, -0.0, 1.5, float('inf'), 5e-324],
        'complex': 1.5 - 2j,
        'text': ['', 'plain', 'grün', 'x' * 300],
        'bytes': [b'', b'\x00\xff', bytearray(b'mutable')],
        'tuple': (1, (2, 'three'), ()),
        'sets': [{7}, frozenset([8])],
        (1, b'key'): {3: {4: []}},
        'array': np.array([[1, 2], [3, 4]], dtype='<i2'),
    }


OBJECTS: dict[str, Callable[[], Any]] = {
    'bytes': lambda: b'hello',
    'bytes-empty': lambda: b'',
    'bytearray': lambda: bytearray(b'hello'),
    'str': lambda: 'grün',
    'ndarray-f8': lambda: np.arange(6, dtype='<f8').reshape(2, 3),
    'ndarray-fortran-big-endian': lambda: np.asfortranarray(
        np.arange(6, dtype='>i4').reshape(2, 3)
    ),
    'ndarray-no-dimensions': lambda: np.array(7, dtype='<u2'),
    'ndarray-empty': lambda: np.zeros((3, 0), dtype='<f4'),
    'ndarray-bool': lambda: np.array([True, False, True]),
    'ndarray-complex': lambda: np.array([1 + 2j], dtype='<c16'),
    'ndarray-datetime': lambda: np.array(['2020-01-01', 'NaT'], dtype='<M8[ns]'),
    'ndarray-timedelta': lambda: np.array([3], dtype='<m8[25s]'),
    'ndarray-text': lambda: np.array(['ab', 'grün'], dtype='<U4'),
    'ndarray-bytes': lambda: np.array([b'ab', b'c'], dtype='S3'),
    'tree': tree,
    'tree-with-buffers': lambda: {
        'array': np.arange(100, dtype='<f8'),
        'text': 'x' * 65_536,
    },
    'arrow-table': lambda: pa.table({'a': [1, 2, None], 's': ['x', 'y', 'z']}),
    'arrow-batch': lambda: pa.record_batch({'a': [1.5, 2.5]}),
    'arrow-from-rust': lambda: pa.record_batch(
        [[1.5, 2.5], ['grün', None]],
        pa.schema([pa.field('x', pa.float64(), nullable=False), ('s', pa.string())]),
    ),
    'pickle': lambda: [range(3), 'with', {'plain': 'values'}, range(0)],
    'pickle-with-objects': lambda: np.array(
        [f'row {i}' for i in range(62)] + [None, 2**64], dtype=object
    ),
    'pickle-with-buffers': lambda: [range(3), np.arange(100, dtype='<f8')],
}


def same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        equal = np.array_equal(a, b, equal_nan=a.dtype.kind in 'fcmM')
        return a.dtype == b.dtype and a.shape == b.shape and equal
    if isinstance(a, (pa.Table, pa.RecordBatch)):
        return bool(a.equals(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


@pytest.mark.parametrize('name', OBJECTS)
def test_golden_frames_are_read(name: str) -> None:
    frame = (GOLDEN / f'{name}.frame').read_bytes()
    assert same(deserialize(frame), OBJECTS[name]())


# Arrow and pickle write what they write from version to version.
OURS = [name for name in OBJECTS if not name.startswith(('arrow', 'pickle'))]


@pytest.mark.parametrize('name', OURS)
def test_golden_frames_are_what_is_written(name: str) -> None:
    assert serialize(OBJECTS[name]()) == (GOLDEN / f'{name}.frame').read_bytes()


def test_every_golden_frame_is_tried() -> None:
    in_rust_alone = {'checked-buffers'}
    names = {path.stem for path in GOLDEN.glob('*.frame')}
    assert names - in_rust_alone == set(OBJECTS)


def test_a_checked_buffer() -> None:
    frame = bytearray((GOLDEN / 'checked-buffers.frame').read_bytes())
    assert deserialize(frame) == b'checked'
    frame[-1] ^= 1
    with pytest.raises(ValueError, match='checksum of its buffers'):
        deserialize(frame)
