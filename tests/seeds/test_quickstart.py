"""The code of the first documentation's quick start, line by line."""

from __future__ import annotations

import pickle
import subprocess
import sys

import numpy as np
import proxystore as ps
import pytest

from tests.conftest import RedisAddress


def test_a_proxy_of_a_function() -> None:
    obj = {'any': 'object'}

    def resolve_object():  # printed with a placeholder for its arguments
        # Function that produces the object of interest
        return obj

    p = ps.proxy.Proxy(ps.factory.LambdaFactory(resolve_object))

    assert not ps.proxy.is_resolved(p)
    assert p == obj
    assert p['any'] == 'object'
    assert ps.proxy.is_resolved(p)


def test_the_modules_need_no_import_of_their_own() -> None:
    code = """
import proxystore as ps
p = ps.proxy.Proxy(ps.factory.LambdaFactory(lambda: 6))
assert p == 6
ps.store.init_store
"""
    subprocess.run([sys.executable, '-c', code], check=True)


@pytest.fixture
def store(redis_server: RedisAddress):
    REDIS_HOST, REDIS_PORT = redis_server

    store = ps.store.init_store(
        'redis', name='redis', hostname=REDIS_HOST, port=REDIS_PORT
    )
    yield store
    store.close()
    ps.store.unregister_store('redis')


def test_a_proxy_of_an_object_in_redis(store) -> None:
    x = np.array([1, 2, 3])

    p = store.proxy(x)

    assert np.array_equal(p, x)
    received = pickle.loads(pickle.dumps(p))
    assert not ps.proxy.is_resolved(received)
    assert np.array_equal(received, x)


def test_get_and_set(store) -> None:
    key = store.set([1, 2, 3])
    assert store.get(key) == [1, 2, 3]


def test_the_proxy_resolves_in_another_process(store) -> None:
    p = store.proxy(np.array([1, 2, 3]))
    code = 'import pickle, sys; print(pickle.load(sys.stdin.buffer).sum())'
    result = subprocess.run(
        [sys.executable, '-c', code],
        input=pickle.dumps(p),
        stdout=subprocess.PIPE,
        check=True,
    )
    assert result.stdout == b'6\n'


def test_the_store_is_known_to_the_program(store, redis_server: RedisAddress) -> None:
    assert ps.store.get_store('redis') is store
    again = ps.store.init_store(
        'redis', name='redis', hostname='127.0.0.1', port=redis_server.port
    )
    assert ps.store.get_store('redis') is again


@pytest.mark.parametrize('kind', ['redis', 'REDIS'])
def test_kinds_are_members_of_stores_or_their_names(
    kind: str, redis_server: RedisAddress
) -> None:
    member = ps.store.STORES['REDIS']
    for given in (kind, member):
        store = ps.store.init_store(
            given, name='kinds', hostname='127.0.0.1', port=redis_server.port
        )
        assert isinstance(store, ps.store.redis.RedisStore)
        store.close()
    ps.store.unregister_store('kinds')


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match='local, file, redis'):
        ps.store.init_store('nonesuch', name='nonesuch')
