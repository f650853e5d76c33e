"""Store operations beside an event loop."""

from __future__ import annotations

import asyncio
import os
import pickle
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import proxystore
import pytest
from proxystore import aresolve
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ProxyStoreError
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import is_resolved
from proxystore.serialize import SerializationError
from proxystore.store import Store
from proxystore.store.exceptions import NonProxiableTypeError
from proxystore.store.utils import resolve_async

from ..conftest import RedisAddress


@pytest.fixture(params=['local', 'file', 'redis', 'dict', 'metrics'])
def store(
    request: pytest.FixtureRequest, store_dir: Path, redis_server: RedisAddress
) -> Iterator[Store[Any]]:
    kind = request.param
    connector: Any
    if kind in ('redis', 'metrics'):
        connector = RedisConnector(*redis_server)
    elif kind == 'file':
        connector = FileConnector(str(store_dir))
    else:
        connector = LocalConnector({} if kind == 'dict' else None)
    with Store(
        f'async-{uuid.uuid4().hex}',
        connector,
        register=True,
        metrics=kind == 'metrics',
    ) as store:
        yield store


@pytest.fixture
def redis_store(redis_server: RedisAddress) -> Iterator[Store[Any]]:
    connector = RedisConnector(*redis_server)
    with Store(f'async-{uuid.uuid4().hex}', connector, register=True) as store:
        yield store


def test_put_get_and_proxy(store: Store[Any]) -> None:
    async def main() -> None:
        key = await store.aput([1, 2])
        assert store.exists(key)
        assert await store.aget(key) == [1, 2]
        assert store.is_cached(key)
        assert await store.aget(key) == [1, 2]
        store.evict(key)
        assert await store.aget(key) is None
        assert await store.aget(key, default='missing') == 'missing'
        none = await store.aput(None)
        assert await store.aget(none, default='missing') is None

        proxy = await store.aproxy({'a': 1}, evict=True)
        assert type(proxy) is Proxy
        assert is_resolved(proxy)
        travelled = pickle.loads(pickle.dumps(proxy))
        assert await aresolve(travelled) == {'a': 1}
        assert type(await aresolve(travelled)) is dict
        assert not store.exists(travelled.__proxy_factory__.key)
        assert not is_resolved(await store.aproxy('x', populate_target=False))

    asyncio.run(main())


def test_side_by_side(store: Store[Any]) -> None:
    async def main() -> None:
        keys = await asyncio.gather(*(store.aput([i]) for i in range(300)))
        assert len(set(keys)) == 300
        got = await asyncio.gather(*(store.aget(key) for key in keys))
        assert got == [[i] for i in range(300)]
        proxies = [store.proxy_from_key(key) for key in keys]
        got = await asyncio.gather(*map(aresolve, proxies))
        assert got == [[i] for i in range(300)]
        assert all(map(is_resolved, proxies))

    asyncio.run(main())


def test_arguments_of_the_call(store: Store[Any]) -> None:
    async def main() -> None:
        key = await store.aput('x', serializer=lambda obj: repr(obj).encode())
        assert await store.aget(key, deserializer=lambda data: [data]) == [b"'x'"]
        array = await store.aput(b'123')
        assert bytes(await store.aget(array, access='view')) == b'123'
        proxy = await store.aproxy(
            'y', deserializer=lambda data: 'own', populate_target=False
        )
        assert await aresolve(proxy) == 'own'
        for nothing in (None, True):
            with pytest.raises(NonProxiableTypeError):
                await store.aproxy(nothing)
            assert await store.aproxy(nothing, skip_nonproxiable=True) is nothing
        with pytest.raises(ValueError, match='exclude one another'):
            await store.aproxy('x', evict=True, lifetime=object())
        with pytest.raises(TypeError):
            await store.aput('x', unheard_of=1)

    asyncio.run(main())


def test_one_failure_is_not_that_of_its_neighbours(store: Store[Any]) -> None:
    async def main() -> None:
        results = await asyncio.gather(
            store.aput(1),
            store.aput(threading.Lock()),
            store.aput(2),
            return_exceptions=True,
        )
        assert isinstance(results[1], SerializationError)
        first, _, last = results
        good, bad = await store.aput('x'), await store.aput('y')
        store.connector.set(bad, b'no frame at all')
        found = await asyncio.gather(
            *(store.aget(key) for key in (first, bad, good, last)),
            return_exceptions=True,
        )
        assert isinstance(found[1], SerializationError)
        assert [found[0], found[2], found[3]] == [1, 'x', 2]

    asyncio.run(main())


def test_a_missing_object(store: Store[Any]) -> None:
    async def main() -> None:
        proxy = await store.aproxy('x', populate_target=False)
        store.evict(proxy.__proxy_factory__.key)
        with pytest.raises(ProxyResolveError):
            await aresolve(proxy)
        assert not is_resolved(proxy)

    asyncio.run(main())


def test_a_resolve_that_is_under_way_is_waited_for(store: Store[Any]) -> None:
    proxy = store.proxy('x', populate_target=False)
    resolve_async(proxy)
    assert asyncio.run(aresolve(proxy)) == 'x'


def test_redis_moves_what_tasks_ask_for_in_batches(redis_store: Store[Any]) -> None:
    """The server counts the calls of clients."""
    import redis

    address = redis_store.connector

    async def main() -> None:
        with redis.Redis(address.hostname, address.port) as client:
            keys = await asyncio.gather(*(redis_store.aput([i]) for i in range(100)))
            threads = threading.active_count()
            client.config_resetstat()
            got = await asyncio.gather(*(redis_store.aget(key) for key in keys))
            assert threading.active_count() <= threads + 1
            reads = client.info()['total_reads_processed']
        assert got == [[i] for i in range(100)]
        assert reads < 50

    asyncio.run(main())


def test_a_cancelled_call_disturbs_nobody(redis_store: Store[Any]) -> None:
    async def main() -> None:
        keys = [redis_store.put(i) for i in range(3)]
        tasks = [asyncio.ensure_future(redis_store.aget(key)) for key in keys]
        await asyncio.sleep(0)
        tasks[1].cancel()
        assert await tasks[0] == 0
        assert await tasks[2] == 2
        with pytest.raises(asyncio.CancelledError):
            await tasks[1]

    asyncio.run(main())


def test_a_server_that_is_gone(redis_server: RedisAddress) -> None:
    from proxystore.connectors.redis import RedisKey

    async def main() -> None:
        connector = RedisConnector(*redis_server)
        store = Store('async-gone', connector)
        store.close()
        results = await asyncio.gather(
            *(store.aget(RedisKey('missing')) for _ in range(3)),
            return_exceptions=True,
        )
        assert all(isinstance(one, ProxyStoreError) for one in results), results

    asyncio.run(main())


def test_the_event_loop_goes_on_meanwhile(tmp_path: Path) -> None:
    started, finish = threading.Event(), threading.Event()

    def slow() -> str:
        started.set()
        assert finish.wait(30)
        return 'slow'

    async def main() -> None:
        proxy = Proxy(slow)
        waiting = asyncio.ensure_future(aresolve(proxy))
        while not started.is_set():
            await asyncio.sleep(0.001)
        finish.set()
        assert await waiting == 'slow'

    asyncio.run(main())


def test_several_loops_and_a_fork(redis_store: Store[Any]) -> None:
    async def main() -> Any:
        return await redis_store.aget(await redis_store.aput('x'))

    assert asyncio.run(main()) == 'x'
    assert asyncio.run(main()) == 'x'
    program = (
        'import asyncio, os, sys\n'
        'from proxystore.connectors.redis import RedisConnector\n'
        'from proxystore.store import Store\n'
        f'store = Store("fork", RedisConnector({redis_store.connector.hostname!r}, '
        f'{redis_store.connector.port}))\n'
        'async def main():\n'
        '    return await store.aget(await store.aput("x"))\n'
        'assert asyncio.run(main()) == "x"\n'
        'child = os.fork()\n'
        'if child == 0:\n'
        '    os._exit(0 if asyncio.run(main()) == "x" else 1)\n'
        'sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n'
    )
    options = ['-W', 'ignore::DeprecationWarning']
    subprocess.run([sys.executable, *options, '-c', program], check=True, timeout=60)


def test_the_name_is_at_the_top_and_loads_asyncio_only_then() -> None:
    assert proxystore.aresolve is aresolve
    assert 'aresolve' in dir(proxystore)
    program = (
        'import sys, proxystore, proxystore.store\n'
        'assert "asyncio" not in sys.modules\n'
        'proxystore.aresolve\n'
        'assert "asyncio" in sys.modules\n'
    )
    subprocess.run([sys.executable, '-c', program], check=True, env=dict(os.environ))
