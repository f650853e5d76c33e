"""Python subclasses of the proxy type, generics, mixins."""

from __future__ import annotations

import abc
import collections.abc
import copy
import pickle
import typing
import weakref
from types import SimpleNamespace
from typing import Generic
from typing import TypeVar

import pytest
from proxystore.factory import SimpleFactory
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyOr
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import extract
from proxystore.proxy import is_resolved

T = TypeVar('T')


class Plain(Proxy[T]):
    pass


class WithState(Proxy[T]):
    label = 'class'

    def __init__(self, factory, label):
        object.__setattr__(self, 'label', label)
        super().__init__(factory)

    def shout(self):
        return f'{self.label}: {self}'


class WithSlots(Proxy[T]):
    __slots__ = ('extra',)


class WithProperty(Proxy[T]):
    @property
    def doubled(self):
        return extract(self) * 2

    @doubled.setter
    def doubled(self, value):
        self.__proxy_wrapped__ = value // 2


class WithGetattr(Proxy[T]):
    def __getattr__(self, name):
        if name == 'invented':
            return 'by the subclass'
        return super().__getattr__(name)


class WithGetattribute(Proxy[T]):
    def __getattribute__(self, name):
        if name == 'invented':
            return 'by the subclass'
        return super().__getattribute__(name)


class WithReduce(Proxy[T]):
    def __reduce__(self):
        return WithReduce, (self.__proxy_factory__,)


class Guarded(Proxy[T]):
    """A target that may be taken away: how ownership used to be written."""

    def __init__(self, factory, valid=True):
        object.__setattr__(self, '__proxy_valid__', valid)
        super().__init__(factory)

    __proxy_valid__ = True

    @property
    def __proxy_wrapped__(self):
        if not self.__proxy_valid__:
            raise ReferenceError('taken away')
        return Proxy.__dict__['__proxy_wrapped__'].__get__(self)

    @__proxy_wrapped__.setter
    def __proxy_wrapped__(self, value):
        Proxy.__dict__['__proxy_wrapped__'].__set__(self, value)


class Target:
    """The target's words."""

    def __init__(self):
        self.x = 1

    def method(self):
        return 'target'


KINDS = [
    Plain,
    WithSlots,
    WithProperty,
    WithGetattr,
    WithGetattribute,
    WithReduce,
    Guarded,
]


@pytest.mark.parametrize('kind', KINDS)
def test_a_subclass_is_as_transparent(kind):
    p = kind(lambda: [1, 2, 3])
    assert type(p) is kind
    assert isinstance(p, Proxy)
    assert not is_resolved(p)
    assert len(p) == 3
    assert isinstance(p, list)
    assert p + [4] == [1, 2, 3, 4]
    assert [4] + p == [4, 1, 2, 3]
    assert p[0] == 1
    p.append(4)
    assert p == [1, 2, 3, 4]
    same = p
    p += [5]
    assert p is same
    assert type(p) is kind
    assert len(p) == 5
    with pytest.raises(
        AttributeError, match="'list' object has no attribute 'nothing'"
    ):
        p.nothing
    assert p.__doc__ == list.__doc__


@pytest.mark.parametrize('kind', KINDS)
def test_attributes_of_the_target_of_a_subclass(kind):
    p = kind(Target)
    assert p.x == 1
    p.x = 2
    assert extract(p).x == 2
    p.new = 3
    assert extract(p).new == 3
    del p.new
    assert not hasattr(extract(p), 'new')
    assert p.method() == 'target'
    assert p.__dict__ == {'x': 2}
    assert p.__module__ == Target.__module__
    assert p.__doc__ == "The target's words."


def test_state_of_a_subclass_stays_with_it():
    p = WithState(lambda: 'text', 'mine')
    assert p.label == 'mine'
    assert not is_resolved(p)
    p.label = 'changed'
    assert p.label == 'changed'
    assert not is_resolved(p)
    assert p.shout() == 'changed: text'
    q = WithSlots(list)
    q.extra = 1
    assert q.extra == 1
    assert not is_resolved(q)
    r = WithProperty(lambda: 4)
    assert r.doubled == 8
    r.doubled = 10
    assert r == 5


@pytest.mark.parametrize('kind', [WithGetattr, WithGetattribute])
def test_an_overridden_attribute_hook(kind):
    p = kind(Target)
    assert p.invented == 'by the subclass'
    assert not is_resolved(p)
    assert p.x == 1


def test_a_hook_that_is_added_later():
    class Late(Proxy):
        pass

    p = Late(Target)
    assert p.x == 1
    Late.__getattr__ = lambda self, name: f'late {name}'
    assert p.anything == 'late anything'
    del Late.__getattr__
    assert p.x == 1
    assert not hasattr(p, 'anything')


def test_a_reduce_of_the_subclass_is_heard():
    p = WithReduce(SimpleFactory(1))
    assert p.__reduce_ex__(4)[0] is WithReduce
    q = pickle.loads(pickle.dumps(p))
    assert type(q) is WithReduce
    assert q == 1


def test_a_wrapped_property_of_the_subclass_decides():
    p = Guarded(SimpleFactory([1]))
    assert p == [1]
    object.__setattr__(p, '__proxy_valid__', False)
    for use in (len, str, list, hash, lambda p: p.append, lambda p: p + [1], extract):
        with pytest.raises(ReferenceError, match='taken away'):
            use(p)
    object.__setattr__(p, '__proxy_valid__', True)
    assert len(p) == 1


def test_generic_aliases():
    assert Proxy[int].__origin__ is Proxy
    assert typing.get_args(Proxy[int]) == (int,)
    assert typing.get_origin(Plain[str]) is Plain
    assert Proxy[T][int] == Proxy[int]
    assert typing.get_args(Proxy[int] | None)[0] == Proxy[int]
    assert typing.get_type_hints(annotated)['p'] == Proxy[int]
    assert pickle.loads(pickle.dumps(Proxy[int])) == Proxy[int]
    assert typing.get_args(ProxyOr[int]) == (Proxy[int], int)


def annotated(p: Proxy[int]) -> ProxyOr[int]:
    return p


def test_mixins():
    class Named(Generic[T]):
        def name_it(self):
            return 'named'

    class WithGeneric(Proxy[T], Named[T]):
        pass

    class Abstract(abc.ABC):
        @abc.abstractmethod
        def method(self): ...

    class WithAbstract(Proxy, Abstract):
        def method(self):
            return 'concrete'

    class Sized(Proxy, collections.abc.Sized):
        pass

    assert WithGeneric(list).name_it() == 'named'
    assert WithAbstract(Target).method() == 'concrete'
    assert len(Sized(lambda: [1])) == 1
    assert isinstance(Sized(list), collections.abc.Sized)


def test_keywords_of_a_class_statement():
    with pytest.raises(TypeError, match='takes no keyword arguments'):

        class Wrong(Proxy, option=1):
            pass

    class Base(Proxy):
        def __init_subclass__(cls, option=None, **kwargs):
            super().__init_subclass__(**kwargs)
            cls.option = option

    class Derived(Base, option=3):
        pass

    assert Derived.option == 3
    assert Derived(Target).x == 1


def test_subclasses_of_subclasses():
    class Deep(WithState):
        def __len__(self):
            return 99

    p = Deep(lambda: [1], 'deep')
    assert len(p) == 99
    assert p[0] == 1
    assert p.__len__() == 99
    assert weakref.ref(p)() is p
    assert type(copy.copy(p)) is Proxy


def test_a_subclass_must_call_init():
    class Forgetful(Proxy):
        def __init__(self):
            pass

    with pytest.raises(ProxyResolveError, match='not initialized'):
        str(Forgetful())


@pytest.fixture
def changed_class():
    """Set attributes of `Proxy` itself, and take them away again."""
    names = []

    def change(name, value):
        setattr(Proxy, name, value)
        names.append(name)

    yield change
    for name in names:
        if name in vars(Proxy):
            delattr(Proxy, name)


def test_an_attribute_that_the_class_gets_later(changed_class):
    p = Proxy(lambda: SimpleNamespace(x=1, y=2))
    assert (p.x, p.y) == (1, 2)
    changed_class('x', property(lambda self: 'the class'))
    assert (p.x, p.y) == ('the class', 2)
    with pytest.raises(AttributeError):
        p.x = 3
    del Proxy.x
    assert (p.x, p.y) == (1, 2)
    p.x = 3
    assert extract(p).x == 3
    changed_class('y', 'the class')
    assert p.y == 'the class'
    with pytest.raises(AttributeError):
        p.y = 4


def test_a_class_that_says_later_that_it_is_another():
    class Base:
        pass

    class Pretends:
        @property
        def __class__(self):
            return int

    class Target(Base):
        pass

    p = Proxy(Target)
    for _ in range(3):
        assert p.__class__ is Target
        assert not isinstance(p, int)
    Target.__bases__ = (Pretends,)
    assert p.__class__ is int
    assert isinstance(p, int)
    Target.__bases__ = (Base,)
    assert p.__class__ is Target
    assert not isinstance(p, int)
    Target.__getattribute__ = lambda self, name: int
    assert p.__class__ is int
    assert isinstance(p, int)
    del Target.__getattribute__
    assert p.__class__ is Target


def test_names_of_the_class_begin_with_an_underscore():
    # Reading any other name goes to the target at once.
    names = {name for kind in Proxy.__mro__ for name in vars(kind)}
    assert names
    assert not [name for name in names if not name.startswith('_')]
