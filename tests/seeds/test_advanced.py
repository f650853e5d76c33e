"""The code of the first documentation's advanced chapter, line by line."""

from __future__ import annotations

import pickle
import threading
from pathlib import Path

import proxystore.store
import pytest


class Gate:
    """A factory that waits until it is let go, and counts its calls."""

    def __init__(self, obj: object) -> None:
        self.obj = obj
        self.entered = threading.Event()
        self.go = threading.Event()
        self.calls = 0

    def __call__(self) -> object:
        self.calls += 1
        self.entered.set()
        assert self.go.wait(30)
        return self.obj


def test_a_proxy_of_any_callable() -> None:
    from proxystore.proxy import Proxy

    obj = [1, 2, 3]

    def resolve_object():  # printed with a placeholder for its arguments
        # Function that produces the object of interest
        return obj

    p = Proxy(resolve_object)

    assert p == [1, 2, 3]


def test_a_factory_class() -> None:
    import numpy as np
    from proxystore.proxy import Proxy

    x = np.array([1, 2, 3])

    class MyFactory:
        def __init__(self, obj):
            self.obj = obj

        def __call__(self):  # printed as __class__; the text says __call__
            return self.obj

    p = Proxy(MyFactory(x))

    # A proxy is an instance of its wrapped object
    assert isinstance(p, Proxy)
    assert isinstance(p, np.ndarray)

    # The proxy can do everything the numpy array can
    assert np.array_equal(p, [1, 2, 3])
    assert np.sum(p) == 6
    y = x + p
    assert np.array_equal(y, [2, 4, 6])


def test_the_factory_as_printed_says_what_it_lacks() -> None:
    from proxystore.proxy import Proxy

    class MyFactory:
        def __init__(self, obj):
            self.obj = obj

        def __class__(self):
            return self.obj

    with pytest.raises(TypeError, match='__call__'):
        Proxy(MyFactory([1, 2, 3]))


def test_utilities() -> None:
    from proxystore import proxy

    p = proxy.Proxy(lambda: {'any': 'object'})

    # Check if a proxy has been resolved yet
    assert proxy.is_resolved(p) is False

    # Force a proxy to resolve itself
    proxy.resolve(p)
    assert proxy.is_resolved(p) is True

    # Extract the wrapped object from the proxy
    x = proxy.extract(p)
    assert not isinstance(x, proxy.Proxy)
    assert x == {'any': 'object'}


def test_a_proxy_is_resolved_once_and_again_after_it_travelled() -> None:
    from proxystore import proxy
    from proxystore.factory import SimpleFactory

    p = proxy.Proxy(SimpleFactory([1, 2, 3]))
    assert proxy.extract(p) is proxy.extract(p)
    received = pickle.loads(pickle.dumps(p))
    assert not proxy.is_resolved(received)
    assert received == [1, 2, 3]


def test_asynchronous_resolving(store_dir: Path) -> None:
    from proxystore.store.file import FileStore
    from proxystore.store.utils import resolve_async

    with FileStore('async', store_dir=store_dir) as store:
        large_proxied_input = pickle.loads(pickle.dumps(store.proxy(list(range(100)))))

        def compute_input(large_input):
            return sum(large_input)

        def complex_function(large_proxied_input):
            resolve_async(large_proxied_input)

            # More computation...

            # First access to the proxy will not be as expensive because
            # of the asynchronous resolution
            return compute_input(large_proxied_input)

        assert complex_function(large_proxied_input) == 4950


def test_caching(store_dir: Path) -> None:
    from proxystore.store.file import FileStore

    # Cache size of 16 is the default
    store = FileStore('mystore', store_dir=str(store_dir), cache_size=16)

    key = store.set([1, 2, 3])
    assert store.get(key) is store.get(key)
    keys = [store.set(number) for number in range(16)]
    assert [store.get(other) for other in keys] == list(range(16))
    assert not store.is_cached(key)
    assert all(store.is_cached(other) for other in keys)
    store.close()


def test_a_name_taken_twice(
    store_dir: Path,
) -> None:
    store = proxystore.store.init_store(
        'file', name='mystore', store_dir=str(store_dir)
    )
    assert proxystore.store.get_store('mystore') is store
    with pytest.raises(proxystore.store.exceptions.StoreExistsError):
        proxystore.store.register_store(
            proxystore.store.local.LocalStore('mystore'),
        )
    store.close()
    proxystore.store.unregister_store('mystore')


def test_identity_serializers() -> None:
    from proxystore.store.local import LocalStore

    store = LocalStore('identity')
    key = store.set(b'serialized already', serializer=lambda x: x)
    assert store.get(key, deserializer=lambda x: x) == b'serialized already'
    store.close()


@pytest.mark.integration
def test_a_torch_model(redis_server) -> None:
    import io
    from typing import Any  # not imported as printed

    import torch
    from proxystore.serialize import serialize
    from proxystore.store.redis import RedisStore

    def serialize_torch_model(obj: Any) -> bytes:
        if isinstance(obj, torch.nn.Module):
            buffer = io.BytesIO()
            torch.save(obj, buffer)  # printed with the undefined name model
            return buffer.getvalue()  # printed without rewinding
        else:
            # Fallback for unsupported types
            return serialize(obj)

    mymodel = torch.nn.Module()

    store = RedisStore('torch', hostname=redis_server.host, port=redis_server.port)
    key = store.set(mymodel, serializer=serialize_torch_model)

    def deserialize_torch_model(data: bytes) -> Any:
        return torch.load(io.BytesIO(data), weights_only=False)

    fetched = store.get(key, deserializer=deserialize_torch_model)
    assert type(fetched) is torch.nn.Module
    other = store.set([1, 2, 3], serializer=serialize_torch_model)
    assert store.get(other) == [1, 2, 3]
    store.close()


@pytest.mark.integration
def test_a_torch_model_through_a_store_wide_serializer(redis_server) -> None:
    import io

    import torch
    from proxystore.connectors.redis import RedisConnector
    from proxystore.serialize import deserialize
    from proxystore.serialize import serialize
    from proxystore.store import Store

    def to_bytes(obj: object) -> bytes:
        if isinstance(obj, torch.nn.Module):
            buffer = io.BytesIO()
            torch.save(obj, buffer)
            return b'torch' + buffer.getvalue()
        return serialize(obj)

    def from_bytes(data: bytes) -> object:
        if data.startswith(b'torch'):
            return torch.load(io.BytesIO(data[5:]), weights_only=False)
        return deserialize(data)

    with Store(
        'torch-wide',
        RedisConnector(redis_server.host, redis_server.port),
        serializer=to_bytes,
        deserializer=from_bytes,
        populate_target=False,
        register=True,
    ) as store:
        model = torch.nn.Linear(3, 2)
        proxy = store.proxy(model)
        assert torch.equal(proxy.weight, model.weight)
        assert store.get(store.put({'a': 1})) == {'a': 1}
        key = store.put(model)
        fetched = store.get(key)
        assert torch.equal(fetched(torch.ones(3)), model(torch.ones(3)))
