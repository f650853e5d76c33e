"""What of each type travels without being copied into the stream.

Run with `-s` to see the table. A type that falls back to copying fails here.
"""

from __future__ import annotations

import datetime
import pathlib
import struct
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from proxystore.serialize import deserialize
from proxystore.serialize import serialize

N = 100_000
CODECS = ['pickle', 'bytes', 'str', 'ndarray', 'messagepack', 'arrow', 'foreign']


class Tagged(np.ndarray):
    """A subclass that pickles as its base does."""


class Holder:
    def __init__(self, **values: Any) -> None:
        self.__dict__.update(values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Holder) and equal(self.__dict__, other.__dict__)


def memmap() -> np.memmap[Any, Any]:
    import tempfile

    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype='f8', shape=(N,), mode='w+')


def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            'a': np.arange(N, dtype='f8'),
            'b': np.arange(N, dtype='i4'),
            't': pd.date_range('2020', periods=N, freq='s'),
        }
    )


def arrow() -> pa.Table:
    return pa.table(
        {
            'a': np.arange(N, dtype='f8'),
            's': pa.array([None if i % 7 == 0 else f'row {i}' for i in range(N)]),
        }
    )


F8 = np.arange(N, dtype='f8')

# name: (object, codec, least bytes out of band, most bytes in the stream)
TYPES: dict[str, tuple[Any, str, int, int]] = {
    'bytes': (bytes(N), 'bytes', N, 0),
    'bytearray': (bytearray(N), 'bytes', N, 1),
    'memoryview': (memoryview(bytes(N)), 'bytes', N, 0),
    'str': ('x' * N, 'str', N, 0),
    'str, not ASCII': ('ü' * N, 'str', 2 * N, 0),
    'float64 array': (F8, 'ndarray', 8 * N, 64),
    'big-endian array': (F8.astype('>f8'), 'ndarray', 8 * N, 64),
    'Fortran-ordered array': (np.ones((100, N // 100), order='F'), 'ndarray', 8 * N, 64),
    'read-only array': (np.frombuffer(bytes(8 * N)), 'ndarray', 8 * N, 64),
    'strided array': (F8[::2], 'ndarray', 4 * N, 64),
    'datetime64 array': (F8.astype('M8[ns]'), 'ndarray', 8 * N, 64),
    'timedelta64 array': (F8.astype('m8[s]'), 'ndarray', 8 * N, 64),
    'text array': (np.full(N, 'abc'), 'ndarray', 12 * N, 64),
    'complex array': (F8.astype('c16'), 'ndarray', 16 * N, 64),
    'float16 array': ((F8 % 9).astype('f2'), 'ndarray', 2 * N, 64),
    'longdouble array': (F8.astype('g'), 'pickle', 16 * N, 500),
    'structured array': (np.zeros(N, 'i4,f8'), 'pickle', 12 * N, 500),
    'strided structured array': (np.zeros(2 * N, 'i4,f8')[::2], 'pickle', 12 * N, 500),
    'record array': (np.zeros(N, 'i4,f8').view(np.recarray), 'pickle', 12 * N, 600),
    'masked array': (np.ma.masked_array(F8, F8 % 2 == 0), 'pickle', 9 * N, 500),
    'memory-mapped array': (memmap(), 'pickle', 8 * N, 500),
    'matrix': (np.ones((100, N // 100)).view(np.matrix), 'pickle', 8 * N, 500),
    'ndarray subclass': (F8.view(Tagged), 'pickle', 8 * N, 500),
    'dict of arrays': ({'a': F8, 'b': np.ones(N)}, 'messagepack', 16 * N, 200),
    'dict of datetime64': ({'a': F8.astype('M8[s]')}, 'messagepack', 8 * N, 200),
    'list of 100 arrays': (list(np.ones((100, 1000))), 'messagepack', 8 * N, 4000),
    'list of bytes and str': ([bytes(N), 'x' * N, bytearray(N)], 'messagepack', 3 * N, 64),
    'object with arrays': (Holder(a=F8, b=F8.astype('M8[s]')), 'pickle', 16 * N, 500),
    'object with a strided array': (Holder(a=F8[::2]), 'pickle', 4 * N, 500),
    'pandas DataFrame': (table(), 'pickle', 20 * N, 2500),
    'pandas Series': (pd.Series(F8), 'pickle', 8 * N, 1500),
    'pandas str column': (pd.Series([f'row {i}' for i in range(N)], dtype='string[pyarrow]'), 'pickle', 17 * N - 40_000, 2500),
    'pandas arrow column': (pd.Series(F8, dtype='double[pyarrow]'), 'pickle', 8 * N, 2500),
    'pandas object column': (pd.Series([f'row {i}' for i in range(N)], dtype=object), 'pickle', 9 * N, 2500),
    'pandas python str column': (pd.Series([f'row {i}' for i in range(N)], dtype=pd.StringDtype('python')), 'pickle', 9 * N, 2500),
    'object array': (np.array([f'row {i}' for i in range(N)], dtype=object), 'pickle', 9 * N, 500),
    'pandas slice': (table().iloc[:100], 'pickle', 1600, 4000),
    'pyarrow Table': (arrow(), 'arrow', 17 * N, 10),
    'pyarrow RecordBatch': (arrow().to_batches()[0], 'arrow', 17 * N, 10),
    'pyarrow Array': (pa.array(F8), 'pickle', 8 * N, 500),
    'pyarrow ChunkedArray': (arrow()['a'], 'pickle', 8 * N, 500),
    'pyarrow Table, slice': (arrow().slice(500, 10), 'arrow', 100, 10),
    'pyarrow Array, slice': (pa.array(F8)[500:510], 'pickle', 0, 1000),
    'dict of pyarrow Tables': ({'a': arrow()}, 'pickle', 17 * N, 1000),
    'dict of a pyarrow slice': ({'a': arrow().slice(500, 10)}, 'pickle', 100, 500),
    'polars DataFrame': (pl.DataFrame({'a': F8, 's': [f'row {i}' for i in range(N)]}), 'arrow', 24 * N, 10),
    'polars Series': (pl.Series('a', F8), 'pickle', 8 * N, 500),
    'dict of polars DataFrames': ({'a': pl.DataFrame({'a': F8})}, 'pickle', 8 * N, 500),
}  # fmt: skip


def equal(a: Any, b: Any) -> bool:
    if type(a) is not type(b) and type(a) is not memoryview:
        return False
    if isinstance(a, np.ma.MaskedArray):
        return equal(a.data, b.data) and equal(
            np.ma.getmaskarray(a), np.ma.getmaskarray(b)
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, (pd.DataFrame, pd.Series)):
        return a.equals(b) and a.index.equals(b.index)
    if isinstance(a, (pl.DataFrame, pl.Series)):
        return a.equals(b) and (
            a.schema == b.schema if isinstance(a, pl.DataFrame) else True
        )
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(a == b)  # fmt: skip


def layout(frame: bytes) -> tuple[str, int, list[int]]:
    (stream,) = struct.unpack_from('<Q', frame, 16)
    (count,) = struct.unpack_from('<I', frame, 24)
    return CODECS[frame[5]], stream, list(struct.unpack_from(f'<{count}Q', frame, 32))


@pytest.fixture(scope='module', autouse=True)
def heading() -> None:
    print(
        f'\n{"type":32}{"codec":>12}{"in stream":>12}{"out of band":>14}{"buffers":>9}'
    )


@pytest.mark.parametrize('name', TYPES)
def test_type(name: str) -> None:
    obj, codec, least_out, most_in = TYPES[name]
    frame = serialize(obj)
    found, stream, buffers = layout(frame)
    print(f'{name:32}{found:>12}{stream:>12}{sum(buffers):>14}{len(buffers):>9}')
    assert equal(obj, deserialize(frame))
    assert found == codec
    assert stream <= most_in
    assert sum(buffers) >= least_out
    assert sum(buffers) <= 1.3 * least_out + 4096


def row(name: str) -> str:
    _, codec, least_out, most_in = TYPES[name]
    return f'| {name} | {codec} | {least_out:,} | {most_in:,} |'


def test_the_page_says_the_same() -> None:
    page = pathlib.Path(__file__).parents[2] / 'docs' / 'types.md'
    text = page.read_text()
    missing = [row(name) for name in TYPES if row(name) not in text]
    assert not missing, 'docs/types.md lacks\n' + '\n'.join(missing)
    assert text.count('\n| ') == len(TYPES) + 1, 'a row of no type'


def test_slices_leave_their_parents_behind() -> None:
    for slice_ in (
        F8[10:20],
        {'a': F8[10:20]},
        Holder(a=F8[10:20]),
        arrow().slice(500, 10),
        {'a': arrow().slice(500, 10)},
        [pa.array(F8)[500:510], 1j + 0],
        [arrow()['s'][500:510]],
        [arrow().to_batches()[0].slice(5, 5)],
        pl.DataFrame({'a': F8})[5:10],
        [pl.Series(F8)[5:10]],
        table().iloc[5:10],
    ):
        frame = serialize(slice_)
        assert len(frame) < 10_000
        assert equal(slice_, deserialize(frame))


def test_arrays_of_every_kind_arrive_writable() -> None:
    kinds = ['masked array', 'memory-mapped array', 'ndarray subclass', 'matrix',
             'structured array', 'longdouble array', 'record array']  # fmt: skip
    for kind in kinds:
        back = deserialize(serialize(TYPES[kind][0]))
        assert back.flags.writeable, kind
        back[0] = back[1]


def test_masked_arrays_keep_their_mask_and_fill_value() -> None:
    plain = np.ma.masked_array([1.0, 2.0, 3.0])
    hard = np.ma.masked_array([1, 2], mask=[True, False], fill_value=7, hard_mask=True)
    fields = np.ma.masked_array([(1, 2.0)], mask=[(True, False)], dtype='i4,f8')
    for array in (plain, hard, fields, np.ma.masked_array(5), np.ma.masked_array([])):
        back = deserialize(serialize(array))
        assert type(back) is np.ma.MaskedArray
        assert back.dtype == array.dtype
        assert back.shape == array.shape
        assert repr(back) == repr(array)
        assert back.fill_value == array.fill_value
        assert back.hardmask == array.hardmask
    assert deserialize(serialize(plain)).mask is np.ma.nomask


class WithUnit(np.ndarray):
    """A subclass that pickles in a way of its own."""

    unit = ''

    def __reduce__(self) -> Any:
        return _with_unit, (np.asarray(self), self.unit)


def _with_unit(array: Any, unit: str) -> WithUnit:
    result = np.asarray(array).view(WithUnit)
    result.unit = unit
    return result


def test_a_subclass_with_a_way_of_its_own_keeps_it() -> None:
    array = F8.view(WithUnit)
    array.unit = 'm'
    frame = serialize(array)
    back = deserialize(frame)
    assert type(back) is WithUnit
    assert back.unit == 'm'
    assert sum(layout(frame)[2]) == 8 * N


def test_what_a_user_registered_goes_first(monkeypatch: Any) -> None:
    import copyreg

    monkeypatch.setitem(
        copyreg.dispatch_table, np.ma.MaskedArray, lambda array: (str, ('mine',))
    )
    assert deserialize(serialize([np.ma.masked_array([1])])) == ['mine']


POLARS = {
    'bool': [True, None],
    'i8': pl.Series([1, None], dtype=pl.Int8),
    'u64': pl.Series([2**63, None], dtype=pl.UInt64),
    'f4': pl.Series([1.5, None], dtype=pl.Float32),
    'text': ['a', None],
    'binary': [b'a', None],
    'date': [datetime.date(2020, 1, 1), None],
    'datetime': [datetime.datetime(2020, 1, 1), None],
    'zoned': pl.Series([datetime.datetime(2020, 1, 1)] * 2, dtype=pl.Datetime('ns', 'Europe/Paris')),
    'span': [datetime.timedelta(seconds=1), None],
    'time': [datetime.time(1), None],
    'list': [[1, 2], None],
    'array': pl.Series([[1, 2], [3, 4]], dtype=pl.Array(pl.Int32, 2)),
    'struct': [{'a': 1, 'b': 'x'}, None],
    'category': pl.Series(['a', 'b'], dtype=pl.Categorical),
    'enum': pl.Series(['a', 'b'], dtype=pl.Enum(['b', 'a'])),
    'decimal': pl.Series(['1.25', '2.50']).cast(pl.Decimal(10, 2)),
    'null': [None, None],
    'object': pl.Series([1j, 2j], dtype=pl.Object),
    'empty': pl.Series([], dtype=pl.Int64),
}  # fmt: skip


@pytest.mark.parametrize('name', POLARS)
def test_polars_types(name: str) -> None:
    column = POLARS[name]
    frame = pl.DataFrame({name: column})
    if name == 'object':
        # polars refuses to pickle these.
        with pytest.raises(Exception, match='[Oo]bject'):
            serialize(frame)
        return
    back = deserialize(serialize(frame))
    assert back.schema == frame.schema
    assert back.equals(frame)
    series = deserialize(serialize([frame[name]]))[0]
    assert series.dtype == frame[name].dtype
    assert series.name == name
    assert series.equals(frame[name])


def test_pyarrow_extremes() -> None:
    tables = [
        pa.table({}),
        pa.table({'a': pa.array([], pa.int32())}),
        pa.table({'a': pa.array(['x', 'y', 'x']).dictionary_encode()}),
        pa.table({'a': pa.chunked_array([[1], [2, 3]])}).replace_schema_metadata({'k': 'v'}),
        pa.table({'a': [[1], None], 'b': [{'x': 1}, {'x': None}], 'n': [None, None]}),
        pa.table({'a': pa.array([True] * 20)}).slice(3, 9),
    ]  # fmt: skip
    for each in tables:
        for back in (
            deserialize(serialize(each)),
            deserialize(serialize({'t': each}))['t'],
        ):
            assert back.schema.equals(each.schema, check_metadata=True)
            assert back.equals(each)
    for each in tables[1:]:
        for batch in each.to_batches():
            back = deserialize(serialize(batch))
            assert type(back) is pa.RecordBatch
            assert back.equals(batch)


def test_no_library_is_imported_for_its_reducers(tmp_path: pathlib.Path) -> None:
    import subprocess
    import sys

    script = tmp_path / 'script.py'
    script.write_text(
        'import sys, collections\n'
        'from proxystore.serialize import serialize, deserialize\n'
        'deserialize(serialize([1, {"a": 2.5}]))\n'
        'deserialize(serialize(collections.OrderedDict(a=1)))\n'
        'heavy = {"numpy", "pandas", "polars", "torch", "pyarrow", "cloudpickle",\n'
        '         "asyncio", "logging", "dataclasses", "pydantic"}\n'
        'assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n'
    )
    subprocess.run([sys.executable, script], check=True)
