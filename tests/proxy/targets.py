"""The objects that stand behind the proxies of the exactness table.

Each entry makes a fresh object, so that an operation on the native one and on
the proxy's start from the same state.
"""

from __future__ import annotations

import abc
import array
import collections
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import math
import operator
import pathlib
import re
import threading
import types
import uuid

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2

    def norm(self):
        return self.x + self.y


@dataclasses.dataclass(order=True, frozen=True)
class Frozen:
    x: int


class Slotted:
    __slots__ = ('a', 'b')

    def __init__(self):
        self.a = 1


class Color(enum.Enum):
    RED = 1
    BLUE = 2


class Number(enum.IntEnum):
    ONE = 1


class Permission(enum.Flag):
    READ = 1
    WRITE = 2


Pair = collections.namedtuple('Pair', 'first second')


class Callable:
    def __call__(self, *args, **kwargs):
        return args, kwargs


class Plain:
    """What this is."""

    attribute = 'of the class'

    def __init__(self):
        self.x = 1

    @property
    def doubled(self):
        return self.x * 2

    @doubled.setter
    def doubled(self, value):
        self.x = value // 2

    def method(self, a, b=2):
        return a, b

    @classmethod
    def made(cls):
        return cls.__name__

    @staticmethod
    def static(a):
        return a


class Dynamic:
    def __getattr__(self, name):
        if name.startswith('__'):
            raise AttributeError(name)
        return f'dynamic {name}'


class Lying:
    """Says that it is an int."""

    @property
    def __class__(self):
        return int


class OnlyGetitem:
    def __getitem__(self, i):
        if i > 2:
            raise IndexError(i)
        return i * 10


class OnlyIndex:
    def __index__(self):
        return 1


class AllSpecial:
    """Special methods that answer with something of their own."""

    def __bytes__(self):
        return b'special'

    def __fspath__(self):
        return '/special'

    def __format__(self, specification):
        return f'special {specification}'

    def __reversed__(self):
        return iter([3, 2, 1])

    def __length_hint__(self):
        return 7

    def __complex__(self):
        return 1j

    def __round__(self, digits=None):
        return f'rounded {digits}'

    def __trunc__(self):
        return 8

    def __floor__(self):
        return 'floor'

    def __ceil__(self):
        return 'ceil'

    def __bool__(self):
        return False

    def __dir__(self):
        return ['b', 'a']

    def __eq__(self, other):
        return 'equal'

    def __lt__(self, other):
        return 'less'

    __hash__ = None

    def __contains__(self, x):
        return x == 1

    def __str__(self):
        return 'special str'

    def __index__(self):
        return 2

    def __divmod__(self, other):
        return 'divmod'

    def __rdivmod__(self, other):
        return 'rdivmod'


class Reflected:
    """Only the operators of the right-hand side."""

    def __radd__(self, other):
        return 'radd', type(other)

    def __rmul__(self, other):
        return 'rmul', type(other)

    def __rmatmul__(self, other):
        return 'rmatmul', type(other)

    def __rpow__(self, other, modulus=None):
        return 'rpow', type(other)

    def __ror__(self, other):
        return 'ror', type(other)


class NoUfunc(Reflected):
    """An operand that arrays must leave alone."""

    __array_ufunc__ = None

    def __eq__(self, other):
        return 'equal'

    __hash__ = object.__hash__


class Prioritised(Reflected):
    """An operand of the kind that scipy's sparse matrices are."""

    __array_priority__ = 100


class InPlace:
    def __init__(self):
        self.log = []

    def __iadd__(self, other):
        self.log.append(other)
        return self

    def __ior__(self, other):
        return NotImplemented


class Failing:
    """Special methods that raise."""

    def __len__(self):
        raise LookupError('len')

    def __bool__(self):
        raise LookupError('bool')

    def __hash__(self):
        raise LookupError('hash')

    def __iter__(self):
        raise LookupError('iter')

    def __add__(self, other):
        raise LookupError('add')

    def __eq__(self, other):
        raise LookupError('eq')

    def __getitem__(self, key):
        raise LookupError('getitem')

    def __call__(self):
        raise LookupError('call')

    def __str__(self):
        raise LookupError('str')

    def __enter__(self):
        raise LookupError('enter')

    def __exit__(self, *args):
        pass


class Context:
    def __init__(self):
        self.events = []

    def __enter__(self):
        self.events.append('enter')
        return 'entered'

    def __exit__(self, kind, error, traceback):
        self.events.append(kind)
        return kind is KeyError


class EnterOnly:
    def __enter__(self):
        return 1


class AsyncContext:
    async def __aenter__(self):
        return 'entered'

    async def __aexit__(self, kind, error, traceback):
        return kind is KeyError


class Awaitable:
    def __await__(self):
        yield from ()
        return 'awaited'


class AsyncIterator:
    def __init__(self):
        self.n = 0

    def __aiter__(self):
        return self

    async def __anext__(self):
        self.n += 1
        if self.n > 2:
            raise StopAsyncIteration
        return self.n


class CustomMapping(collections.abc.Mapping):
    def __getitem__(self, key):
        return {'a': 1}[key]

    def __iter__(self):
        return iter('a')

    def __len__(self):
        return 1


class Meta(type):
    def __len__(cls):
        return 42

    def __getitem__(cls, item):
        if isinstance(item, int) and item > 2:
            raise IndexError(item)
        return item

    def __instancecheck__(cls, instance):
        return instance == 'meta'


class WithMeta(metaclass=Meta):
    pass


class Abstract(abc.ABC):
    @classmethod
    def __subclasshook__(cls, other):
        return hasattr(other, 'norm')


def function(a, b=2, *args, c, **kwargs):
    """Documented."""
    return a, b, args, c, kwargs


def generator():
    received = yield 1
    yield received


async def coroutine():
    return 'result'


async def asynchronous_generator():
    yield 1
    yield 2


@types.coroutine
def generator_coroutine():
    yield from ()
    return 'result'


def error_with_traceback():
    try:
        raise KeyError('key')
    except KeyError as e:
        return e


STRUCTURED = np.dtype([('name', 'U4'), ('value', '<f4'), ('when', '<M8[D]')])

TARGETS = {
    'int': lambda: 7,
    'negative int': lambda: -3,
    'zero': lambda: 0,
    'large int': lambda: 10**30,
    'bool': lambda: True,
    'float': lambda: 2.5,
    'infinity': lambda: math.inf,
    'complex': lambda: 1 + 2j,
    'Fraction': lambda: fractions.Fraction(7, 2),
    'Decimal': lambda: decimal.Decimal('3.25'),
    'str': lambda: 'text',
    'empty str': lambda: '',
    'number in str': lambda: '12',
    'bytes': lambda: b'bytes',
    'bytearray': lambda: bytearray(b'array'),
    'memoryview': lambda: memoryview(bytearray(b'view')),
    'array.array': lambda: array.array('d', [1.0, 2.0]),
    'list': lambda: [3, 1, 2],
    'empty list': list,
    'nested list': lambda: [[1], [2, 3]],
    'tuple': lambda: (1, 'a'),
    'namedtuple': lambda: Pair(1, 2),
    'dict': lambda: {'a': 1, 'b': [2]},
    'OrderedDict': lambda: collections.OrderedDict(a=1),
    'defaultdict': lambda: collections.defaultdict(int, a=1),
    'Counter': lambda: collections.Counter('aab'),
    'ChainMap': lambda: collections.ChainMap({'a': 1}, {'b': 2}),
    'mapping proxy': lambda: types.MappingProxyType({'a': 1}),
    'custom Mapping': CustomMapping,
    'dict items': lambda: {'a': 1}.items(),
    'set': lambda: {1, 2},
    'frozenset': lambda: frozenset({1, 2}),
    'deque': lambda: collections.deque([1, 2], maxlen=4),
    'range': lambda: range(2, 9, 3),
    'slice': lambda: slice(1, 2),
    'None': lambda: None,
    'Ellipsis': lambda: ...,
    'object': object,
    'plain object': Plain,
    'slotted': Slotted,
    'dataclass': lambda: Point(1),
    'frozen dataclass': lambda: Frozen(1),
    'SimpleNamespace': lambda: types.SimpleNamespace(a=1),
    'dynamic attributes': Dynamic,
    'belied class': Lying,
    'only __getitem__': OnlyGetitem,
    'only __index__': OnlyIndex,
    'all special methods': AllSpecial,
    'reflected operators': Reflected,
    '__array_ufunc__ is None': NoUfunc,
    '__array_priority__': Prioritised,
    'in-place operators': InPlace,
    'failing methods': Failing,
    'Enum': lambda: Color.RED,
    'IntEnum': lambda: Number.ONE,
    'Flag': lambda: Permission.READ,
    'function': lambda: function,
    'lambda': lambda: lambda *args, **kwargs: (args, kwargs),
    'built-in function': lambda: len,
    'operator.itemgetter': lambda: operator.itemgetter(0),
    'bound method': lambda: Plain().method,
    'partial': lambda: functools.partial(function, 1, c=3),
    'callable object': Callable,
    'class': lambda: Plain,
    'built-in class': lambda: list,
    'dataclass class': lambda: Point,
    'Enum class': lambda: Color,
    'class with metaclass': lambda: WithMeta,
    'abstract class': lambda: Abstract,
    'exception class': lambda: KeyError,
    'generic alias': lambda: list[int],
    'union of types': lambda: int | str,
    'module': lambda: math,
    'iterator': lambda: iter([1, 2]),
    'generator': generator,
    'coroutine': coroutine,
    'generator coroutine': generator_coroutine,
    'async generator': asynchronous_generator,
    'async iterator': AsyncIterator,
    'awaitable': Awaitable,
    'context manager': Context,
    'only __enter__': EnterOnly,
    'async context manager': AsyncContext,
    'lock': threading.Lock,
    'exception': error_with_traceback,
    'StringIO': lambda: io.StringIO('line\nline'),
    'BytesIO': lambda: io.BytesIO(b'line\nline'),
    'PurePath': lambda: pathlib.PurePosixPath('/a/b.txt'),
    'datetime': lambda: datetime.datetime(2026, 1, 2, 3),
    'date': lambda: datetime.date(2026, 1, 2),
    'timedelta': lambda: datetime.timedelta(hours=1),
    'UUID': lambda: uuid.UUID(int=5),
    'pattern': lambda: re.compile('a(b)'),
    'match': lambda: re.match('a(b)', 'ab'),
    'float array': lambda: np.arange(3.0),
    'matrix array': lambda: np.arange(6, dtype=np.int8).reshape(2, 3),
    'Fortran array': lambda: np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    'strided array': lambda: np.arange(6)[::2],
    'read-only array': lambda: np.frombuffer(b'12345678', dtype=np.uint8),
    '0-d array': lambda: np.array(3.0),
    'bool array': lambda: np.array([True, False]),
    'str array': lambda: np.array(['a', 'bc']),
    'object array': lambda: np.array([1, 'a', None], dtype=object),
    'datetime64 array': lambda: np.array(['2026-01-01', 'NaT'], dtype='M8[D]'),
    'timedelta64 array': lambda: np.array([1, 2], dtype='m8[ms]'),
    'structured array': lambda: np.array([('a', 1, '2026-01-01')], dtype=STRUCTURED),
    'masked array': lambda: np.ma.array([1, 2, 3], mask=[0, 1, 0]),
    'record array': lambda: np.rec.array([(1, 2.0)], dtype=[('a', 'i4'), ('b', 'f8')]),
    'float64': lambda: np.float64(1.5),
    'float32': lambda: np.float32(1.5),
    'int32': lambda: np.int32(3),
    'numpy bool': lambda: np.bool_(True),
    'datetime64': lambda: np.datetime64('2026-01-01'),
    'dtype': lambda: np.dtype('f8'),
    'Series': lambda: pd.Series([1.0, 2.0], index=['a', 'b'], name='s'),
    'DataFrame': lambda: pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']}),
    'Index': lambda: pd.Index([1, 2, 3]),
    'Timestamp': lambda: pd.Timestamp('2026-01-01'),
    'Categorical': lambda: pd.Categorical(['a', 'b', 'a']),
    'pandas NA': lambda: pd.NA,
    'polars Series': lambda: pl.Series('s', [1, 2]),
    'polars DataFrame': lambda: pl.DataFrame({'a': [1, 2], 'b': ['x', 'y']}),
    'polars expression': lambda: pl.col('a'),
    'Arrow array': lambda: pa.array([1, 2]),
    'Arrow table': lambda: pa.table({'a': [1, 2]}),
}
