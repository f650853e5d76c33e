"""The size of what travels, and every form of the cached hash."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.factory import SimpleFactory
from proxystore.proxy import Proxy
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store import Store


def test_a_stores_proxy_of_an_array_is_small(tmp_path):
    path = str(tmp_path)
    path += '/' + 'x' * (99 - len(path))
    assert len(path) == 100
    with Store('mystore', FileConnector(path), register=False) as store:
        data = pickle.dumps(store.proxy(np.arange(3)))
    assert len(data) <= 300


@pytest.mark.parametrize('protocol', range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize('evict', [False, True])
def test_a_stores_proxy_travels_as_one_call(tmp_path, protocol, evict):
    with Store('mystore', FileConnector(str(tmp_path)), register=True) as store:
        p = store.proxy([1, 2], evict=evict)
        function, args = p.__reduce__()
        assert function.__name__ == '_proxy_trampoline'
        assert args == (get_factory(p), list, False)
        data = pickle.dumps(p, protocol)
        assert data.count(b'proxystore') == 1
        for q in (pickle.loads(data), copy.copy(p)):
            assert type(q) is Proxy
            assert not is_resolved(q)
            assert isinstance(q, list)
            with pytest.raises(TypeError, match='unhashable'):
                hash(q)
            assert not is_resolved(q)
            assert get_factory(q).key == get_factory(p).key
            assert get_factory(q).evict is evict
        q = pickle.loads(data)
        assert q == [1, 2]
        assert store.exists(get_factory(p).key) is not evict


def test_a_stores_proxy_keeps_its_deserializer(tmp_path):
    with Store('mystore', FileConnector(str(tmp_path)), register=True) as store:
        p = store.proxy(
            'text', serializer=str.encode, deserializer=bytes.decode, evict=True
        )
        q = pickle.loads(pickle.dumps(p))
        assert get_factory(q).deserializer == bytes.decode
        assert q == 'text'


@pytest.mark.parametrize('target', [[1], {}, {1}, bytearray(), np.zeros(2)], ids=repr)
def test_unhashable_travels_in_a_byte(target):
    p = Proxy(SimpleFactory(target), cache_defaults=True, target=target)
    error = p.__proxy_default_hash__
    with pytest.raises(TypeError) as native:
        hash(target)
    assert type(error) is TypeError
    assert str(error) == str(native.value)
    assert p.__reduce__()[1][2] is False
    q = pickle.loads(pickle.dumps(p))
    with pytest.raises(TypeError) as info:
        hash(q)
    assert str(info.value) == str(native.value)
    assert not is_resolved(q)
    assert pickle.loads(pickle.dumps(q)).__reduce__()[1][2] is False


def test_another_type_error_travels_as_it_is():
    class Refuses:
        def __hash__(self):
            raise TypeError('not this one')

    p = Proxy(list, cache_defaults=True, target=Refuses())
    p.__proxy_default_class__ = None
    q = pickle.loads(pickle.dumps(p))
    with pytest.raises(TypeError, match='not this one'):
        hash(q)


@pytest.mark.parametrize('value', ['text', 5, -1, 2**61 - 2, (1, 2)])
def test_hashes_travel(value):
    p = Proxy(SimpleFactory(value), cache_defaults=True, target=value)
    q = pickle.loads(pickle.dumps(p))
    assert hash(q) == hash(value)
    assert not is_resolved(q)


def test_a_hash_of_minus_one():
    p = Proxy(list)
    p.__proxy_default_hash__ = -1
    assert hash(p) == -2


def test_resolve_errors_and_proxies_load_in_another_process():
    data = pickle.dumps([Proxy(SimpleFactory([1, 2])), Proxy(SimpleFactory('b'))])
    code = f'import pickle; a, b = pickle.loads({data!r}); print(sum(a), b)'
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stdout == '3 b\n'


def test_import_is_light():
    code = (
        'import sys; import proxystore.proxy; '
        "print([m for m in ('asyncio', 'inspect', 'logging', 'dataclasses', 'numpy', "
        "'pydantic', 'typing_extensions', 'proxystore.store') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True, check=True
    )
    assert done.stdout == '[]\n'
