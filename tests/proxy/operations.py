# ruff: noqa: UP031, F507
"""What is done to a native object and to a proxy of it: the exactness table's rows.

Each takes the object and returns what is to be compared. An operation that
consumes the object's state gets a fresh one each time.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import binascii
import bisect
import builtins
import cmath
import collections.abc
import contextlib
import copy
import csv
import dataclasses
import decimal
import fractions
import functools
import hashlib
import heapq
import hmac
import inspect
import io
import itertools
import json
import math
import numbers
import operator
import os
import pickle
import random
import re
import statistics
import string
import struct
import textwrap
import typing
import zlib

import numpy as np
import pandas as pd
import polars as pl
from proxystore.proxy import Proxy
from proxystore.proxy import extract


def drive(awaitable):
    """Run a coroutine that waits for nothing."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(awaitable)
    finally:
        loop.close()


async def awaited(x):
    return await x


async def as_task(x):
    return await asyncio.get_running_loop().create_task(x)


async def gathered(x):
    return await asyncio.gather(x)


async def iterated(x):
    return [item async for item in x]


async def next_of(x):
    return await anext(x)


async def entered(x, error=None):
    async with x as value:
        if error is not None:
            raise error
    return value


async def enters_stack(x):
    async with contextlib.AsyncExitStack() as stack:
        return await stack.enter_async_context(x)


def with_statement(x, error=None):
    with x as value:
        if error is not None:
            raise error
    return value


def exit_stack(x):
    with contextlib.ExitStack() as stack:
        return stack.enter_context(x)


def starred(x):
    first, *rest = x
    return first, rest


def keywords(x):
    return (lambda **kwargs: kwargs)(**x)


def set_item(x):
    x['a'] = 5
    return x['a']


def set_first(x):
    x[0] = 5
    return x[0]


def set_slice(x):
    x[0:1] = [7, 8]
    return len(x)


def delete_item(x):
    del x[0]
    return len(x)


def delete_key(x):
    del x['a']
    return len(x)


def set_attribute(x):
    # Classes and modules are not made anew for each operation.
    before = getattr(x, 'set_here', None)
    x.set_here = 9
    try:
        return before, x.set_here
    finally:
        del x.set_here


def set_property(x):
    x.doubled = 10
    return x.x


def delete_attribute(x):
    x.set_here = 9
    del x.set_here
    return hasattr(x, 'set_here')


def delete_missing(x):
    del x.no_such_attribute


def match_class(x):
    match x:
        case int():
            return 'int'
        case str():
            return 'str'
        case list():
            return 'list'
    return 'other'


def match_sequence(x):
    match x:
        case [a, *_]:
            return 'sequence', a
    return 'other'


def match_mapping(x):
    match x:
        case {'a': a}:
            return 'mapping', a
    return 'other'


def match_attribute(x):
    match x:
        case object(x=value):
            return value
    return 'other'


def raises(x):
    raise x


def catches(x):
    try:
        raise KeyError('key')
    except x:
        return 'caught'


def subclass_of(x):
    class Made(x):
        pass

    return Made.__mro__[1:]


def sends(x):
    return next(x), x.send(5)


@functools.singledispatch
def dispatch(x):
    return 'object'


dispatch.register(int, lambda x: 'int')
dispatch.register(list, lambda x: 'list')
dispatch.register(dict, lambda x: 'dict')


def writes_bytes(x):
    stream = io.BytesIO()
    stream.write(x)
    return stream.getvalue()


def writes_text(x):
    stream = io.StringIO()
    stream.write(x)
    return stream.getvalue()


def writes_file(x):
    with open(os.devnull, 'wb', buffering=0) as stream:
        return stream.write(x)


def in_array_slot(x):
    a = np.zeros(3)
    a[:] = x
    return a


def as_output(x):
    np.add([1.0, 2.0, 3.0], 1, out=x)
    return np.asarray(x).tolist()


def extended(x):
    return [0] + list(itertools.chain([1], x))


def dict_updated(x):
    made = {}
    made.update(x)
    return made


def shuffled(x):
    random.Random(0).shuffle(x)
    return list(x)


def pow_modulus(x):
    if isinstance(x, decimal.Decimal):
        return 'CPython 3.13.0 crashes on the native object'
    return pow(2, 3, x)


def print_to(x):
    stream = io.StringIO()
    print(x, x, sep='|', file=stream)
    return stream.getvalue()


def template(x):
    return string.Template('$a').substitute(x)


def written_csv(x):
    stream = io.StringIO()
    csv.writer(stream).writerow(x)
    return stream.getvalue()


UNARY = {
    # what is built in
    'abs': abs,
    'all': all,
    'any': any,
    'ascii of str': lambda x: ascii(str(x)),
    'bin': bin,
    'bool': bool,
    'not': operator.not_,
    'if': lambda x: 1 if x else 2,
    'bytearray': bytearray,
    'bytes': bytes,
    'bytes.fromhex': lambda x: bytes.fromhex(x),
    'callable': callable,
    'chr': chr,
    'compile': lambda x: compile(x, 'name', 'eval').co_code,
    'complex': complex,
    'complex with imaginary': lambda x: complex(x, 1),
    'dict': dict,
    'dir': dir,
    'divmod 2': lambda x: divmod(x, 2),
    'enumerate': lambda x: list(enumerate(x)),
    'eval': lambda x: eval(x),
    'filter': lambda x: list(filter(None, x)),
    'float': float,
    'format': format,
    'format 05d': lambda x: format(x, '05d'),
    'format .3f': lambda x: f'{x:.3f}',
    'format >12': lambda x: f'{x:>12}',
    'format !s': lambda x: f'{x!s:>12}',
    'str.format': lambda x: f'{x} {x:>8}',
    'str.format item': lambda x: f'{x[0]}',
    'str.format_map': lambda x: '{a}'.format_map(x),
    '% s': lambda x: '%s' % (x,),
    '% d': lambda x: '%d' % (x,),
    '% f': lambda x: '%.2f' % (x,),
    '% x': lambda x: '%x' % (x,),
    '% c': lambda x: '%c' % (x,),
    '% alone': lambda x: '%s' % x,
    '% without fields': lambda x: 'text' % x,
    '% key': lambda x: '%(a)s' % x,
    'bytes % s': lambda x: b'%s' % (x,),
    'frozenset': frozenset,
    'getattr by it': lambda x: getattr(Named, x),
    'hash': lambda x: hash(x) == hash(bare(x)),
    'hex': hex,
    'int': int,
    'int base 16': lambda x: int(x, 16),
    'int with base of it': lambda x: int('11', x),
    'int.from_bytes': lambda x: int.from_bytes(x, 'big'),
    'iter': lambda x: list(itertools.islice(iter(x), 5)),
    'type of iter': lambda x: type(iter(x)),
    'iter with sentinel': lambda x: list(itertools.islice(iter(x, 1), 2)),
    'len': len,
    'list': lambda x: list(itertools.islice(x, 5)),
    'map': lambda x: list(map(str, x)),
    'max': max,
    'min': min,
    'memoryview': lambda x: bytes(memoryview(x)),
    'memoryview format': lambda x: memoryview(x).format,
    'next': next,
    'next with default': lambda x: next(x, 'default'),
    'oct': oct,
    'pathlib.Path': lambda x: __import__('pathlib').Path(x),
    'ord': ord,
    'pow 2': lambda x: pow(x, 2),
    'pow mod': lambda x: pow(x, 2, 5),
    'pow base of mod': lambda x: pow(2, x, 5),
    'pow modulus': pow_modulus,
    'pow all three': lambda x: pow(x, x, x),
    'print': print_to,
    'range': lambda x: range(x),
    'reversed': lambda x: list(reversed(x)),
    'type of reversed': lambda x: type(reversed(x)),
    'round': round,
    'round 1': lambda x: round(x, 1),
    'round None': lambda x: round(x, None),
    'set': set,
    'slice bounds': lambda x: [1, 2, 3, 4][x:],
    'index of list': lambda x: [10, 11, 12, 13, 14, 15, 16, 17][x],
    'sorted': sorted,
    'str': str,
    'str with encoding': lambda x: str(x, 'utf-8'),
    'sum': sum,
    'sum of it': lambda x: sum([x, x]),
    'tuple': tuple,
    'type of class': lambda x: x.__class__,
    'vars': vars,
    'zip': lambda x: list(zip(x, x)),
    # syntax
    'call': lambda x: x(),
    'call 1': lambda x: x(1),
    'call keyword': lambda x: x(1, c=2),
    'call starred': lambda x: x(*[1], **{'c': 2}),
    'starred': starred,
    'starred call': lambda x: (lambda *args: args)(*x),
    'keywords': keywords,
    'unpack dict': lambda x: {**x},
    'unpack list': lambda x: [*x],
    'comprehension': lambda x: {str(i) for i in x},
    'get 0': lambda x: x[0],
    'get -1': lambda x: x[-1],
    'get 99': lambda x: x[99],
    "get 'a'": lambda x: x['a'],
    'get slice': lambda x: x[0:2],
    'get step': lambda x: x[::-1],
    'get ellipsis': lambda x: x[...],
    'get tuple': lambda x: x[0, 0],
    'get type': lambda x: x[int],
    'set item': set_item,
    'set first': set_first,
    'set slice': set_slice,
    'delete item': delete_item,
    'delete key': delete_key,
    'with': with_statement,
    'with, KeyError': lambda x: with_statement(x, KeyError('k')),
    'with, ValueError': lambda x: with_statement(x, ValueError('v')),
    'ExitStack': exit_stack,
    'closing': lambda x: with_statement(contextlib.closing(x)) is not None,
    'match class': match_class,
    'match sequence': match_sequence,
    'match mapping': match_mapping,
    'match attribute': match_attribute,
    'raise': raises,
    'except': catches,
    'raise from it': lambda x: exec('raise ValueError from x', {}, {'x': x}),
    'class statement': subclass_of,
    'for': lambda x: [i for i, _ in zip(x, range(5))],
    'in': lambda x: 1 in x,
    "'a' in": lambda x: 'a' in x,
    'in str': lambda x: x in 'text and more',
    'in bytes': lambda x: x in b'bytes',
    'in list': lambda x: x in [7, 'text', (1, 'a')],
    'in dict': lambda x: x in {7: 1, 'text': 2},
    'key of dict': lambda x: {7: 'seven', 'text': 't', (1, 'a'): 'p', 2.5: 'f'}.get(x),
    'member of set': lambda x: {x} & {7, 'text', 2.5},
    'yield from': lambda x: list(itertools.islice((lambda: (yield from x))(), 5)),
    # attributes
    'attribute x': lambda x: x.x,
    'attribute missing': lambda x: x.no_such_attribute,
    'attribute of class': lambda x: x.attribute,
    'method': lambda x: x.method(1),
    'class method': lambda x: x.made(),
    'static method': lambda x: x.static(3),
    'property': lambda x: x.doubled,
    'set attribute': set_attribute,
    'set property': set_property,
    'delete attribute': delete_attribute,
    'delete missing attribute': delete_missing,
    'getattr with default': lambda x: getattr(x, 'no_such_attribute', 'default'),
    'hasattr': lambda x: hasattr(x, 'x'),
    '__doc__': lambda x: x.__doc__,
    '__module__': lambda x: x.__module__,
    '__dict__': lambda x: x.__dict__,
    '__name__': lambda x: x.__name__,
    '__qualname__': lambda x: x.__qualname__,
    '__annotations__': lambda x: x.__annotations__,
    '__call__': lambda x: type(x.__call__),
    '__hash__': lambda x: x.__hash__ is None,
    '__slots__': lambda x: x.__slots__,
    '__str__()': lambda x: x.__str__(),
    '__format__()': lambda x: x.__format__(''),
    '__eq__()': lambda x: x.__eq__(7),
    '__init__': lambda x: type(x.__init__),
    'special methods had': lambda x: [n for n in SPECIAL_METHODS if hasattr(x, n)],
    'asyncio methods had': lambda x: [
        n for n in ('send', 'throw', 'close') if hasattr(x, n)
    ],
    # numbers
    'negative': operator.neg,
    'positive': operator.pos,
    'invert': operator.invert,
    'index': operator.index,
    'is_integer': lambda x: x.is_integer(),
    'math.ceil': math.ceil,
    'math.floor': math.floor,
    'math.trunc': math.trunc,
    'math.sqrt': math.sqrt,
    'math.isqrt': math.isqrt,
    'math.gcd': lambda x: math.gcd(x, 4),
    'math.fsum': math.fsum,
    'math.prod': math.prod,
    'math.isclose': lambda x: math.isclose(x, 7),
    'math.hypot': lambda x: math.hypot(x, 1),
    'cmath.sqrt': cmath.sqrt,
    'Fraction': fractions.Fraction,
    'Decimal': decimal.Decimal,
    'Decimal of str': lambda x: decimal.Decimal(str(x)),
    'statistics.mean': statistics.mean,
    'isinstance Number': lambda x: isinstance(x, numbers.Number),
    'random.sample': lambda x: random.Random(1).sample(x, 1),
    'random.choice': lambda x: random.Random(1).choice(x),
    'random.shuffle': shuffled,
    # operator
    'operator.truth': operator.truth,
    'operator.length_hint': operator.length_hint,
    'operator.concat': lambda x: operator.concat(x, [4]),
    'operator.contains': lambda x: operator.contains(x, 1),
    'operator.countOf': lambda x: operator.countOf(x, 1),
    'operator.indexOf': lambda x: operator.indexOf(x, 1),
    'operator.itemgetter': lambda x: operator.itemgetter(0)(x),
    'operator.attrgetter': lambda x: operator.attrgetter('x')(x),
    'operator.call': lambda x: (lambda f: f())(x),
    # isinstance and its kin
    'isinstance of own class': lambda x: isinstance(x, x.__class__),
    'isinstance of many': lambda x: [isinstance(x, c) for c in BUILT_IN_TYPES],
    'isinstance of abstract': lambda x: [
        c.__name__ for c in ABSTRACT if isinstance(x, c)
    ],
    'isinstance of typing': lambda x: isinstance(x, typing.Mapping),
    'isinstance by it': lambda x: isinstance([], x),
    'isinstance in tuple': lambda x: isinstance([], (str, x)),
    'issubclass by it': lambda x: issubclass(KeyError, x),
    'issubclass of it': lambda x: issubclass(x, Exception),
    'singledispatch': dispatch,
    'union with it': lambda x: x | None,
    # text and bytes
    'str.join': lambda x: ','.join([x]),
    'str.join of it': lambda x: ','.join(x),
    'str.upper': lambda x: x.upper(),
    'str.split by it': lambda x: 'a,b'.split(x),
    'str.replace by it': lambda x: 'text'.replace(x, 'b'),
    'str.startswith it': lambda x: 'text'.startswith(x),
    'str.encode': lambda x: x.encode(),
    'str + it': lambda x: 'a' + x,
    'bytes.join': lambda x: b','.join([x]),
    'bytes.decode': lambda x: x.decode(),
    'bytes.startswith it': lambda x: b'bytes'.startswith(x),
    'bytes.find it': lambda x: b'bytes'.find(x),
    'bytes + it': lambda x: b'a' + x,
    'bytearray.extend': lambda x: bytearray().extend(x),
    're.match text of it': lambda x: re.match('t(e)', x).groups(),
    're.sub in it': lambda x: re.sub('t', 'b', x),
    're.compile it': lambda x: re.compile(x).match('text').span(),
    're.escape': re.escape,
    'textwrap': textwrap.dedent,
    'template': template,
    'ast.literal_eval': ast.literal_eval,
    # files, buffers, hashes
    'fspath': os.fspath,
    'os.path.join': lambda x: os.path.join(x, 'b'),
    'os.path.exists': lambda x: os.path.exists(x),
    'BytesIO': lambda x: io.BytesIO(x).read(),
    'StringIO': lambda x: io.StringIO(x).read(),
    'write bytes': writes_bytes,
    'write text': writes_text,
    'write file': writes_file,
    'read': lambda x: x.read(2),
    'readlines': lambda x: x.readlines(),
    'hashlib': lambda x: hashlib.sha256(x).hexdigest(),
    'hmac': lambda x: hmac.digest(b'key', x, 'sha256'),
    'zlib.crc32': zlib.crc32,
    'zlib.compress': zlib.compress,
    'binascii.hexlify': binascii.hexlify,
    'base64': base64.b64encode,
    'struct.pack s': lambda x: struct.pack('5s', x),
    'struct.pack i': lambda x: struct.pack('i', x),
    'struct.pack d': lambda x: struct.pack('d', x),
    'struct.unpack_from': lambda x: struct.unpack_from('2b', x),
    'array.array': lambda x: __import__('array').array('d', x),
    'csv': written_csv,
    # pickle and copies
    'pickle.loads': pickle.loads,
    'deepcopy': copy.deepcopy,
    'json': json.dumps,
    'json.loads': json.loads,
    # containers of the library
    'heapify': heapq.heapify,
    'heapq.merge': lambda x: list(heapq.merge(x, [2])),
    'bisect': lambda x: bisect.bisect(x, 2),
    'dict.fromkeys': dict.fromkeys,
    'dict.update': dict_updated,
    'list.extend': extended,
    'list += ': lambda x: operator.iadd([0], x),
    'list + ': lambda x: [0] + x,
    'tuple + ': lambda x: (0,) + x,
    'set.union': lambda x: {0}.union(x),
    'set | ': lambda x: {0} | x,
    'dict | ': lambda x: {0: 0} | x,
    'deque': lambda x: __import__('collections').deque(x),
    'Counter': lambda x: __import__('collections').Counter(x),
    'OrderedDict': lambda x: __import__('collections').OrderedDict(x),
    'ChainMap': lambda x: __import__('collections').ChainMap(x)['a'],
    'itertools.chain': lambda x: list(itertools.islice(itertools.chain(x), 3)),
    'itertools.islice stop': lambda x: list(itertools.islice([1, 2, 3], x)),
    'itertools.repeat times': lambda x: list(
        itertools.islice(itertools.repeat(1, x), 9)
    ),
    'functools.reduce': lambda x: functools.reduce(operator.add, x),
    'functools.partial': lambda x: functools.partial(x, 1)(),
    # dataclasses and inspect
    'dataclasses.is_dataclass': dataclasses.is_dataclass,
    'dataclasses.fields': lambda x: [f.name for f in dataclasses.fields(x)],
    'dataclasses.asdict': dataclasses.asdict,
    'dataclasses.replace': lambda x: dataclasses.replace(x, x=5),
    'namedtuple _asdict': lambda x: x._asdict(),
    'inspect.signature': lambda x: str(inspect.signature(x)),
    'inspect.is...': lambda x: [n for n in INSPECTORS if getattr(inspect, n)(x)],
    'inspect.getdoc': inspect.getdoc,
    'inspect.getmembers': lambda x: [n for n, _ in inspect.getmembers(x)],
    'inspect.unwrap': lambda x: inspect.unwrap(x).__name__,
    'functools.wraps': lambda x: functools.wraps(x)(lambda: 1).__name__,
    'typing.get_args': typing.get_args,
    'typing.get_origin': typing.get_origin,
    'typing.get_type_hints': typing.get_type_hints,
    # asynchronous
    'await': lambda x: drive(awaited(x)),
    'create_task': lambda x: drive(as_task(x)),
    'gather': lambda x: drive(gathered(x)),
    'async for': lambda x: drive(iterated(x)),
    'anext': lambda x: drive(next_of(x)),
    'aiter': lambda x: aiter(x) is not None,
    'async with': lambda x: drive(entered(x)),
    'async with, KeyError': lambda x: drive(entered(x, KeyError('k'))),
    'AsyncExitStack': lambda x: drive(enters_stack(x)),
    'send': sends,
    'throw': lambda x: x.throw(ValueError('thrown')),
    'close': lambda x: x.close(),
    # numpy
    'np.asarray': np.asarray,
    'np.asarray float': lambda x: np.asarray(x, dtype=float),
    'np.array of two': lambda x: np.array([x, x]),
    'np.atleast_1d': np.atleast_1d,
    'np.frombuffer': lambda x: np.frombuffer(x, dtype=np.uint8),
    'np.sum': np.sum,
    'np.mean': np.mean,
    'np.max axis': lambda x: np.max(x, axis=0),
    'np.concatenate': lambda x: np.concatenate([x, x]),
    'np.stack': lambda x: np.stack([x, x]),
    'np.where': lambda x: np.where(x, 1, 2),
    'np.dot': lambda x: np.dot(x, x),
    'np.linalg.norm': np.linalg.norm,
    'np.sort': np.sort,
    'np.array_equal': lambda x: np.array_equal(x, x),
    'np.isnan': np.isnan,
    'np.sin': np.sin,
    'np.add': lambda x: np.add(x, 1),
    'np.add.reduce': np.add.reduce,
    'np.add.outer': lambda x: np.add.outer(x, x),
    'np.add out': as_output,
    'np.add where': lambda x: np.add(
        [1.0, 2.0], 1, where=[True, True], out=np.zeros(2)
    ),
    'np.multiply.accumulate': np.multiply.accumulate,
    'np.copyto': lambda x: np.copyto(x, 1),
    'np.full': lambda x: np.full(2, x),
    'np.zeros': lambda x: np.zeros(x).shape,
    'np.arange(8)[it]': lambda x: np.arange(8)[x],
    'np.float64 of it': np.float64,
    'np.dtype of it': np.dtype,
    'array[:] = it': in_array_slot,
    'array + it': lambda x: np.arange(3.0) + x,
    'it + array': lambda x: x + np.arange(3.0),
    'array == it': lambda x: np.arange(3.0) == x,
    'array @ it': lambda x: np.arange(3.0) @ x,
    'array += it': lambda x: operator.iadd(np.arange(3.0), x),
    'int array ** it': lambda x: np.arange(3) ** x,
    'float64 + it': lambda x: np.float64(1) + x,
    'it * float64': lambda x: x * np.float64(2),
    'float64 < it': lambda x: np.float64(1) < x,
    'np.isscalar': np.isscalar,
    # pandas and polars
    'pd.Series of it': pd.Series,
    'pd.Series of list': lambda x: pd.Series([x, x]),
    'pd.DataFrame of it': pd.DataFrame,
    'pd.concat': lambda x: pd.concat([x, x]),
    'pd.isna': pd.isna,
    'pd.Series + it': lambda x: pd.Series([1.0, 2.0]) + x,
    'it + pd.Series': lambda x: x + pd.Series([1.0, 2.0]),
    'pd.Series == it': lambda x: pd.Series([1.0, 2.0]) == x,
    'pd.Series.isin': lambda x: pd.Series([1, 7]).isin(x),
    'pd.DataFrame * it': lambda x: pd.DataFrame({'a': [1.0, 2.0]}) * x,
    'pd.Timestamp of it': pd.Timestamp,
    'pd.to_datetime': pd.to_datetime,
    'pd merge': lambda x: x.merge(x, on='a'),
    'pd groupby': lambda x: x.groupby('b').sum(),
    'pd is_list_like': pd.api.types.is_list_like,
    'pd is_scalar': pd.api.types.is_scalar,
    'pl.Series of it': lambda x: pl.Series(x),
    'pl.DataFrame of it': lambda x: pl.DataFrame(x),
    'pl.concat': lambda x: pl.concat([x, x]),
    'pl.lit': lambda x: pl.select(pl.lit(x)),
    'pl.Series + it': lambda x: pl.Series([1, 2]) + x,
    'pl filter': lambda x: x.filter(pl.col('a') > 1),
    'pl select': lambda x: pl.DataFrame({'a': [1]}).select(x),
    'pl to_pandas': lambda x: x.to_pandas(),
}


class Named:
    text = 'found'


def bare(x):
    return extract(x) if type(x) is Proxy else x


SPECIAL_METHODS = sorted(
    {
        name
        for kind in (int, float, complex, str, bytes, list, dict, set, range, type)
        for name in dir(kind)
        if name.startswith('__')
    }
    | {
        '__await__',
        '__aiter__',
        '__anext__',
        '__aenter__',
        '__aexit__',
        '__enter__',
        '__exit__',
        '__next__',
        '__length_hint__',
        '__fspath__',
        '__matmul__',
        '__imatmul__',
        '__iadd__',
        '__array_ufunc__',
        '__array_function__',
        '__torch_function__',
        '__missing__',
        '__instancecheck__',
        '__complex__',
        '__bytes__',
    }
    # Asked of the proxy itself, or there for its own sake.
    - {'__getattr__', '__array__', '__array_interface__', '__array_struct__'}
)
INSPECTORS = sorted(
    n for n in dir(inspect) if n.startswith('is') and callable(getattr(inspect, n))
)
INSPECTORS = [n for n in INSPECTORS if n not in ('iskeyword',)]
BUILT_IN_TYPES = [
    t for t in vars(builtins).values() if isinstance(t, type) and t is not object
]
ABSTRACT = [c for c in vars(collections.abc).values() if isinstance(c, type)] + [
    numbers.Number,
    numbers.Real,
    numbers.Integral,
    os.PathLike,
    contextlib.AbstractContextManager,
]

BINARY = {
    '+': operator.add,
    '-': operator.sub,
    '*': operator.mul,
    '@': operator.matmul,
    '/': operator.truediv,
    '//': operator.floordiv,
    '%': operator.mod,
    'divmod': divmod,
    '**': operator.pow,
    '<<': operator.lshift,
    '>>': operator.rshift,
    '&': operator.and_,
    '^': operator.xor,
    '|': operator.or_,
    '==': operator.eq,
    '!=': operator.ne,
    '<': operator.lt,
    '<=': operator.le,
    '>': operator.gt,
    '>=': operator.ge,
}

IN_PLACE = {
    '+=': operator.iadd,
    '-=': operator.isub,
    '*=': operator.imul,
    '@=': operator.imatmul,
    '/=': operator.itruediv,
    '//=': operator.ifloordiv,
    '%=': operator.imod,
    '**=': operator.ipow,
    '<<=': operator.ilshift,
    '>>=': operator.irshift,
    '&=': operator.iand,
    '^=': operator.ixor,
    '|=': operator.ior,
}

OPERANDS = {
    'int': lambda: 2,
    'float': lambda: 1.5,
    'str': lambda: 'ab',
    'list': lambda: [1],
    'tuple': lambda: (1,),
    'dict': lambda: {'a': 1},
    'set': lambda: {1},
    'None': lambda: None,
    'array': lambda: np.arange(3.0),
}
