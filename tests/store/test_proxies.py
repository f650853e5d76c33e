"""Proxies that a store makes."""

from __future__ import annotations

import gc
import pickle
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store import StoreFactory
from proxystore.store import get_store
from proxystore.store import unregister_store
from proxystore.store.exceptions import NonProxiableTypeError
from proxystore.store.exceptions import ProxyResolveMissingKeyError
from proxystore.store.exceptions import ProxyStoreFactoryError
from proxystore.store.utils import get_key
from proxystore.store.utils import resolve_async


def travel(proxy: Any) -> Any:
    """As a message would: only the factory arrives."""
    return pickle.loads(pickle.dumps(proxy))


def test_new_proxies_hold_their_target(store: Store[Any]) -> None:
    value = [1, 2]
    proxy = store.proxy(value)
    assert type(proxy) is Proxy
    assert is_resolved(proxy)
    assert proxy.__proxy_wrapped__ is value


def test_proxies_travel_and_resolve(store: Store[Any]) -> None:
    proxy = travel(store.proxy({'a': np.arange(10)}))
    assert not is_resolved(proxy)
    assert isinstance(proxy, dict)
    assert not is_resolved(proxy), 'the class travels with the proxy'
    assert proxy['a'].sum() == 45
    assert is_resolved(proxy)


def test_populate_target_off() -> None:
    with Store(
        'unfilled', LocalConnector(), populate_target=False, register=True
    ) as store:
        assert not is_resolved(store.proxy([1]))
        assert is_resolved(store.proxy([1], populate_target=True))
        assert store.proxy([1]) == [1]


def test_own_serializer_is_bypassed_by_a_populated_target(
    local_store: Store[Any],
) -> None:
    options = {'serializer': lambda obj: b'1', 'deserializer': lambda data: 'other'}
    assert local_store.proxy('own', **options) == 'own'
    proxy = local_store.proxy('own', populate_target=False, **options)
    assert proxy == 'other'


def test_hash_and_class_travel_without_resolving(local_store: Store[Any]) -> None:
    proxy = travel(local_store.proxy('text'))
    assert hash(proxy) == hash('text')
    assert isinstance(proxy, str)
    assert not is_resolved(proxy)
    proxy = travel(local_store.proxy([1]))
    with pytest.raises(TypeError, match='unhashable'):
        hash(proxy)
    assert not is_resolved(proxy)


@pytest.mark.parametrize('value', [None, True, False])
def test_what_cannot_be_proxied(local_store: Store[Any], value: Any) -> None:
    with pytest.raises(NonProxiableTypeError, match='skip_nonproxiable'):
        local_store.proxy(value)
    assert local_store.proxy(value, skip_nonproxiable=True) is value
    with pytest.raises(NonProxiableTypeError):
        local_store.proxy_batch([[1], value])
    first, second = local_store.proxy_batch([[1], value], skip_nonproxiable=True)
    assert type(first) is Proxy
    assert second is value
    assert local_store.locked_proxy(value) is value
    with pytest.raises(NonProxiableTypeError):
        local_store.locked_proxy(value, skip_nonproxiable=False)


def test_locked_proxies_cannot_be_resolved_by_accident(store: Store[Any]) -> None:
    locked = store.locked_proxy([1, 2], populate_target=False)
    assert type(locked) is ProxyLocker
    proxy = locked.unlock()
    assert not is_resolved(proxy)
    assert proxy == [1, 2]


def test_batches_of_proxies(store: Store[Any]) -> None:
    proxies = store.proxy_batch([[n] for n in range(5)], populate_target=False)
    assert [list(proxy) for proxy in travel(proxies)] == [[n] for n in range(5)]


def test_proxy_from_key(store: Store[Any]) -> None:
    key = store.put('value')
    proxy = store.proxy_from_key(key)
    assert not is_resolved(proxy)
    assert get_key(proxy) == key
    assert proxy == 'value'


def test_evicting_proxies(store: Store[Any]) -> None:
    proxy = travel(store.proxy([1], evict=True))
    key = get_key(proxy)
    assert store.exists(key)
    assert proxy == [1]
    assert not store.exists(key)
    assert proxy == [1]
    with pytest.raises(ProxyResolveError):
        resolve(store.proxy_from_key(key))


def test_evict_excludes_lifetime(local_store: Store[Any]) -> None:
    for call in (local_store.proxy, local_store.proxy_from_key):
        with pytest.raises(ValueError, match='lifetime'):
            call((1,), evict=True, lifetime=object())
    with pytest.raises(ValueError, match='lifetime'):
        local_store.proxy_batch([[1]], evict=True, lifetime=object())


def test_missing_key_names_key_and_store(store: Store[Any]) -> None:
    proxy = travel(store.proxy([1]))
    key = get_key(proxy)
    store.evict(key)
    with pytest.raises(ProxyResolveError) as caught:
        resolve(proxy)
    cause = caught.value.cause
    assert caught.value.__cause__ is cause
    assert isinstance(cause, ProxyResolveMissingKeyError)
    assert cause.key == key
    assert cause.store_name == store.name
    assert cause.store_type is type(store)
    assert str(key) in str(cause)
    assert store.name in str(cause)
    again = pickle.loads(pickle.dumps(cause))
    assert (again.key, again.store_name) == (cause.key, cause.store_name)
    assert not is_resolved(proxy)


def test_resolving_opens_and_registers_the_store(store_dir: Path) -> None:
    store = Store('reopened', FileConnector(str(store_dir)), cache_size=5)
    proxy = travel(store.proxy([1]))
    assert get_store('reopened') is None
    assert proxy == [1]
    opened = get_store('reopened')
    assert opened is not None
    assert opened is not store
    assert opened.config() == store.config()
    assert get_store(proxy) is opened
    unregister_store(opened)


def test_get_store_of_a_foreign_proxy() -> None:
    with pytest.raises(ProxyStoreFactoryError, match='function'):
        get_store(Proxy(lambda: 1))
    with pytest.raises(ProxyStoreFactoryError):
        get_key(Proxy(lambda: 1))
    with pytest.raises(ProxyStoreFactoryError):
        resolve_async(Proxy(lambda: 1))


def test_factory_of_a_configuration(store_dir: Path) -> None:
    with Store('factory', FileConnector(str(store_dir)), register=True) as store:
        key = store.put('x')
        factory: StoreFactory[Any, str] = StoreFactory(key, store.config(), evict=True)
        assert factory.key == key
        assert factory.evict
        assert factory.deserializer is None
        assert factory.store_config == store.config()
        assert factory.get_store() is store
        travelled = pickle.loads(pickle.dumps(factory))
        assert (travelled.key, travelled.evict) == (key, True)
        assert travelled.store_config == factory.store_config
        assert travelled.resolve() == 'x'
        assert not store.exists(key)
        with pytest.raises(TypeError):
            StoreFactory(key, store.config(), True)  # type: ignore[misc]
        with pytest.raises(TypeError, match='key'):
            StoreFactory()  # type: ignore[call-arg]


def test_subclass_of_the_factory_travels(store_dir: Path) -> None:
    with Store('subclassed', FileConnector(str(store_dir)), register=True) as store:
        factory = Shouting(store.put('x'), store.config())
        assert Proxy(pickle.loads(pickle.dumps(factory))) == 'X'


class Shouting(StoreFactory[Any, str]):
    def resolve(self) -> str:
        return super().resolve().upper()


def test_a_store_with_proxies_can_be_collected() -> None:
    store = Store('collected', LocalConnector())
    proxy = store.proxy([1])
    store.itself = store  # type: ignore[attr-defined]
    gone = weakref.ref(store)
    del store, proxy
    gc.collect()
    assert gone() is None


class SlowConnector(LocalConnector):
    """Takes its time, as a far away place would."""

    def get(self, key: Any) -> Any:
        time.sleep(0.4)
        return super().get(key)


def test_asynchronous_resolution_overlaps() -> None:
    with Store('slow', SlowConnector(), register=True) as store:
        started = time.perf_counter()
        plain = travel(store.proxy([1]))
        time.sleep(0.4)  # the caller's own work
        assert plain == [1]
        in_turn = time.perf_counter() - started

        proxy = travel(store.proxy([2]))
        started = time.perf_counter()
        resolve_async(proxy)
        resolve_async(proxy)  # does no harm
        assert not is_resolved(proxy)
        time.sleep(0.4)
        assert proxy == [2]
        overlapped = time.perf_counter() - started
        assert in_turn > 0.79
        # The sum would be 0.8 s: far from what overlapping takes, on any machine.
        assert overlapped < 0.7


def test_asynchronous_resolution_of_a_missing_key(local_store: Store[Any]) -> None:
    proxy = travel(local_store.proxy([1]))
    local_store.evict(get_key(proxy))
    resolve_async(proxy)
    with pytest.raises(ProxyResolveError) as caught:
        resolve(proxy)
    assert isinstance(caught.value.cause, ProxyResolveMissingKeyError)
    assert not is_resolved(proxy)


def test_asynchronous_resolution_of_a_resolved_proxy(local_store: Store[Any]) -> None:
    proxy = local_store.proxy([1])
    resolve_async(proxy)
    assert not get_factory(proxy)._is_pending  # type: ignore[attr-defined]


def test_resolving_in_many_threads_fetches_once(local_store: Store[Any]) -> None:
    calls = []

    def count(data: Any) -> Any:
        calls.append(1)
        return [data]

    proxy = travel(local_store.proxy_from_key(local_store.put(b'x'), deserializer=None))
    key = get_key(proxy)
    factory = StoreFactory(key, local_store.config(), deserializer=count)
    proxies = [Proxy(factory) for _ in range(4)]
    threads = [
        threading.Thread(target=resolve, args=(p,)) for p in proxies for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(calls) == 1


def test_import_is_light() -> None:
    program = """
import sys
before = set(sys.modules)
import proxystore.store
heavy = {'numpy', 'pandas', 'polars', 'torch', 'pydantic', 'redis', 'asyncio',
         'logging', 'dataclasses', 'cloudpickle', 'multiprocessing'}
loaded = {name.partition('.')[0] for name in set(sys.modules) - before}
assert not loaded & heavy, loaded & heavy
"""
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)


def test_a_spawned_process_resolves_without_heavy_imports(store_dir: Path) -> None:
    store = Store('far', FileConnector(str(store_dir)))
    store_dir.joinpath('..', 'message').write_bytes(
        pickle.dumps(store.proxy({'a': [1, 2, 3]}))
    )
    program = f"""
import pickle, sys
proxy = pickle.loads(open({str(store_dir.parent / 'message')!r}, 'rb').read())
assert proxy['a'] == [1, 2, 3]
heavy = {{'pydantic', 'asyncio', 'logging', 'dataclasses', 'cloudpickle', 'numpy', 'inspect'}}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    subprocess.run([sys.executable, '-c', program], check=True, timeout=60)
