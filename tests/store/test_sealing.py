"""Stores that compress, check, sign and encrypt, and what they refuse."""

from __future__ import annotations

import os
import pathlib
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from proxystore import _core
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.shared_memory import SharedMemoryConnector
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import FrameError
from proxystore.exceptions import UntrustedFrameError
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyResolveError
from proxystore.serialize import SerializationError
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.config import StoreConfig
from proxystore.store.ref import clone
from proxystore.store.reference import get_reference
from proxystore.store.reference import proxy_from_reference

KEY = '5f' * 32
OTHER = '0123456789abcdef' * 4

CONNECTORS: dict[str, Callable[[pathlib.Path], Any]] = {
    'file': lambda path: FileConnector(str(path / 'objects')),
    'memory': lambda path: LocalConnector(),
    # Written in Python, as far as the store knows.
    'python': lambda path: LocalConnector(store_dict={}),
    'shm': lambda path: SharedMemoryConnector(),
}

OPTIONS: dict[str, dict[str, Any]] = {
    'lz4': {'compression': 'lz4'},
    'zstd': {'compression': 'zstd'},
    'auto': {'compression': 'auto'},
    'checksum': {'checksum': True},
    'signed': {'signing': 'env:PROXYSTORE_TEST_KEY'},
    'encrypted': {'encryption': 'env:PROXYSTORE_TEST_KEY'},
    'all': {
        'compression': 'zstd',
        'checksum': True,
        'encryption': 'env:PROXYSTORE_TEST_KEY',
    },
}

OBJECTS: list[Any] = [
    b'',
    b'bytes' * 3,
    'text ' * 10_000,
    {'tree': [1, 2.5, None, ('of', 'values')]},
    np.arange(300_000),
    np.zeros((3, 2_000_000), dtype='f4'),
    {1, 2, pathlib.PurePath('pickled')},
]

Opener = Callable[..., Store[Any]]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PROXYSTORE_TEST_KEY', KEY)
    monkeypatch.setenv('PROXYSTORE_OTHER_KEY', OTHER)


@pytest.fixture
def opener(tmp_path: pathlib.Path) -> Any:
    opened: list[Store[Any]] = []

    def _open(name: str, connector: Any = None, **options: Any) -> Store[Any]:
        if connector is None:
            connector = FileConnector(str(tmp_path / 'objects'))
        store: Store[Any] = Store(name, connector, cache_size=0, **options)
        opened.append(store)
        return store

    yield _open
    for store in opened:
        store.close()


def path_of(store: Store[Any], key: Any) -> pathlib.Path:
    return pathlib.Path(store.connector.store_dir) / key[0]


def is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other)) and other.flags.writeable
    return bool(one == other)


@pytest.mark.parametrize('kind', CONNECTORS)
@pytest.mark.parametrize('options', OPTIONS)
def test_every_object_comes_back(
    kind: str, options: str, opener: Opener, tmp_path: pathlib.Path
) -> None:
    store = opener('all', CONNECTORS[kind](tmp_path), **OPTIONS[options])
    keys = store.put_batch(OBJECTS) + [store.put(obj) for obj in OBJECTS]
    for key, obj in zip(keys, OBJECTS * 2, strict=True):
        assert is_equal(obj, store.get(key))
        assert np.array_equal(obj, store.get(key, access='view')) or is_equal(
            obj, store.get(key, access='view')
        )
    many = _core.get_many(store, keys)
    assert all(
        is_equal(obj, found[0])  # type: ignore[index]
        for obj, found in zip(OBJECTS * 2, many, strict=True)
    )


def test_objects_become_shorter(opener: Opener) -> None:
    store = opener('short', compression='zstd')
    zeros, noise = np.zeros(1_000_000), np.random.default_rng(1).bytes(1_000_000)
    assert path_of(store, store.put(zeros)).stat().st_size < 100_000
    plain = path_of(store, store.put(noise)).read_bytes()
    assert plain.startswith(b'PXF1'), 'what does not shrink is stored as it is'


def test_a_checksum_sees_every_byte(opener: Opener) -> None:
    for checksum in (False, True):
        store = opener(f'checksum-{checksum}', checksum=checksum)
        key = store.put(b'x' * 1000)
        path = path_of(store, key)
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        if checksum:
            with pytest.raises(FrameError, match='checksum of its buffers'):
                store.get(key)
        else:
            assert store.get(key) != b'x' * 1000


def refuses(proxy: Any) -> None:
    with pytest.raises(ProxyResolveError) as raised:
        str(proxy)
    assert isinstance(raised.value.__cause__, UntrustedFrameError)


class _Witness:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return pathlib.Path.touch, (pathlib.Path(self.path),)


@pytest.mark.parametrize('demand', ['signing', 'encryption'])
def test_nothing_forged_is_unpickled(
    demand: str, opener: Opener, tmp_path: pathlib.Path
) -> None:
    ours = opener('ours', register=True, **{demand: 'env:PROXYSTORE_TEST_KEY'})
    key = ours.put('what was meant')
    sound = path_of(ours, key).read_bytes()
    witness = tmp_path / 'witness'
    forgers = [
        opener('plain'),
        opener('compressed', compression='zstd'),
        opener('theirs', **{demand: 'env:PROXYSTORE_OTHER_KEY'}),
    ]
    for forger in forgers:
        forged = forger.put([_Witness(str(witness)), 'x' * 10_000])
        path_of(ours, key).write_bytes(path_of(forger, forged).read_bytes())
        with pytest.raises(UntrustedFrameError, match='refused'):
            ours.get(key)
        refuses(ours.proxy_from_key(key))
    legacy = b'PK\n' + pickle.dumps(_Witness(str(witness)))
    path_of(ours, key).write_bytes(legacy)
    with pytest.raises(UntrustedFrameError):
        ours.get(key)
    # Another object of the same store, sound but in the wrong place.
    other = ours.put('another')
    path_of(ours, key).write_bytes(path_of(ours, other).read_bytes())
    with pytest.raises(UntrustedFrameError):
        ours.get(key)
    assert not witness.exists()
    path_of(ours, key).write_bytes(sound)
    assert ours.get(key) == 'what was meant'
    # The control: without the demand it would have been run.
    plain = opener('control')
    path_of(plain, key).write_bytes(legacy)
    plain.get(key)
    assert witness.exists()


@pytest.mark.parametrize('demand', ['signing', 'encryption'])
def test_a_connector_in_python_is_no_way_around(demand: str, opener: Opener) -> None:
    held: dict[Any, Any] = {}
    ours = opener(
        'ours', LocalConnector(store_dict=held), **{demand: 'env:PROXYSTORE_TEST_KEY'}
    )
    key = ours.put([1, 2, 3])
    sound = bytes(held[key])
    for wrong in (_core.serialize([1]), sound[:-1], sound[:-1] + b'?'):
        held[key] = wrong
        with pytest.raises(FrameError):
            ours.get(key)
    held[key] = bytearray(sound)
    assert ours.get(key) == [1, 2, 3]


WORKER = """
import pickle, sys
proxy = pickle.loads(sys.stdin.buffer.read())
try:
    print(proxy.upper())
except Exception as error:
    while error.__cause__ is not None:
        error = error.__cause__
    print(type(error).__name__, error)
"""


def in_worker(proxy: Any, key: str | None) -> str:
    environment = {**os.environ, 'PROXYSTORE_TEST_KEY': key or ''}
    if key is None:
        del environment['PROXYSTORE_TEST_KEY']
    done = subprocess.run(
        [sys.executable, '-c', WORKER],
        input=pickle.dumps(proxy),
        stdout=subprocess.PIPE,
        env=environment,
        check=True,
        timeout=120,
    )
    return done.stdout.decode().strip()


def test_a_worker_demands_the_same(opener: Opener) -> None:
    store = opener('travels', encryption='env:PROXYSTORE_TEST_KEY')
    proxy = store.proxy('hello', populate_target=False)
    assert KEY.encode() not in pickle.dumps(proxy)
    assert in_worker(proxy, KEY) == 'HELLO'
    assert in_worker(proxy, f'{OTHER},{KEY}') == 'HELLO'
    assert in_worker(proxy, OTHER).startswith('UntrustedFrameError')
    missing = in_worker(proxy, None)
    assert missing.startswith('ConnectorConfigError')
    assert 'PROXYSTORE_TEST_KEY' in missing


def test_a_key_is_never_shown(opener: Opener, tmp_path: pathlib.Path) -> None:
    path = tmp_path / 'key'
    path.write_text(f'# ours\n{KEY}\n')
    path.chmod(0o600)
    store = opener('hidden', signing=f'file:{path}')
    shown = f'{store!r} {store.config()!r} {store._make_recipe()!r}'
    shown += repr(_core.Seal(None, None, f'file:{path}'))
    assert KEY not in shown
    with pytest.raises(ConnectorConfigError) as raised:
        opener('given', signing=KEY)
    assert KEY not in str(raised.value)
    path.chmod(0o644)
    with pytest.raises(ConnectorConfigError, match='chmod 600'):
        opener('open', signing=f'file:{path}')
    for options in (
        {'signing': 'env:A', 'encryption': 'env:B'},
        {'compression': 'gzip'},
        {'signing': 'env:PROXYSTORE_NO_SUCH_KEY'},
    ):
        with pytest.raises(ConnectorConfigError):
            opener('wrong', **options)


def test_options_travel(opener: Opener, tmp_path: pathlib.Path) -> None:
    options = {**OPTIONS['all'], 'pickle': False}
    store = opener('config', **options)
    key = store.put('hello')
    config = store.config()
    config.write_toml(tmp_path / 'store.toml')
    again = StoreConfig.from_toml(tmp_path / 'store.toml')
    assert again == config
    assert {name: getattr(again, name) for name in options} == options
    assert Store.from_config(again).get(key) == 'hello'
    url = f'file://{tmp_path}/objects?encryption=env:PROXYSTORE_TEST_KEY&pickle=false'
    other: Store[Any] = Store.from_url(url, name='url')
    assert other.get(key) == 'hello'
    assert other.config().pickle is False
    for wrong in ('encryption=nowhere', 'pickle=perhaps', 'encription=env:A'):
        with pytest.raises(ConnectorConfigError):
            Store.from_url(f'file://{tmp_path}/objects?{wrong}')


def test_a_line_of_text_carries_the_demand(opener: Opener) -> None:
    store = opener('line', **OPTIONS['all'])
    line = get_reference(store.proxy('hello', populate_target=False))
    assert 'encryption=env:PROXYSTORE_TEST_KEY' in line
    proxy: Any = proxy_from_reference(line)
    assert proxy == 'hello'
    opened = get_store(proxy)
    assert opened is not None
    assert opened._sealing == {
        'compression': 'zstd',
        'encryption': 'env:PROXYSTORE_TEST_KEY',
    }
    opened.close()


@pytest.mark.parametrize('kind', ['file', 'python'])
def test_futures_and_copies_are_sealed(
    kind: str, opener: Opener, tmp_path: pathlib.Path
) -> None:
    store = opener(
        'futures',
        CONNECTORS[kind](tmp_path),
        register=True,
        encryption='env:PROXYSTORE_TEST_KEY',
    )
    stored = store.connector.get
    future: Any = store.future()
    future.set_result('secret')
    assert b'secret' not in stored(future._factory.key)
    assert future.result() == 'secret'
    failed: Any = store.future()
    failed.set_exception(ValueError('secret'))
    assert b'secret' not in stored(failed._factory.key)
    with pytest.raises(ValueError, match='secret'):
        failed.result()
    owned: Any = store.owned_proxy('secret', populate_target=False)
    copied: Any = clone(owned)
    assert copied == 'secret'
    assert b'secret' not in stored(copied.__proxy_factory__.key)


def test_only_data(opener: Opener, tmp_path: pathlib.Path) -> None:
    store, trusting = opener('data', pickle=False), opener('trusting')
    for obj in OBJECTS[:-1]:
        assert is_equal(obj, store.get(store.put(obj)))
    with pytest.raises(SerializationError, match='pickle=False'):
        store.put(OBJECTS[-1])
    witness = tmp_path / 'witness'
    key = trusting.put(_Witness(str(witness)))
    with pytest.raises(UntrustedFrameError, match='pickled'):
        store.get(key)
    with pytest.raises(UntrustedFrameError, match='pickled'):
        store.get(key, access='view')
    for head in (b'PK\n', b'CP\n', b'PD\n'):
        path_of(store, key).write_bytes(head + pickle.dumps(_Witness(str(witness))))
        with pytest.raises(UntrustedFrameError):
            store.get(key)
    proxy: Any = pickle.loads(pickle.dumps(store.proxy_from_key(key)))
    refuses(proxy)
    assert not witness.exists()
    opened = get_store(proxy)
    assert opened is not None
    assert opened._sealing == {'pickle': False}
    opened.close()


def test_a_plain_store_says_what_is_missing(opener: Opener) -> None:
    plain = opener('plain')
    for options in ('zstd', 'signed', 'encrypted'):
        store = opener(options, **OPTIONS[options])
        key = store.put('text ' * 10_000)
        with pytest.raises(FrameError, match='open its store with'):
            plain.get(key)
        with pytest.raises(FrameError, match='open its store with'):
            plain.get(key, deserializer=_core.deserialize)


def test_proxies_of_sealed_stores(opener: Opener) -> None:
    store = opener('proxies', register=True, **OPTIONS['all'])
    array = np.arange(2_000_000)
    proxies: list[Any] = store.proxy_batch(
        [array, 'text', [1, 2]], populate_target=False
    )
    proxies = pickle.loads(pickle.dumps(proxies))
    assert all(type(proxy) is Proxy for proxy in proxies)
    assert proxies[0].sum() == array.sum()
    assert proxies[1:] == ['text', [1, 2]]
