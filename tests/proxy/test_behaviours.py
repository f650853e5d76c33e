"""What programs written for ProxyStore 1.x count on."""

from __future__ import annotations

import collections.abc
import os
import pickle

import pytest
from proxystore.exceptions import ProxyStoreError
from proxystore.factory import Factory
from proxystore.factory import LambdaFactory
from proxystore.factory import SimpleFactory
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import extract
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Counting:
    def __init__(self, make):
        self.make = make
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.make()


def test_resolves_at_the_first_use_and_once():
    factory = Counting(lambda: [1, 2])
    p = Proxy(factory)
    assert not is_resolved(p)
    assert factory.calls == 0
    assert len(p) == 2
    assert p == [1, 2]
    assert is_resolved(p)
    assert factory.calls == 1
    assert get_factory(p) is factory


def test_extract_and_resolve():
    target = [1]
    p = Proxy(SimpleFactory(target))
    resolve(p)
    assert is_resolved(p)
    assert extract(p) is target
    assert type(p) is Proxy


@pytest.mark.parametrize('function', [extract, resolve, is_resolved, get_factory])
def test_functions_of_proxies_refuse_anything_else(function):
    with pytest.raises(AttributeError):
        function(3)


def test_in_place_operators_keep_the_proxy():
    p = q = Proxy(lambda: 1)
    p += 1
    assert type(p) is Proxy
    assert p is q
    assert q == 2
    assert type(p + 1) is int


def test_names_of_the_class_and_of_the_instance():
    class Target:
        """The target's."""

        x: int

    Target.__module__ = 'elsewhere'
    assert Proxy.__module__ == 'proxystore.proxy'
    assert Proxy.__qualname__ == 'Proxy'
    p = Proxy(Target)
    assert p.__module__ == 'elsewhere'
    assert p.__doc__ == "The target's."
    p.y = 1
    assert p.__dict__ == {'y': 1}
    assert p.__annotations__ == {'x': 'int'}


def test_is_an_instance_of_what_the_target_is():
    p = Proxy(dict)
    assert isinstance(p, dict)
    assert isinstance(p, collections.abc.Mapping)
    assert isinstance(p, Proxy)


def test_cached_class_and_hash_answer_unresolved():
    factory = Counting(lambda: 'text')
    p = Proxy(factory, cache_defaults=True, target='text')
    assert is_resolved(p)
    del p.__proxy_wrapped__
    assert not is_resolved(p)
    assert isinstance(p, str)
    assert hash(p) == hash('text')
    assert not is_resolved(p)
    assert factory.calls == 0
    assert p == 'text'
    assert factory.calls == 1


def test_cached_hash_of_an_unhashable():
    p = Proxy(list, cache_defaults=True, target=[])
    del p.__proxy_wrapped__
    for _ in range(2):
        with pytest.raises(TypeError, match="unhashable type: 'list'"):
            hash(p)
    assert not is_resolved(p)


def test_deleting_the_target_makes_it_unresolved():
    factory = Counting(list)
    p = Proxy(factory)
    resolve(p)
    del p.__proxy_wrapped__
    assert not is_resolved(p)
    with pytest.raises(AttributeError):
        del p.__proxy_wrapped__
    assert p == []
    assert factory.calls == 2


def test_bare_proxy():
    p = Proxy.__new__(Proxy)
    with pytest.raises(ProxyResolveError, match='not initialized'):
        str(p)
    with pytest.raises(AttributeError):
        p.__reduce__()
    p.__proxy_wrapped__ = 'set'
    assert p == 'set'


@pytest.mark.parametrize('error', [ValueError, AttributeError, KeyError, StopIteration])
def test_errors_of_the_factory(error):
    failures = [error('one')]

    def factory():
        if failures:
            raise failures.pop()
        return 'made'

    p = Proxy(factory)
    with pytest.raises(ProxyResolveError, match='factory of this proxy') as info:
        hasattr(p, 'upper')
    assert isinstance(info.value, ProxyStoreError)
    assert isinstance(info.value.cause, error)
    assert info.value.__cause__ is info.value.cause
    assert not is_resolved(p)
    assert p == 'made'


def test_interrupts_of_the_factory_pass():
    def factory():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        str(Proxy(factory))


def test_errors_of_the_target_pass():
    with pytest.raises(KeyError):
        Proxy(dict)['missing']


def test_resolve_error_travels():
    error = pickle.loads(pickle.dumps(ProxyResolveError('what', ValueError('why'))))
    assert str(error) == 'what'
    assert str(error.cause) == 'why'


@pytest.mark.parametrize('protocol', PROTOCOLS)
def test_pickle_holds_the_factory_alone(protocol):
    p = Proxy(SimpleFactory([1, 2]), cache_defaults=True, target=[1, 2])
    data = pickle.dumps(p, protocol)
    q = pickle.loads(data)
    assert type(q) is Proxy
    assert not is_resolved(q)
    assert isinstance(q, list)
    assert not is_resolved(q)
    assert q == [1, 2]


def test_pickle_is_small():
    for protocol in PROTOCOLS:
        assert len(pickle.dumps(Proxy(SimpleFactory(1)), protocol)) < 200


def test_pickles_of_1x_load():
    # Written by ProxyStore 1.1.0: `pickle.dumps(Proxy(SimpleFactory([1])))`.
    data = (
        b'\x80\x04\x95j\x00\x00\x00\x00\x00\x00\x00\x8c\x10proxystore.proxy\x94\x8c'
        b'\x11_proxy_trampoline\x94\x93\x94\x8c\x12proxystore.factory\x94\x8c\r'
        b'SimpleFactory\x94\x93\x94)\x81\x94}\x94\x8c\x04_obj\x94]\x94K\x01asbNN\x87'
        b'\x94R\x94.'
    )
    p = pickle.loads(data)
    assert type(p) is Proxy
    assert p == [1]
    assert pickle.dumps(Proxy(SimpleFactory([1])), 4) == data


def test_reduce_is_the_proxys():
    p = Proxy(SimpleFactory(1))
    function, args = p.__reduce__()
    assert function.__module__ == 'proxystore.proxy'
    assert args == (get_factory(p), None, None)
    assert p.__reduce_ex__(4) == p.__reduce__()
    assert not is_resolved(p)


def test_index_by_int_alone():
    class OnlyInt:
        def __int__(self):
            return 1

    assert [10, 11][Proxy(OnlyInt)] == 11
    with pytest.raises(TypeError, match="'float' object cannot be interpreted"):
        [10, 11][Proxy(lambda: 1.9)]
    with pytest.raises(TypeError, match="'str' object cannot be interpreted"):
        [10, 11][Proxy(lambda: '1')]


def test_fspath_names_the_targets_type():
    assert os.fspath(Proxy(lambda: '/tmp')) == '/tmp'
    with pytest.raises(TypeError, match='NoneType'):
        os.fspath(Proxy(lambda: None))


def test_repr_does_not_resolve():
    factory = SimpleFactory([1])
    p = Proxy(factory)
    assert repr(p) == f'<Proxy at {id(p):#x} with factory {factory!r}>'
    resolve(p)
    assert 'wrapping [1] at 0x' in repr(p)


class MisprintedFactory:
    def __class__(self):
        return 1


@pytest.mark.parametrize('factory', [None, 3, MisprintedFactory()])
def test_factory_must_be_callable(factory):
    with pytest.raises(TypeError, match='Factory must be callable') as info:
        Proxy(factory)
    assert type(factory).__name__ in str(info.value)
    assert '__call__' in str(info.value)


def test_arguments():
    assert Proxy(factory=list) == []
    with pytest.raises(TypeError, match='missing'):
        Proxy()
    with pytest.raises(TypeError, match='positional'):
        Proxy(list, list)
    with pytest.raises(TypeError, match="unexpected keyword argument 'other'"):
        Proxy(list, other=1)
    with pytest.raises(TypeError, match='multiple values'):
        Proxy(list, factory=list)


def test_target_none_is_no_target():
    p = Proxy(lambda: 1, cache_defaults=True, target=None)
    assert not is_resolved(p)
    assert p.__proxy_default_class__ is None


def test_locker():
    p = Proxy(lambda: 5)
    locker = ProxyLocker(p)
    with pytest.raises(AttributeError):
        locker._proxy
    with pytest.raises(TypeError):
        len(locker)
    assert locker.unlock() is p
    assert not is_resolved(p)
    again = pickle.loads(pickle.dumps(ProxyLocker(Proxy(SimpleFactory(5)))))
    assert again.unlock() == 5


def test_factories():
    assert SimpleFactory(3)() == 3
    assert LambdaFactory(sorted, [2, 1], reverse=True)() == [2, 1]
    with pytest.raises(NotImplementedError):
        Factory().resolve()


def test_invalid_raises_at_every_use():
    p = Proxy(SimpleFactory([1]))
    resolve(p)
    p.__proxy_invalid__ = ReferenceError('moved')
    for use in (len, str, hash, list, pickle.dumps, lambda p: p.append, resolve):
        with pytest.raises(ReferenceError, match='moved'):
            use(p)
    p.__proxy_invalid__ = None
    assert p == [1]
