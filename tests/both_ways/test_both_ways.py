"""What Rust puts Python gets, and the reverse, by references between processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorUnsupportedError
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store import unregister_store
from proxystore.store.reference import get_reference
from proxystore.store.reference import proxy_from_reference

from ..conftest import RedisAddress


@pytest.fixture(scope='session')
def program(rust_program: Callable[[str], str]) -> list[str]:
    """The command of the Rust side."""
    return [rust_program('both_ways')]


@pytest.fixture(params=['file', 'redis'])
def connector(request: pytest.FixtureRequest, store_dir: Path) -> Any:
    if request.param == 'file':
        return FileConnector(str(store_dir))
    address: RedisAddress = request.getfixturevalue('redis_server')
    return RedisConnector(address.host, address.port)


@pytest.fixture
def url(connector: Any) -> str:
    if isinstance(connector, FileConnector):
        return f'file://{connector.store_dir}'
    return f'redis://{connector.hostname}:{connector.port}'


@pytest.fixture
def store(connector: Any) -> Iterator[Store[Any]]:
    with Store(f'from-python-{uuid.uuid4().hex}', connector, register=True) as store:
        yield store


def run(program: list[str], *arguments: str, lines: list[str] = []) -> dict[str, str]:
    """Run the Rust side and return what it says about each name."""
    done = subprocess.run(
        [*program, *arguments],
        input=''.join(f'{line}\n' for line in lines),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(line.split(' ', 1) for line in done.stdout.splitlines())


def test_rust_puts_python_gets(program: list[str], connector: Any, url: str) -> None:
    references = run(program, 'put', url)
    expected: dict[str, Any] = {
        'bytes': b'\x00bytes\xff',
        'large-bytes': b'\x07' * 3_000_000,
        'str': 'zwölf ☃ 𝄞',
        'int': -42,
        'big-int': 2**128 - 1,
        'float': 0.1,
        'list': [1, 2, 3],
        'tuple': (1, 'two', 3.0),
        'map': {'a': [1, None], 'b': []},
        'tuple-keys': {(1, 2): 'x', (3, 4): 'y'},
    }
    arrays = 0
    try:
        for name, value in expected.items():
            proxy = proxy_from_reference(references.pop(name))
            assert not is_resolved(proxy)
            assert proxy == value
            assert proxy.__class__ is type(value)
        array = proxy_from_reference(references.pop('array'))
        assert array.dtype == np.float64
        assert array.tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]
        for name in [name for name in references if name.startswith('array-')]:
            _, rust, order = name.split('-')
            kind = {'i': 'int', 'u': 'uint', 'f': 'float'}.get(rust[0])
            dtype = np.dtype(f'{kind}{rust[1:]}' if kind else rust)
            array = proxy_from_reference(references.pop(name))
            assert array.dtype == dtype.newbyteorder(order[0]), name
            assert (array.flags.c_contiguous, array.flags.f_contiguous) == (
                order[1] == 'C',
                order[1] == 'F',
            )
            expected_array = np.arange(6).reshape(2, 3).astype(dtype)
            if not kind:
                expected_array -= 1j
            np.testing.assert_array_equal(array, expected_array)
            arrays += 1
        assert arrays == 12 * 4
        flags = proxy_from_reference(references.pop('flags'))
        assert flags.dtype == np.bool_
        assert flags.tolist() == [True, False, True]
        batch = proxy_from_reference(references.pop('batch'))
        assert isinstance(batch, pa.RecordBatch)
        assert batch.to_pydict() == {'x': [1.5, 2.5], 's': ['grün', None]}
        table = proxy_from_reference(references.pop('table'))
        assert isinstance(table, pa.Table)
        assert table.to_pydict() == {'x': [1.5, 2.5] * 2, 's': ['grün', None] * 2}
        assert not references, 'samples that are not checked'
    finally:
        unregister_store('both ways, from Rust')
    connector.close(clear=True)


PLAIN = '? i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8 c8 c16 M8[ns] m8[25s] S3 U2'.split()
ARRAYS = [
    np.asarray(
        np.arange(24).reshape(2, 3, 4).astype(f'{byte_order}{dtype}'), order=order
    )
    for dtype in PLAIN
    for byte_order in '<>'
    for order in 'CF'
] + [
    np.array(3.5),
    np.zeros((0, 5), 'i4'),
    np.array(['2020-01-01', 'NaT'], 'M8[D]'),
    np.array([1, 2], 'm8[25s]'),
    np.array([b'ab', b'c']),
    np.array(['räume', '☃']),
    np.arange(200_000.0),
]


def test_python_puts_rust_gets_arrays(program: list[str], store: Store[Any]) -> None:
    lines = [
        f'{index} {get_reference(store.proxy(array))}'
        for index, array in enumerate(ARRAYS)
    ]
    for name, held in run(program, 'get', lines=lines).items():
        array = ARRAYS[int(name)]
        kind, key = held.split(' ')[1], held.split(' ')[-1]
        assert held.startswith('array '), held
        assert kind.endswith(str(8 * array.dtype.itemsize)), held
        assert str(list(array.shape)) in held
        assert held.split(' ')[-2] == str(sum(array.tobytes())), held
        # What Rust put again is the same array, its order and byte order too.
        again = store.get(store.connector._key(key))
        assert again.dtype == array.dtype
        assert again.flags.f_contiguous == array.flags.f_contiguous
        np.testing.assert_array_equal(again, array)


TABLES = {
    'table': pa.table({'i': pa.array([1, None, 3], pa.int16()), 's': ['a', 'ü', None]}),
    'chunks': pa.table({'x': pa.chunked_array([[1.5], [2.5, 3.5]])}),
    'batch': pa.record_batch({'flags': [True, None, False], 'l': [[1], [], None]}),
    'dictionary': pa.table({'k': pa.array(['x', 'y', 'x']).dictionary_encode()}),
    'slice': pa.table({'a': np.arange(100_000.0)}).slice(500, 10),
    'empty': pa.table({'a': pa.array([], pa.timestamp('ns', 'UTC'))}),
    'polars': pl.DataFrame({'s': ['a text of more than 12 bytes', None], 'd': [1.5, 2.5]}),
    'large': pa.table({'a': np.arange(500_000.0), 'b': np.arange(500_000)}),
}  # fmt: skip


def test_python_puts_rust_gets_tables(program: list[str], store: Store[Any]) -> None:
    lines = [
        f'{name} {get_reference(store.proxy(table))}' for name, table in TABLES.items()
    ]
    found = run(program, 'get', lines=lines)
    assert found.keys() == TABLES.keys()
    for name, held in found.items():
        table = TABLES[name]
        word, rows, columns, key = held.split(' ')
        assert (word, int(rows), int(columns)) == ('table', *table.shape)
        # What Rust put again is the same table.
        again = store.get(store.connector._key(key))
        if name == 'polars':
            assert pl.from_arrow(again).equals(table)
        else:
            assert type(again) is type(table)
            assert again.schema.equals(table.schema, check_metadata=True)
            assert again.equals(table)


TREES: list[tuple[Any, Any, str]] = [
    # what is put, what comes back from Rust, a part of what Rust shows
    (5, 5, 'Int(5)'),
    (-(2**100), -(2**100), f'Int({-(2**100)})'),
    (0.1, 0.1, 'Float(0.1)'),
    ([1, None, 'x', b'y'], [1, None, 'x', b'y'], 'Bytes([121])'),
    (
        {'a': {1: 2.5}},
        {'a': {1: 2.5}},
        'Map([(Str("a"), Map([(Int(1), Float(2.5))]))])',
    ),
    ((1, (2, 3)), [1, [2, 3]], 'List([Int(1), List([Int(2), Int(3)])])'),
    ({5}, [5], 'List([Int(5)])'),
    ({'x': np.array([1.5, 2.5])}, {'x': [1.5, 2.5]}, 'List([Float(1.5), Float(2.5)])'),
    ({'x': np.zeros(70_000)}, {'x': [0.0] * 70_000}, 'Map'),
    (['text' * 50_000], ['text' * 50_000], 'List([Str("texttext'),
]


def test_python_puts_rust_gets_trees(program: list[str], store: Store[Any]) -> None:
    lines = [
        f'{index} {get_reference(store.proxy(tree))}'
        for index, (tree, _, _) in enumerate(TREES)
    ]
    for name, held in run(program, 'get', lines=lines).items():
        _, back, shown = TREES[int(name)]
        assert held.startswith('tree '), held[:200]
        assert shown in held
        key = held.split(' ')[-1]
        assert store.get(store.connector._key(key)) == back


def test_python_puts_rust_gets_bytes_and_text(
    program: list[str], store: Store[Any]
) -> None:
    values = {
        'bytes': bytes(range(256)),
        'bytearray': bytearray(b'ab'),
        'str': 'zwölf ☃',
    }
    lines = [f'{name} {get_reference(store.proxy(v))}' for name, v in values.items()]
    assert run(program, 'get', lines=lines) == {
        'bytes': f'bytes 256 {sum(range(256))}',
        'bytearray': f'bytes 2 {sum(b"ab")}',
        'str': 'str zwölf ☃',
    }


class Local:
    """A class that no other language has."""


def test_what_cannot_cross_says_why(program: list[str], store: Store[Any]) -> None:
    lines = [f'object {get_reference(store.proxy(Local()))}']
    held = run(program, 'get', lines=lines)['object']
    assert held.startswith('error ')
    assert 'codec Pickle' in held
    assert 'only Python reads it' in held


def test_a_proxy_of_a_reference_travels_on(
    program: list[str], store: Store[Any]
) -> None:
    """Rust's reference becomes a proxy here, is pickled, and used in a third process."""
    line = get_reference(store.proxy('hello', evict=True, populate_target=False))
    assert line.endswith('&evict=true')
    proxy: Proxy[str] = proxy_from_reference(line)
    code = 'import pickle, sys; print(pickle.loads(sys.stdin.buffer.read()) + "!")'
    output = subprocess.run(
        [sys.executable, '-c', code],
        input=pickle.dumps(proxy),
        stdout=subprocess.PIPE,
        check=True,
    ).stdout
    assert output.decode().strip() == 'hello!'
    assert not store.exists(store.connector._key(line.split('key=')[1].split('&')[0]))


def test_what_has_no_reference() -> None:
    with Store(f'local-{uuid.uuid4().hex}', LocalConnector(), register=True) as store:
        with pytest.raises(ConnectorUnsupportedError, match='files or Redis'):
            get_reference(store.proxy('x'))
    with pytest.raises(ConnectorUnsupportedError, match='not made by a store'):
        get_reference(Proxy(lambda: 'x'))


@pytest.mark.parametrize(
    'text',
    [
        '',
        'file:///tmp',
        'file:///tmp#key=x',
        's3://b#store=s&key=k',
        'a#store=s&key=k&x=1',
    ],
)
def test_what_is_no_reference(text: str) -> None:
    with pytest.raises(ConnectorConfigError):
        proxy_from_reference(text)
