"""Executors that proxy what goes in and out, over real pools and a client."""

from __future__ import annotations

import concurrent.futures
import itertools
import multiprocessing
import threading
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.executor import ProxyAlways
from proxystore.store.executor import ProxyLargerThan
from proxystore.store.executor import ProxyNever
from proxystore.store.executor import ProxyType
from proxystore.store.executor import StoreExecutor
from proxystore.store.ref import OwnedProxy


class StepClient:
    """A client like Dask's: `map` gives a list of futures; no `Executor`."""

    def __init__(self) -> None:
        self.pool = concurrent.futures.ThreadPoolExecutor(2)
        self.closed = False

    def submit(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        return self.pool.submit(function, *args, **kwargs)

    def map(self, function: Any, *iterables: Any, **kwargs: Any) -> list[Any]:
        return [self.submit(function, *row) for row in zip(*iterables)]

    def shutdown(self) -> None:
        raise AssertionError('this would end the whole cluster')

    def close(self) -> None:
        self.pool.shutdown()
        self.closed = True


def processes() -> Executor:
    return concurrent.futures.ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context('spawn')
    )


def threads() -> Executor:
    return concurrent.futures.ThreadPoolExecutor(2)


POOLS: dict[str, Callable[[], Any]] = {
    'threads': threads,
    'processes': processes,
    'client': StepClient,
}


@pytest.fixture
def file_store(store_dir: Path) -> Iterator[Store[FileConnector]]:
    name = f'store-{uuid.uuid4().hex}'
    with Store(name, FileConnector(str(store_dir)), register=True) as store:
        yield store


def objects(store: Store[FileConnector]) -> list[Path]:
    folder = Path(store.connector.store_dir)
    return [each for each in folder.iterdir() if not each.name.startswith('.')]


def describe(obj: Any) -> str:
    return type(obj).__name__


def double(values: Any) -> list[int]:
    return [2 * value for value in values]


def join(first: Any, second: Any = (), **more: Any) -> list[int]:
    return [*first, *second, *itertools.chain(*more.values())]


def fail(values: Any) -> None:
    raise KeyError(len(values))


def nothing(values: Any) -> None:
    assert len(values) > 0


@pytest.mark.parametrize('pool', POOLS)
def test_submit(pool: str, file_store: Store[FileConnector]) -> None:
    executor = StoreExecutor(
        POOLS[pool](), file_store, ProxyType(list), close_store=False
    )
    with executor:
        assert executor.submit(describe, [1]).result() == 'Proxy'
        assert executor.submit(describe, 'text').result() == 'str'
        future = executor.submit(join, [1], [2], more=[3])
        result = future.result()
        assert type(result) is OwnedProxy
        assert result == [1, 2, 3]
        assert executor.submit(nothing, [1]).result() is None
        with pytest.raises(KeyError, match='2'):
            executor.submit(fail, [1, 2]).result()
        doubled = executor.submit(double, result).result()  # an owner moves on
        assert doubled == [2, 4, 6]
        del result, future, doubled
    assert objects(file_store) == []


@pytest.mark.parametrize('pool', ['threads', 'processes'])
def test_map(pool: str, file_store: Store[FileConnector]) -> None:
    executor = StoreExecutor(
        POOLS[pool](), file_store, ProxyType(list), close_store=False
    )
    with executor:
        results = executor.map(join, [[1], [2], [3]], itertools.repeat([0]), timeout=99)
        for number, result in enumerate(results, 1):
            assert type(result) is OwnedProxy
            assert result == [number, 0]
        del result
        assert objects(file_store) == []
        assert list(executor.map(describe, [[1], [2]], chunksize=2)) == ['Proxy'] * 2
        assert list(executor.map(describe, [])) == []
        with pytest.raises(KeyError):
            list(executor.map(fail, [[1]]))
    assert objects(file_store) == []


def test_a_client_whose_map_gives_futures(file_store: Store[FileConnector]) -> None:
    client = StepClient()
    executor = StoreExecutor(
        client,  # type: ignore[arg-type]
        file_store,
        ProxyType(list),
        close_store=False,
    )
    gate = threading.Event()

    def wait_and_double(values: Any) -> list[int]:
        assert gate.wait(60)
        return double(values)

    futures: list[Any] = list(executor.map(wait_and_double, [[1], [2], [3]]))
    assert len(objects(file_store)) == 3  # they are needed still
    gate.set()
    results = [future.result() for future in futures]
    assert results == [[2], [4], [6]]
    assert all(type(result) is OwnedProxy for result in results)
    executor.shutdown()
    assert client.closed
    del results, futures
    assert objects(file_store) == []


@pytest.mark.parametrize('pool', POOLS)
def test_without_ownership(pool: str, file_store: Store[FileConnector]) -> None:
    executor = StoreExecutor(
        POOLS[pool](),
        file_store,
        ProxyType(list),
        ownership=False,
        close_store=False,
    )
    with executor:
        result = executor.submit(double, [1]).result()
        assert type(result) is Proxy
        assert result == [2]
        del result
    assert len(objects(file_store)) == 2


def test_nothing_is_proxied_by_default(file_store: Store[FileConnector]) -> None:
    with StoreExecutor(threads(), file_store, close_store=False) as executor:
        assert type(executor.should_proxy) is ProxyNever
        assert executor.ownership
        result = executor.submit(double, [1]).result()
        assert type(result) is list
        assert executor.submit(describe, [1]).result() == 'list'


def test_always_leaves_what_has_no_proxy(file_store: Store[FileConnector]) -> None:
    with StoreExecutor(
        threads(), file_store, ProxyAlways(), close_store=False
    ) as executor:
        for obj in (None, True, False):
            assert executor.submit(lambda given: given, obj).result() is obj
        p = file_store.proxy([1])
        assert executor.submit(lambda given: given, p).result() is p
        owner = file_store.owned_proxy([1])
        assert executor.submit(lambda given: given, owner).result() is owner
        del owner
        file_store.evict(p.__proxy_factory__.key)


def test_a_pool_that_refuses_leaves_nothing(file_store: Store[FileConnector]) -> None:
    executor = StoreExecutor(threads(), file_store, ProxyAlways(), close_store=False)
    executor.shutdown()
    with pytest.raises(RuntimeError, match='after shutdown'):
        executor.submit(double, [1])
    with pytest.raises(RuntimeError, match='after shutdown'):
        executor.map(double, [[1]])
    assert objects(file_store) == []


def test_results_that_are_not_collected(file_store: Store[FileConnector]) -> None:
    executor = StoreExecutor(threads(), file_store, ProxyType(list), close_store=False)
    executor.map(describe, [[1], [2]])
    executor.submit(describe, [3])
    executor.shutdown(cancel_futures=True)
    assert objects(file_store) == []


def test_shutdown_closes_the_store(store_dir: Path) -> None:
    name = uuid.uuid4().hex
    store = Store(name, FileConnector(str(store_dir)), register=True)
    with StoreExecutor(threads(), store):
        assert get_store(name) is store
    assert get_store(name) is None


def test_a_function_keeps_its_name_and_its_identity(
    file_store: Store[FileConnector],
) -> None:
    class Recorder(StepClient):
        seen: list[Any] = []

        def submit(self, function: Any, *args: Any, **kwargs: Any) -> Any:
            self.seen.append(function)
            return super().submit(function, *args, **kwargs)

    executor = StoreExecutor(Recorder(), file_store, close_store=False)  # type: ignore[arg-type]
    executor.submit(double, [1])
    executor.submit(double, [2])
    executor.submit(sum, [2])
    first, second, third = Recorder.seen
    assert first is second
    assert (first.__name__, third.__name__) == ('double', 'sum')
    executor.shutdown()


def test_policies() -> None:
    assert ProxyAlways()(None)
    assert not ProxyNever()(1)
    policy = ProxyType(int, str)
    assert policy.types == (int, str)
    assert policy('a')
    assert not policy(b'a')
    assert not ProxyType()(1)
    assert repr(ProxyType(int)) == 'ProxyType(int)'


def test_policy_by_size() -> None:
    policy = ProxyLargerThan(1000)
    assert policy.nbytes == 1000
    assert repr(policy) == 'ProxyLargerThan(1000)'
    for large in (
        b'x' * 1001,
        bytearray(1001),
        'x' * 1001,
        np.zeros(126),
        memoryview(bytes(2000)),
        ['x' * 1001],
        {'a': np.zeros(126)},
    ):
        assert policy(large)
    for small in (b'x' * 1000, 1, np.zeros(100), ['x'], lambda: 1, threading.Lock()):
        assert not policy(small)
