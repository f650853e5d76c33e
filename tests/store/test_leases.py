"""Objects that go by themselves: leases, and stores whose objects go with their process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorUnsupportedError
from proxystore.store import Store
from proxystore.store.lifetimes import LeaseLifetime

from ..conftest import RedisAddress
from .conftest import NoteConnector


@pytest.fixture(params=['file', 'redis'])
def url(request: pytest.FixtureRequest, store_dir: Path) -> str:
    if request.param == 'file':
        return f'file://{store_dir}'
    address: RedisAddress = request.getfixturevalue('redis_server')
    return f'redis://{address.host}:{address.port}'


def gone_within(seconds: float, is_there: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while is_there():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


class Child:
    """A program that prints lines, until it is killed."""

    def __init__(self, program: str, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, '-c', program, *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


LEASED = """
import sys, time
from proxystore.store import Store
from proxystore.store.lifetimes import LeaseLifetime
store = Store.from_url(sys.argv[1], name='maker')
stays = store.put('stays')
lease = LeaseLifetime(store, float(sys.argv[2]))
big = bytes(3_000_000)
keys = [store.put('small', lifetime=lease), store.put(big, lifetime=lease)]
keys += store.put_batch(['one', big], lifetime=lease)
later = store.put('later')
lease.add_key(later)
future = store.put('extended', lifetime=lease)
lease.extend(float(sys.argv[3]))
print(*(key[0] for key in [stays, *keys, later]), flush=True)
time.sleep(100)
"""


def test_a_lease_outlives_the_death_of_its_maker(url: str) -> None:
    """After kill -9 nobody evicts; the place does."""
    with Store.from_url(url, name='reader') as store:
        key_class = store.connector._key_class
        with Child(LEASED, url, '1', '1') as child:
            stays, *leased = (key_class(name) for name in child.line().split())
            child.kill()
        assert len(leased) == 5
        assert all(store.exists(key) for key in leased)
        for key in leased:
            assert gone_within(20, lambda key=key: store.connector.exists(key))  # type: ignore[misc]
            assert store.get(key) is None
        assert store.get(stays) == 'stays'
        store.evict(stays)


def test_an_extended_lease_holds_after_its_maker(url: str) -> None:
    with Store.from_url(url, name='reader') as store:
        key_class = store.connector._key_class
        with Child(LEASED, url, '1', '600') as child:
            stays, *leased = (key_class(name) for name in child.line().split())
            child.kill()
        time.sleep(1.5)
        assert store.get(leased[0]) == 'small'
        assert store.get(leased[1]) == bytes(3_000_000)
        for key in [stays, *leased]:
            store.evict(key)


def test_a_lease_that_is_closed_is_one_batch(url: str) -> None:
    with Store.from_url(url, name='closer', metrics=True) as store:
        lease = LeaseLifetime(store, 600)
        keys = [store.put(number, lifetime=lease) for number in range(5)]
        lease.close()
        assert not any(store.connector.exists(key) for key in keys)
        with pytest.raises(RuntimeError, match='has ended'):
            store.put(1, lifetime=lease)


def test_a_subclass_sees_every_key(url: str) -> None:
    class Seeing(LeaseLifetime):
        seen: list[Any]

        def add_key(self, *keys: Any, store: Store[Any] | None = None) -> None:
            self.seen = [*getattr(self, 'seen', []), *keys]
            super().add_key(*keys, store=store)

    with Store.from_url(url, name='seeing') as store:
        lease = Seeing(store, 600)
        keys = [store.put(1, lifetime=lease), store.put(2, lifetime=lease)]
        assert lease.seen == keys
        lease.close()


BOUND = """
import os, sys, time
from proxystore.store import Store
store = Store.from_url(sys.argv[1], name='maker', lifetime='process', register=True)
keys = [store.put('small'), store.put(bytes(3_000_000))]
keys += store.put_batch([1, 'two'])
future = store.future()
future.set_result('done')
keys.append(future._factory.key)
print(*(key[0] for key in keys), flush=True)
if sys.argv[2] == 'exit':
    sys.exit()
time.sleep(100)
"""


@pytest.fixture
def short_lease() -> Iterator[dict[str, str]]:
    yield {'PROXYSTORE_PROCESS_LEASE': '1.5'}


@pytest.mark.parametrize('end', ['kill', 'exit'])
def test_objects_go_with_their_process(
    url: str, end: str, short_lease: dict[str, str]
) -> None:
    with Store.from_url(url, name='reader') as store:
        stays = store.put('stays')
        key_class = store.connector._key_class
        with Child(BOUND, url, end, **short_lease) as child:
            keys = [key_class(name) for name in child.line().split()]
            if end == 'kill':
                time.sleep(3)  # twice the lease, so that it was renewed
                assert all(store.connector.exists(key) for key in keys)
                assert store.get(keys[1]) == bytes(3_000_000)
                child.kill()
            else:
                child.process.wait(60)
        if end == 'kill' and url.startswith('file'):
            assert all(store.connector.exists(key) for key in keys)
            Store.from_url(url, name='the next opener')
            assert not any(store.connector.exists(key) for key in keys)
        for key in keys:
            assert gone_within(20, lambda key=key: store.connector.exists(key))  # type: ignore[misc]
        assert store.get(stays) == 'stays'
        store.evict(stays)


def test_a_store_that_is_open_sweeps_too(store_dir: Path) -> None:
    url = f'file://{store_dir}'
    with Store.from_url(url, name='sweeper', lifetime='process') as store:
        mine = store.put('mine')
        with Child(BOUND, url, 'sleep') as child:
            keys = [type(mine)(name) for name in child.line().split()]
            assert all(store.exists(key) for key in keys)
            child.kill()
        for key in keys:
            assert gone_within(20, lambda key=key: store.connector.exists(key))  # type: ignore[misc]
        assert store.get(mine) == 'mine'
        plain = Store.from_url(url, name='plain')  # which sweeps, too
        assert plain.get(mine) == 'mine'
    assert not plain.connector.exists(mine), 'the store was closed'


def test_a_forked_child_is_a_process_of_its_own(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('PROXYSTORE_PROCESS_LEASE', '1.5')
    with Store.from_url(url, name='parent', lifetime='process') as store:
        mine = store.put('mine')
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, store.put('the child')[0].encode())
            os._exit(0)
        os.waitpid(child, 0)
        theirs = type(mine)(os.read(reader, 1000).decode())
        os.close(reader)
        os.close(writer)
        assert gone_within(20, lambda: store.connector.exists(theirs))
        time.sleep(2)
        assert store.get(mine) == 'mine'
        assert store.connector.exists(mine)


def test_a_shared_memory_store_of_a_process() -> None:
    with Store('shared', lifetime='process') as store:
        key = store.put('hello')
        assert store.connector.exists(key)
        store._bound.evict_bound()  # type: ignore[union-attr]
        assert not store.connector.exists(key)


def test_what_cannot_be_asked_for() -> None:
    with pytest.raises(ConnectorUnsupportedError, match='NoteConnector cannot'):
        notes: Any = NoteConnector('notes')
        Store('notes', notes, lifetime='process')
    with pytest.raises(ValueError, match="lifetime='forever'"):
        Store('forever', lifetime='forever')  # type: ignore[arg-type]


def test_leases_of_a_users_own_connector_are_kept_by_this_process() -> None:
    notes: Any = NoteConnector('notes')
    with Store('notes', notes) as store:
        lease = LeaseLifetime(store, 0.2)
        key = store.put('hello', lifetime=lease)
        assert gone_within(20, lambda: store.connector.exists(key))


def test_the_server_itself_keeps_the_lease(redis_server: RedisAddress) -> None:
    connector = RedisConnector(redis_server.host, redis_server.port)
    with Store('ttl', connector) as store:
        lease = LeaseLifetime(store, 600)
        key = store.put(bytes(3_000_000), lifetime=lease)
        import redis

        with redis.Redis(redis_server.host, redis_server.port) as server:
            head = f'proxystore:{key[0]}'
            assert 590 < server.ttl(head) <= 600  # type: ignore[operator]
            name = server.get(head)[24:50].decode()  # type: ignore[index]
            for chunk in server.scan_iter(f'proxystore:/{name}/*'):
                assert 590 < server.ttl(chunk) <= 603  # type: ignore[operator]
            lease.extend(1000)
            assert 1590 < server.ttl(head) <= 1600  # type: ignore[operator]
        lease.close()
