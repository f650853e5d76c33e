"""Put, get, exists, evict, and what a store is."""

from __future__ import annotations

import pickle
import socket
import subprocess
import sys
import threading
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.file import FileKey
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorKeyError
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import ProxyStoreError
from proxystore.exceptions import SerializationError
from proxystore.serialize import serialize
from proxystore.store import Store

VALUES = [
    None,
    True,
    0,
    2**80,
    1.5,
    'text',
    b'bytes',
    bytearray(b'mutable'),
    [1, 'two', None],
    {'a': (1, 2), 'b': {3}},
    '\ud800',
    b'x' * 200_000,
]


@pytest.mark.parametrize('value', VALUES, ids=lambda v: repr(v)[:20])
def test_put_then_get_gives_an_equal_value(store: Store[Any], value: Any) -> None:
    key = store.put(value)
    assert store.exists(key)
    got = store.get(key)
    assert got == value
    assert type(got) is type(value)
    store.evict(key)
    assert not store.exists(key)
    assert store.get(key) is None


@pytest.mark.parametrize('size', [0, 10, 1000, 100_000, 3_000_000])
def test_arrays_come_back_writable_and_private(store: Store[Any], size: int) -> None:
    array = np.arange(size, dtype=np.float64)
    key = store.put(array)
    array += 1  # after the put: the store has a value of its own
    got = store.get(key)
    assert np.array_equal(got, np.arange(size))
    got[:] = -1  # does not raise, and nobody else sees it
    store.cache.evict(key)
    assert np.array_equal(store.get(key), np.arange(size))
    store.evict(key)


def test_a_missing_key_is_not_a_stored_none(store: Store[Any]) -> None:
    missing = store.put(1)
    store.evict(missing)
    nothing = object()
    assert store.get(missing) is None
    assert store.get(missing, default=nothing) is nothing
    key = store.put(None)
    assert store.get(key, default=nothing) is None
    store.evict(key)


def test_batches_keep_their_order(store: Store[Any]) -> None:
    keys = store.put_batch([[number] for number in range(20)])
    assert len(set(keys)) == 20
    assert [store.get(key) for key in keys] == [[number] for number in range(20)]
    for key in keys:
        store.evict(key)


def test_older_name_of_put(store: Store[Any]) -> None:
    key = store.set([1, 2])
    assert store.get(key) == [1, 2]
    key = store.set('x', serializer=lambda obj: b'!' + obj.encode())
    assert store.get(key, deserializer=bytes) == b'!x'


def test_get_fills_the_cache_and_put_does_not(store: Store[Any]) -> None:
    key = store.put([1])
    assert not store.is_cached(key)
    first = store.get(key)
    assert store.is_cached(key)
    assert store.get(key) is first
    assert store.exists(key)
    store.evict(key)
    assert not store.is_cached(key)


def test_exists_is_satisfied_by_the_cache(local_store: Store[LocalConnector]) -> None:
    key = local_store.put([1])
    local_store.get(key)
    local_store.connector.evict(key)
    assert local_store.exists(key)


def test_cache_is_bounded_by_count(local_store: Store[Any]) -> None:
    keys = [local_store.put([number]) for number in range(20)]
    for key in keys:
        local_store.get(key)
    assert [local_store.is_cached(key) for key in keys] == [False] * 4 + [True] * 16


def test_cache_is_bounded_by_bytes() -> None:
    store = Store('bounded', LocalConnector(), cache_bytes=2_500_000)
    keys = [store.put(b'x' * 1_000_000) for _ in range(3)]
    for key in keys:
        store.get(key)
    assert [store.is_cached(key) for key in keys] == [False, True, True]
    too_large = store.put(b'x' * 3_000_000)
    store.get(too_large)
    assert not store.is_cached(too_large)
    assert store.is_cached(keys[2])


def test_cache_of_size_zero_keeps_nothing() -> None:
    store = Store('none', LocalConnector(), cache_size=0)
    key = store.put([1])
    assert store.get(key) is not store.get(key)


def test_negative_cache_size_is_refused() -> None:
    with pytest.raises(ValueError, match='cache_size=-1'):
        Store('negative', LocalConnector(), cache_size=-1)


def test_gets_of_one_key_share_one_fetch() -> None:
    calls = []
    begun = threading.Event()
    go = threading.Event()

    def slow(data: Any) -> Any:
        calls.append(1)
        begun.set()
        assert go.wait(10)
        return [bytes(data)]

    store = Store('shared', LocalConnector(), serializer=bytes, deserializer=slow)
    key = store.put(b'x')
    results: list[Any] = []
    threads = [
        threading.Thread(target=lambda: results.append(store.get(key)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    assert begun.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1
    assert len(results) == 8
    assert all(result is results[0] for result in results)


def test_a_get_that_overlaps_an_eviction_leaves_nothing_in_the_cache() -> None:
    begun = threading.Event()
    go = threading.Event()

    def slow(data: Any) -> Any:
        begun.set()
        assert go.wait(10)
        return bytes(data)

    store = Store('overlap', LocalConnector(), serializer=bytes, deserializer=slow)
    key = store.put(b'x')
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(store.get(key)))
    thread.start()
    assert begun.wait(10)
    store.evict(key)
    go.set()
    thread.join(10)
    assert results == [b'x']
    assert not store.is_cached(key)
    assert not store.exists(key)


def test_gets_of_different_keys_run_side_by_side() -> None:
    meeting = threading.Barrier(2, timeout=10)

    def meet(data: Any) -> Any:
        meeting.wait()  # breaks unless both deserializers run at the same time
        return bytes(data)

    store = Store('side', LocalConnector(), serializer=bytes, deserializer=meet)
    keys = [store.put(b'a'), store.put(b'b')]
    results: dict[Any, Any] = {}
    threads = [
        threading.Thread(target=lambda k=key: results.update({k: store.get(k)}))
        for key in keys
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [results[key] for key in keys] == [b'a', b'b']


def test_own_serializers_per_store_and_per_call(connector: Any) -> None:
    name = f'own-{uuid.uuid4().hex}'
    with Store(
        name,
        connector,
        serializer=lambda obj: f'<{obj}>'.encode(),
        deserializer=lambda data: data.decode(),
    ) as store:
        key = store.put('x')
        assert store.get(key) == '<x>'
        key = store.put('x', serializer=lambda obj: bytearray(b'call'))
        assert store.get(key, deserializer=lambda data: (type(data), data)) == (
            bytes,
            b'call',
        )
        keys = store.put_batch(
            ['a', 'b'], serializer=lambda obj: memoryview(obj.encode())
        )
        assert [store.get(key) for key in keys] == ['a', 'b']


def test_default_deserializer_reads_what_an_own_serializer_fell_back_to() -> None:
    store = Store('fallback', LocalConnector(), serializer=serialize)
    assert store.get(store.put({'a': 1})) == {'a': 1}


def test_serializer_that_returns_no_bytes() -> None:
    store = Store('text', LocalConnector(), serializer=lambda obj: 'text')  # type: ignore[arg-type,return-value]
    with pytest.raises(TypeError, match='str'):
        store.put(1)


def test_deserializer_that_fails() -> None:
    def broken(data: Any) -> Any:
        raise RuntimeError('no idea')

    store = Store('broken', LocalConnector(), deserializer=broken)
    key = store.put(1)
    with pytest.raises(SerializationError, match='no idea') as caught:
        store.get(key)
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert store.exists(key)


def test_object_that_cannot_be_serialized(store: Store[Any]) -> None:
    with pytest.raises(SerializationError) as caught:
        store.put(threading.Lock())
    assert caught.value.__cause__ is not None


def test_key_of_another_shape_is_refused(local_store: Store[Any]) -> None:
    for key in ('text', (1,), ('a/b',), ('',), None, []):
        with pytest.raises((ConnectorKeyError, TypeError)):
            local_store.get(key)


def test_unknown_argument_of_put_is_named(local_store: Store[Any]) -> None:
    with pytest.raises(TypeError, match='colour'):
        local_store.put(1, colour='red')


def test_arguments_reach_a_connector_that_takes_them() -> None:
    class Coloured(LocalConnector):
        def put(self, obj: Any, colour: str = 'none') -> Any:
            assert colour == 'red'
            return super().put(obj)

    store = Store('coloured', Coloured())
    assert store.get(store.put([1], colour='red')) == [1]


def test_connector_that_is_none_is_refused() -> None:
    with pytest.raises(TypeError, match=r'object is no connector.*put\(\)'):
        Store('x', object())  # type: ignore[type-var]


def test_name_must_be_text() -> None:
    with pytest.raises(TypeError, match='int'):
        Store(1, LocalConnector())  # type: ignore[arg-type]


def test_errors_of_a_users_connector_pass_unchanged() -> None:
    class Failing(LocalConnector):
        def put(self, obj: Any) -> Any:
            raise ZeroDivisionError('mine')

    with pytest.raises(ZeroDivisionError, match='mine'):
        Store('failing', Failing()).put(1)


def test_subclass_without_init_says_so() -> None:
    class Hollow(Store[LocalConnector]):
        def __init__(self) -> None:
            pass

    with pytest.raises(RuntimeError, match=r'super\(\).__init__'):
        Hollow().put(1)


def test_every_error_has_the_common_base() -> None:
    import proxystore.exceptions as exceptions
    import proxystore.proxy as proxy
    import proxystore.serialize as serialization
    import proxystore.store.exceptions as store_exceptions

    for module in (exceptions, proxy, serialization, store_exceptions):
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, Exception):
                assert issubclass(value, ProxyStoreError), (module, name)


def test_store_in_a_forked_child(store_dir: Path) -> None:
    program = f"""
import os
from proxystore.store import Store
from proxystore.connectors.file import FileConnector
store = Store('forked', FileConnector({str(store_dir)!r}))
key = store.put([1])
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    import pickle
    assert store.get(key) == [1]
    os.write(writer, pickle.dumps(store.put([2])))
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
import pickle
theirs = pickle.loads(os.read(reader, 10_000))
mine = store.put([3])
assert theirs != mine, 'the child has drawn keys of its own'
assert store.get(theirs) == [2] and store.get(mine) == [3]
"""
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)


def test_file_keys_are_named_tuples(store_dir: Path) -> None:
    store = Store('typed', FileConnector(str(store_dir)))
    key = store.put(1)
    assert type(key) is FileKey
    assert key.filename == key[0]
    assert pickle.loads(pickle.dumps(key)) == key


def test_unreachable_redis_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))  # bound but not listening: nobody answers there
        port = taken.getsockname()[1]
        with pytest.raises(
            ConnectorUnreachableError, match=f'127.0.0.1.*{port}'
        ) as caught:
            RedisConnector('127.0.0.1', port)
    assert isinstance(caught.value, ConnectionError)
    assert 'redis-server' in str(caught.value)


def test_directory_without_permission(tmp_path: Path) -> None:
    closed = tmp_path / 'closed'
    closed.mkdir(mode=0o500)
    program = f"""
import os, sys
from proxystore.connectors.file import FileConnector
from proxystore.exceptions import ConnectorPermissionError
if os.getuid() == 0:  # whom nothing is forbidden
    os.setgid(65534)
    os.setuid(65534)
try:
    FileConnector({str(closed / 'store')!r})
except ConnectorPermissionError as error:
    assert isinstance(error, PermissionError)
    assert {str(closed)!r} in str(error), error
else:
    sys.exit('no error')
"""
    # A directory that nobody else may enter hides the reason: open the way to it.
    for folder in [tmp_path, *tmp_path.parents[:2]]:
        folder.chmod(folder.stat().st_mode | 0o055)
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)


def test_full_disk_leaves_nothing(tmp_path: Path) -> None:
    # A limit on the size of files stands for a full disk: writes fail half way through.
    program = f"""
import os, resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
from proxystore.connectors.file import FileConnector
from proxystore.exceptions import ConnectorError
from proxystore.store import Store
store = Store('full', FileConnector({str(tmp_path / 'store')!r}))
small = store.put(b'x' * 1000)
for size in (99_990, 150_000, 5_000_000):
    try:
        store.put(b'x' * size)
    except ConnectorError as error:
        pass
    else:
        raise SystemExit(f'{{size}} bytes were stored')
assert os.listdir({str(tmp_path / 'store')!r}) == [small.filename]
assert store.get(small) == b'x' * 1000
"""
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)
