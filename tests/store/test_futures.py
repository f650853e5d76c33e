"""Futures: results and exceptions that are set later, here or elsewhere."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import extract
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store.exceptions import ProxyResolveMissingKeyError
from proxystore.store.factory import PollingStoreFactory
from proxystore.store.future import Future
from proxystore.store.utils import resolve_async

from ..conftest import OwnRedis
from ..conftest import RedisAddress

# Connectors whose waiters are told of a result.
TOLD = ['local', 'file', 'default', 'redis']


@pytest.mark.parametrize('value', [None, True, 5, 'text', [1, 2], b'x' * 100_000])
def test_a_result_that_is_there(store: Store[Any], value: Any) -> None:
    future: Future[Any] = store.future()
    assert not future.done()
    future.set_result(value)
    assert future.done()
    assert future.result() == value
    p = future.proxy()
    assert type(get_factory(p)) is PollingStoreFactory
    assert not is_resolved(p)
    assert extract(p) == value
    assert 'Future(key=' in repr(future)


def test_a_result_that_comes_later(store: Store[Any]) -> None:
    future: Future[str] = store.future(polling_interval=0.01)
    p = future.proxy()
    timer = threading.Timer(0.1, future.set_result, ['late'])
    timer.start()
    assert p == 'late'
    assert future.result() == 'late'
    timer.join()


@pytest.mark.parametrize('connector', TOLD, indirect=True)
def test_a_waiter_is_told_whatever_the_interval(store: Store[Any]) -> None:
    future: Future[str] = store.future(polling_interval=1000)
    timer = threading.Timer(0.2, future.set_result, ['told'])
    timer.start()
    assert future.result() == 'told'
    timer.join()


def test_evict_takes_the_result_once(local_store: Store[Any]) -> None:
    future: Future[list[int]] = local_store.future(evict=True, polling_timeout=0.05)
    future.set_result([1])
    assert future.result() == [1]
    assert not future.done()
    with pytest.raises(ProxyResolveMissingKeyError):
        future.result()


def test_a_result_may_be_set_again(local_store: Store[Any]) -> None:
    future: Future[int] = local_store.future()
    future.set_result(1)
    assert future.result() == 1
    future.set_result(2)
    assert future.result() == 2


def test_serializers_of_a_future(local_store: Store[Any]) -> None:
    future: Future[str] = local_store.future(
        serializer=lambda obj: b'!' + obj.encode(),
        deserializer=lambda data: bytes(data).decode()[1:],
    )
    future.set_result('abc')
    assert local_store.connector.get(future._factory.key).endswith(b'!abc')
    assert future.result() == 'abc'


def test_timeouts(local_store: Store[Any]) -> None:
    future: Future[int] = local_store.future(
        polling_interval=0.01, polling_timeout=0.05
    )
    began = time.monotonic()
    with pytest.raises(ProxyResolveMissingKeyError):
        future.result()
    assert time.monotonic() - began >= 0.05
    p = future.proxy()
    with pytest.raises(ProxyResolveError) as raised:
        len(p)  # type: ignore[arg-type]
    assert type(raised.value.cause) is ProxyResolveMissingKeyError
    with pytest.raises(TimeoutError, match='after 0.01 s'):
        future.result(timeout=0.01)
    with pytest.raises(TimeoutError):
        future.result(timeout=0)
    future.set_result(7)
    assert future.result(timeout=0) == 7
    assert p == 7  # the proxy can be used after all


def test_a_timeout_is_not_late(local_store: Store[Any]) -> None:
    future: Future[int] = local_store.future(polling_interval=100)
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        future.result(timeout=0.05)
    assert time.monotonic() - began < 60


@pytest.mark.parametrize(
    'options',
    [
        {'polling_interval': -1},
        {'polling_backoff_factor': -0.1},
        {'polling_interval_limit': -1},
        {'polling_timeout': -1},
    ],
    ids=lambda options: next(iter(options)),
)
def test_negative_numbers_are_refused(
    local_store: Store[Any], options: dict[str, float]
) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        local_store.future(**options)  # type: ignore[arg-type]


def test_polling_options_travel(local_store: Store[Any]) -> None:
    future: Future[int] = local_store.future(
        polling_interval=0.001,
        polling_backoff_factor=2,
        polling_interval_limit=0.01,
        polling_timeout=50,
        evict=True,
    )
    again: Future[int] = pickle.loads(pickle.dumps(future))
    for name in (
        'key',
        'evict',
        'deserializer',
        '_recipe',
        '_polling_interval',
        '_polling_backoff_factor',
        '_polling_interval_limit',
        '_polling_timeout',
    ):
        assert getattr(again._factory, name) == getattr(future._factory, name)
    timer = threading.Timer(0.1, future.set_result, [5])
    timer.start()
    assert again.result() == 5
    timer.join()


def test_the_factory_by_itself(local_store: Store[Any]) -> None:
    factory: PollingStoreFactory[Any, int] = PollingStoreFactory(
        local_store.put(5), local_store.config(), polling_timeout=1
    )
    assert factory() == 5
    assert factory.resolve() == 5
    assert factory.get_store() is local_store
    assert factory.store_config == local_store.config()
    factory.resolve_async()
    assert factory.resolve() == 5


def test_waiting_in_the_background(local_store: Store[Any]) -> None:
    future: Future[list[int]] = local_store.future(polling_interval=0.01)
    p = future.proxy()
    resolve_async(p)
    future.set_result([1])
    assert p == [1]


class PickyError(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f'{first} and {second}')


def fail_deeply() -> None:
    raise KeyError('deep')


@pytest.mark.parametrize('own_deserializer', [False, True])
def test_an_exception_is_raised_where_the_result_is_used(
    store: Store[Any], own_deserializer: bool
) -> None:
    deserializer = (lambda data: pickle.loads(data)) if own_deserializer else None
    serializer = pickle.dumps if own_deserializer else None
    future: Future[int] = store.future(
        serializer=serializer, deserializer=deserializer, polling_interval=0.01
    )
    try:
        fail_deeply()
    except KeyError as error:
        future.set_exception(error)
    assert future.done()
    for _ in range(2):
        with pytest.raises(KeyError, match='deep') as raised:
            future.result()
        assert 'fail_deeply' in str(raised.value.__cause__)
    with pytest.raises(ProxyResolveError) as unresolved:
        int(future.proxy())
    assert type(unresolved.value.cause) is KeyError
    future.set_result(3)
    assert future.result() == 3


def test_exceptions_that_cannot_travel(local_store: Store[Any]) -> None:
    future: Future[int] = local_store.future()
    future.set_exception(PickyError(1, 2))
    with pytest.raises(RuntimeError, match='PickyError: 1 and 2'):
        future.result()
    with pytest.raises(TypeError, match='takes an exception'):
        future.set_exception('failed')  # type: ignore[arg-type]


def test_a_connector_without_keys_in_advance() -> None:
    class Immediate:
        def put(self, obj: Any) -> Any: ...
        def get(self, key: Any) -> Any: ...
        def exists(self, key: Any) -> Any: ...
        def evict(self, key: Any) -> Any: ...
        def config(self) -> Any: ...
        def close(self) -> Any: ...

    store: Store[Any] = Store('immediate', Immediate())  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError, match='Immediate has no new_key'):
        store.future()


def test_metrics_of_a_future(store_dir: Path) -> None:
    connector = FileConnector(str(store_dir))
    with Store('measured', connector, metrics=True, register=True) as store:
        future: Future[list[int]] = store.future()
        p = future.proxy()
        future.set_result([1])
        assert future.done()
        assert p == [1]
        assert store.metrics is not None
        metrics = store.metrics.get_metrics(p)
        assert metrics is not None
        assert {
            'factory.call',
            'factory.polling_resolve',
            'store.exists',
            'store.future',
            'store.future.connector',
            'store.get',
            'store.set',
            'store.set.connector',
            'store.set.serialize',
        } <= set(metrics.times)


def test_a_short_interval_is_no_busy_waiting(redis_server: RedisAddress) -> None:
    connector = RedisConnector(redis_server.host, redis_server.port)
    with Store('patient', connector, register=True) as store:
        future: Future[str] = store.future(polling_interval=0)
        timer = threading.Timer(1, future.set_result, ['told'])
        before = time.thread_time()
        timer.start()
        assert future.result() == 'told'
        assert time.thread_time() - before < 0.2
        timer.join()


def test_a_wait_outlives_the_restart_of_its_server(tmp_path: Path) -> None:
    with OwnRedis(tmp_path) as server:
        connector = RedisConnector(server.host, server.port)
        with Store('restarted', connector, register=True) as store:
            future: Future[str] = store.future(polling_interval=1000)
            answers: list[str] = []
            waiter = threading.Thread(target=lambda: answers.append(future.result()))
            waiter.start()
            time.sleep(0.2)
            server.restart()
            future.set_result('after all')
            waiter.join(60)
            assert answers == ['after all']


def wait_in_child(future: Any, ready: Any, answer: Any) -> None:
    ready.set()
    answer.put(future.result(timeout=100))


@pytest.mark.parametrize('kind', ['file', 'redis'])
def test_across_processes(
    kind: str, store_dir: Path, request: pytest.FixtureRequest
) -> None:
    connector: Any = FileConnector(str(store_dir)) if kind == 'file' else None
    if kind == 'redis':
        address: RedisAddress = request.getfixturevalue('redis_server')
        connector = RedisConnector(address.host, address.port)
    context = multiprocessing.get_context('spawn')
    with Store('across', connector, register=True) as store:
        future: Future[list[int]] = store.future(polling_interval=0.05)
        ready, answer = context.Event(), context.Queue()
        child = context.Process(target=wait_in_child, args=(future, ready, answer))
        child.start()
        assert ready.wait(100)
        future.set_result([1, 2, 3])
        assert answer.get(timeout=100) == [1, 2, 3]
        child.join()
        assert child.exitcode == 0


@pytest.mark.parametrize('kind', ['file', 'redis'])
def test_ctrl_c_reaches_one_who_waits(
    kind: str, store_dir: Path, redis_server: RedisAddress
) -> None:
    program = """
import sys
from proxystore.store import Store
store = Store.from_url(sys.argv[1], register=True)
print('ready', flush=True)
try:
    store.future(polling_interval=1000).result()
except KeyboardInterrupt:
    print('interrupted')
"""
    redis = f'redis://{redis_server.host}:{redis_server.port}'
    url = f'file://{store_dir}' if kind == 'file' else redis
    child = subprocess.Popen(
        [sys.executable, '-c', program, url],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == 'ready\n'
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGINT)
    assert child.stdout.read() == 'interrupted\n'
    child.stdout.close()
    assert child.wait(60) == 0
