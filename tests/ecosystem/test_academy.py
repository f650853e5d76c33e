"""Agents of Academy in processes of their own, which pass large objects by proxy."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store import unregister_store
from proxystore.store.executor import ProxyAlways
from proxystore.store.executor import ProxyNever
from proxystore.store.utils import get_key

from tests.conftest import RedisAddress

pytestmark = [
    pytest.mark.integration,
    # What Academy itself leaves open or calls deprecated.
    pytest.mark.filterwarnings('default'),
]


def is_large(item: Any) -> bool:
    return isinstance(item, list) and len(item) > 1000


async def passing(
    factory: Any, store: Store[Any], *, resolve_async: bool
) -> dict[str, Any]:
    from academy.exchange import ProxyStoreExchangeFactory
    from academy.manager import Manager

    from tests.ecosystem.agents import Reader
    from tests.ecosystem.agents import Writer

    exchange = ProxyStoreExchangeFactory(
        factory, store, is_large, resolve_async=resolve_async
    )
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context('spawn'))
    async with await Manager.from_exchange_factory(exchange, pool) as manager:
        writer: Any = await manager.launch(Writer)
        reader: Any = await manager.launch(Reader, args=(writer,))
        made = await writer.write(5000)
        small = await writer.write(3)
        from_agent = await reader.read(5000)
        given = await reader.total(list(range(2000)), scale=[2] * 2000)
        again = await reader.total(made)
        plain = await reader.total([1, 2, 3])
        with pytest.raises(Exception, match='no such thing'):
            await writer.fail()
    return {
        'made': made,
        'small': small,
        'from_agent': from_agent,
        'given': given,
        'again': again,
        'plain': plain,
    }


@pytest.mark.parametrize('resolve_async', [False, True])
def test_agents(
    store: Store[Any], redis_server: RedisAddress, resolve_async: bool
) -> None:
    from academy.exchange import RedisExchangeFactory

    factory = RedisExchangeFactory(redis_server.host, redis_server.port)
    said = asyncio.run(passing(factory, store, resolve_async=resolve_async))
    made = said['made']
    assert type(made) is Proxy
    assert store.exists(get_key(made))
    assert made == list(range(5000))
    assert type(said['small']) is list
    # From agent to agent, and from here to an agent.
    total, kinds, process = said['from_agent']
    assert total == sum(range(5000))
    assert kinds == ['Proxy']
    assert process != os.getpid()
    total, kinds, process = said['given']
    assert total == 2 * sum(range(2000))
    assert kinds == ['Proxy', 'Proxy']
    assert process != os.getpid()
    # A proxy that is passed on is not proxied once more.
    assert said['again'][:2] == (sum(range(5000)), ['Proxy'])
    assert said['plain'][:2] == (6, ['list'])


def test_agents_in_this_process(store: Store[Any]) -> None:
    from academy.exchange import LocalExchangeFactory
    from academy.exchange import ProxyStoreExchangeFactory
    from academy.manager import Manager

    from tests.ecosystem.agents import Writer

    async def ask(policy: Any) -> Any:
        exchange = ProxyStoreExchangeFactory(LocalExchangeFactory(), store, policy)
        async with await Manager.from_exchange_factory(exchange) as manager:
            writer: Any = await manager.launch(Writer)
            return await writer.write(3)

    always = asyncio.run(ask(ProxyAlways()))
    assert type(always) is Proxy
    assert always == [0, 1, 2]
    assert type(asyncio.run(ask(ProxyNever()))) is list


def test_an_exchange_opens_its_store_where_it_is_unpickled(
    store: Store[Any], redis_server: RedisAddress
) -> None:
    from academy.exchange import ProxyStoreExchangeFactory
    from academy.exchange import RedisExchangeFactory

    exchange: Any = ProxyStoreExchangeFactory(
        RedisExchangeFactory(redis_server.host, redis_server.port), store, ProxyAlways()
    )
    key = store.put('there')
    assert pickle.loads(pickle.dumps(exchange)).store is store
    text = pickle.dumps(exchange)
    unregister_store(store)
    opened = pickle.loads(text).store
    assert opened is not store
    assert get_store(store.name) is opened
    assert opened.get(key) == 'there'
    unregister_store(opened)
    opened.close()
