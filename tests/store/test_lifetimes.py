"""Lifetimes: what they hold goes when they end, in one batch."""

from __future__ import annotations

import atexit
import datetime
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.exceptions import ProxyStoreFactoryError
from proxystore.store.lifetimes import ContextLifetime
from proxystore.store.lifetimes import LeaseLifetime
from proxystore.store.lifetimes import Lifetime
from proxystore.store.lifetimes import StaticLifetime
from proxystore.store.lifetimes import register_lifetime_atexit
from proxystore.store.utils import get_key


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, 'it never came true'
        time.sleep(0.01)


def test_context_evicts_what_it_was_given(store: Store[Any]) -> None:
    with ContextLifetime(store, name='mine') as lifetime:
        assert isinstance(lifetime, Lifetime)
        assert lifetime.name == 'mine'
        assert lifetime.store is store
        assert not lifetime.done()
        keys = [store.put('a', lifetime=lifetime)]
        keys += store.put_batch(['b', 'c'], lifetime=lifetime)
        keys.append(get_key(store.proxy(['d'], lifetime=lifetime)))
        keys += map(get_key, store.proxy_batch([['e']], lifetime=lifetime))
        later = store.put('f')
        store.proxy_from_key(later, lifetime=lifetime)
        p = store.proxy(['g'])
        lifetime.add_proxy(p)
        lifetime.add_key(*store.put_batch(['h', 'i']))
        keys += [later, get_key(p)]
        assert all(store.exists(key) for key in keys)
        kept = store.put('kept')
    assert lifetime.done()
    assert not any(store.exists(key) for key in keys)
    assert store.exists(kept)
    store.evict(kept)
    lifetime.close()
    for use in (
        lambda: lifetime.add_key(kept),
        lambda: lifetime.add_proxy(p),
        lambda: store.put('x', lifetime=lifetime),
    ):
        with pytest.raises(RuntimeError, match='has ended'):
            use()


def test_evictions_are_one_batch(local_store: Store[Any]) -> None:
    batches = []

    class Watched(Store[Any]):
        def _evict_batch(self, keys: Any) -> None:
            batches.append(list(keys))
            super()._evict_batch(keys)

    store = Watched('watched', LocalConnector())
    with ContextLifetime(store) as lifetime:
        keys = store.put_batch([1, 2, 3], lifetime=lifetime)
    assert batches == [keys]


def test_a_lease_of_several_proxies_touches_each_store_once() -> None:
    touched: list[tuple[str, int]] = []

    class Counting(Store[LocalConnector]):
        def _touch(self, keys: list[Any], seconds: float) -> None:
            touched.append((self.name, len(keys)))
            super()._touch(keys, seconds)

    with (
        Counting('lease-one', LocalConnector(), register=True) as one,
        Counting('lease-two', LocalConnector(), register=True) as two,
    ):
        lease = LeaseLifetime(one, 3600)
        proxies = [one.proxy('a'), two.proxy('b'), one.proxy('c')]
        lease.add_proxy(*proxies)
        assert touched == [('lease-one', 2), ('lease-two', 1)]
        lease.close()
        assert not any(get_store(proxy).exists(get_key(proxy)) for proxy in proxies)


def test_objects_of_other_stores_are_evicted_there(
    local_store: Store[Any], store_dir: Path
) -> None:
    with Store('other', FileConnector(str(store_dir)), register=True) as other:
        with ContextLifetime(local_store) as lifetime:
            key = other.put('a')
            lifetime.add_key(key, store=other)
            p = other.proxy('b', populate_target=False)
            lifetime.add_proxy(p)
        assert not other.exists(key)
        assert not other.exists(get_key(p))


def test_only_proxies_of_stores_are_taken(local_store: Store[Any]) -> None:
    with (
        ContextLifetime(local_store) as lifetime,
        pytest.raises(ProxyStoreFactoryError),
    ):
        lifetime.add_proxy(Proxy(list))


def test_it_ends_when_the_block_fails(local_store: Store[Any]) -> None:
    with pytest.raises(KeyError), ContextLifetime(local_store) as lifetime:
        key = local_store.put(1, lifetime=lifetime)
        raise KeyError
    assert not local_store.exists(key)


def test_close_stores() -> None:
    name = uuid.uuid4().hex
    lifetime = ContextLifetime(Store(name, LocalConnector(), register=True))
    lifetime.close(close_stores=True)
    assert get_store(name) is None


def test_evict_and_lifetime_exclude_one_another(local_store: Store[Any]) -> None:
    with (
        ContextLifetime(local_store) as lifetime,
        pytest.raises(ValueError, match='exclude'),
    ):
        local_store.proxy([1], evict=True, lifetime=lifetime)


@pytest.mark.parametrize(
    'expiry',
    [
        lambda: 0.05,
        lambda: datetime.timedelta(milliseconds=50),
        lambda: datetime.datetime.now() + datetime.timedelta(milliseconds=50),
        lambda: (
            datetime.datetime.now(datetime.timezone.utc)
            + datetime.timedelta(milliseconds=50)
        ),
        lambda: -1,
    ],
    ids=['seconds', 'timedelta', 'datetime', 'aware datetime', 'past'],
)
def test_a_lease_ends_by_itself(
    local_store: Store[Any], expiry: Callable[[], Any]
) -> None:
    lease = LeaseLifetime(local_store, 60)
    key = local_store.put(1, lifetime=lease)
    lease.close()
    assert lease.done()
    assert not local_store.exists(key)
    lease = LeaseLifetime(local_store, expiry())
    wait_until(lease.done)
    with pytest.raises(RuntimeError, match='has ended'):
        lease.extend(1)


def test_a_lease_holds_until_its_end_and_then_evicts(local_store: Store[Any]) -> None:
    began = time.monotonic()
    lease = LeaseLifetime(local_store, 0.3)
    key = local_store.put(1, lifetime=lease)
    wait_until(lambda: not local_store.exists(key))
    assert time.monotonic() - began >= 0.3
    wait_until(lease.done)


def test_an_extended_lease_ends_later(local_store: Store[Any]) -> None:
    began = time.monotonic()
    lease = LeaseLifetime(local_store, 0.2)
    lease.extend(0.2)
    lease.extend(datetime.timedelta(milliseconds=200))
    wait_until(lease.done)
    assert time.monotonic() - began >= 0.6
    lease = LeaseLifetime(local_store, 60)
    lease.extend(datetime.datetime.now())  # a point in time replaces the end
    wait_until(lease.done)


def test_a_lease_with_a_wrong_expiry(local_store: Store[Any]) -> None:
    expiry: Any
    for expiry in ('5', None, True):
        with pytest.raises(TypeError, match='expiry is a datetime'):
            LeaseLifetime(local_store, expiry)
    with pytest.raises(ValueError, match='nan'):
        LeaseLifetime(local_store, float('nan'))


def test_static_is_one_and_needs_a_store(local_store: Store[Any]) -> None:
    static = StaticLifetime()
    assert static is StaticLifetime()
    assert static.name == 'static'
    assert not static.done()
    key = local_store.put(1)
    with pytest.raises(ValueError, match='needs store='):
        static.add_key(key)
    with pytest.raises(ProxyStoreFactoryError):
        static.add_proxy(Proxy(list))
    assert not static.done()


def run(program: str, *arguments: str) -> str:
    ended = subprocess.run(
        [sys.executable, '-c', program, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ''
    return ended.stdout


PRELUDE = """
import os, sys
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
from proxystore.store.lifetimes import *
store = Store('s', FileConnector(sys.argv[1], clear=False), register=True)
"""


def objects(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if not name.startswith('.'))


@pytest.mark.parametrize(
    'ending',
    [
        'p = store.proxy([1], lifetime=StaticLifetime())',
        'StaticLifetime().add_proxy(store.proxy([1]))',
        'l = ContextLifetime(store); store.put(1, lifetime=l); '
        'register_lifetime_atexit(l)',
        'store.put(1, lifetime=LeaseLifetime(store, 0.2))',
        'owner = store.owned_proxy([1])',
    ],
    ids=['static', 'static proxy', 'registered', 'lease', 'owner'],
)
def test_objects_go_at_exit(store_dir: Path, ending: str) -> None:
    count = (
        'print(len([n for n in os.listdir(sys.argv[1]) if n != ".proxystore-kept"]))'
    )
    out = run(f'{PRELUDE}{ending}\n{count}', str(store_dir))
    assert out == '1\n'
    assert objects(store_dir) == []


def test_a_forked_child_ends_nothing_of_its_parents(store_dir: Path) -> None:
    program = f"""{PRELUDE}
store.put(1, lifetime=StaticLifetime())
lifetime = ContextLifetime(store)
store.put(2, lifetime=lifetime)
register_lifetime_atexit(lifetime)
owner = store.owned_proxy([3])
child = os.fork()
if child:
    os.waitpid(child, 0)
    print(len([n for n in os.listdir(sys.argv[1]) if n[0] != '.']))
"""
    assert run(program, str(store_dir)) == '3\n'
    assert objects(store_dir) == []


def test_what_is_called_at_exit_can_be_called_and_unregistered() -> None:
    name = uuid.uuid4().hex
    store = Store(name, LocalConnector(), register=True)
    lifetime = ContextLifetime(store)
    key = store.put(1, lifetime=lifetime)
    callback = register_lifetime_atexit(lifetime)
    callback()
    assert lifetime.done()
    assert not store.exists(key)
    assert get_store(name) is None
    callback()
    atexit.unregister(callback)
