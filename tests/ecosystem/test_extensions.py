"""The package `proxystore_ex`: its connector and its plugin work over this distribution."""

from __future__ import annotations

import importlib
import multiprocessing
import socket
import uuid
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import pytest
from proxystore.connectors.protocols import Connector
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store import unregister_store
from proxystore.store.utils import get_key

pytestmark = [
    pytest.mark.integration,
    # What Dask leaves open, and that its plugin is an experiment.
    pytest.mark.filterwarnings('default'),
]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def total(values: Any) -> tuple[int, bool]:
    return sum(values), type(values) is Proxy


def grow(values: Any, *, by: Any = 1) -> list[int]:
    return [value + by for value in values]


def test_the_alias_is_the_package() -> None:
    import proxystore.ex
    import proxystore.ex.connectors.dim.zmq as here
    import proxystore_ex
    import proxystore_ex.connectors.dim.zmq as there

    assert here is there
    assert proxystore.ex.connectors is proxystore_ex.connectors


@pytest.mark.parametrize(
    ('module', 'missing'),
    [
        ('proxystore.ex.connectors.daos', 'pydaos'),
        ('proxystore.ex.connectors.dim.margo', None),
        ('proxystore.ex.connectors.dim.ucx', None),
        ('proxystore.ex.connectors.dim.models', None),
    ],
)
def test_what_is_imported_without_its_hardware(
    module: str, missing: str | None
) -> None:
    if missing is None:
        assert importlib.import_module(module).DIMKey
    else:
        with pytest.raises(ImportError, match=missing):
            importlib.import_module(module)


@pytest.fixture
def distributed_memory() -> Iterator[Store[Any]]:
    """A store over ZeroMQ, whose server is a process of the connector's."""
    from proxystore.ex.connectors.dim.zmq import ZeroMQConnector

    connector = ZeroMQConnector(free_port(), address='127.0.0.1', timeout=2)
    name = f'distributed-{uuid.uuid4().hex}'
    with Store(name, connector, register=True) as store:
        yield store


def test_a_store_over_its_connector(distributed_memory: Store[Any]) -> None:
    store = distributed_memory
    assert isinstance(store.connector, Connector)
    values = list(range(100_000))
    proxy = store.proxy(values, populate_target=False)
    assert not is_resolved(proxy)
    with ProcessPoolExecutor(
        1, mp_context=multiprocessing.get_context('spawn')
    ) as pool:
        assert pool.submit(total, proxy).result() == (sum(values), True)
    assert not is_resolved(proxy)
    assert proxy == values
    keys = store.put_batch(['one', 'two'])
    assert [store.get(key) for key in keys] == ['one', 'two']
    with pytest.raises(NotImplementedError, match='new_key'):
        store.future()
    store.evict(keys[0])
    assert not store.exists(keys[0])
    assert store.exists(keys[1])
    unregister_store(store)
    again: Store[Any] = Store.from_config(store.config())
    assert again.get(keys[1]) == 'two'
    unregister_store(again)
    again.close()


def test_its_client_of_dask(store: Store[Any]) -> None:
    from distributed import LocalCluster
    from proxystore.ex.plugins.distributed import Client

    assert get_store(store.name) is store
    large = list(range(10_000))
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        Client(cluster, ps_store=store, ps_threshold=1000) as client,
    ):
        # What is large is stored, and goes when the task is done.
        assert client.submit(total, large, pure=False).result() == (sum(large), True)
        assert client.submit(total, [1, 2], pure=False).result() == (3, False)
        result = client.submit(grow, large, by=2).result()
        assert type(result) is Proxy
        assert store.exists(get_key(result))
        assert result == [value + 2 for value in large]
        once = client.submit(
            total, large, pure=False, proxy_args=False, proxy_result=False
        )
        assert once.result() == (sum(large), False)
        mapped = client.gather(client.map(grow, [large, [5]]))
        assert [type(each) for each in mapped] == [Proxy, list]
        assert mapped[0][:3] == [1, 2, 3]
        assert mapped[1] == [6]
