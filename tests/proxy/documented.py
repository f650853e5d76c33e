"""The operations that no proxy can do: the fixed list, also in `docs/proxy.md`.

Each entry names the operation of the exactness table, why CPython (or the
package that is called) does not let a proxy do it, and the targets for which
it shows. Everything else that differs is a failure.
"""

from __future__ import annotations

import enum
from importlib import metadata


class Reason(enum.Enum):
    """Why; the values are the headings of the list in `docs/proxy.md`."""

    TYPE = 'The type itself is checked'
    SLOTS = 'The class has every special method'
    INT = 'An `__int__` serves as an index'
    NUMBER_IN_TEXT = 'Numbers in text'
    BUFFER = 'The buffer comes first'
    BYTES = 'Whatever `bytes()` takes'
    FORMAT = "A buffer whose format does not say numpy's dtype"
    IDENTITY = 'A proxy is an object of its own'
    LEFT_IN_PLACE = 'In-place operators of others'
    ASYNCIO = 'asyncio remembers types'
    NUMPY_DETAIL = 'Details of numpy'


ANY = None
"""Shows for so many targets that they are not named."""

TEXT = {'str', 'empty str', 'number in str'}
BUFFERS = {'bytes', 'bytearray', 'memoryview', 'array.array'}
DATACLASSES = {'dataclass', 'frozen dataclass'}
DICTS = {'dict', 'OrderedDict', 'defaultdict', 'Counter'}
MAPPINGS = {*DICTS, 'ChainMap', 'mapping proxy', 'custom Mapping'}
INDEXES = {
    'int',
    'negative int',
    'zero',
    'large int',
    'bool',
    'IntEnum',
    'only __index__',
}
ONLY_INT = {'UUID'}
TENSORS = {
    'tensor float',
    'tensor double',
    'tensor int',
    'tensor bool',
    'tensor complex',
    'tensor bfloat16',
    'tensor number',
    'tensor of one',
    'tensor empty',
    'tensor strided',
    'tensor sparse',
    'tensor with gradient',
    'Parameter',
}
NO_TENSORS = {'module', 'state of a module', 'dtype', 'device'}

# pyarrow before 26 raises for an operand of a type that it does not know, and asks nobody else.
OLDER_ARROW = (
    {'Arrow array'}
    if int(metadata.version('pyarrow').partition('.')[0]) < 26
    else set()
)

DIFFERENCES: dict[str, list[tuple[Reason, set[str] | None]]] = {
    # text
    'bytes.fromhex': [(Reason.TYPE, TEXT)],
    'compile': [(Reason.TYPE, TEXT)],
    'eval': [(Reason.TYPE, TEXT)],
    'getattr by it': [(Reason.TYPE, TEXT)],
    'in str': [(Reason.TYPE, TEXT)],
    'int base 16': [(Reason.TYPE, {*TEXT, 'bytes', 'bytearray'})],
    'complex with imaginary': [(Reason.TYPE, TEXT)],
    'str.join': [(Reason.TYPE, TEXT)],
    'str.split by it': [(Reason.TYPE, {*TEXT, 'None'})],
    'str.replace by it': [(Reason.TYPE, TEXT)],
    'str.startswith it': [(Reason.TYPE, TEXT)],
    're.match text of it': [(Reason.TYPE, TEXT)],
    're.sub in it': [(Reason.TYPE, TEXT)],
    're.compile it': [(Reason.TYPE, TEXT)],
    'textwrap': [(Reason.TYPE, TEXT)],
    'Fraction': [(Reason.TYPE, TEXT)],
    'StringIO': [(Reason.TYPE, {*TEXT, 'None'})],
    'write text': [(Reason.TYPE, TEXT)],
    'json.loads': [(Reason.TYPE, TEXT)],
    '% alone': [(Reason.TYPE, {'tuple', 'namedtuple', 'Size'})],
    '% without fields': [(Reason.SLOTS, ANY)],
    '% key': [(Reason.SLOTS, {'built-in class'})],
    'y % p': [(Reason.SLOTS, ANY)],
    'y %= p': [(Reason.SLOTS, ANY)],
    # statements and types
    'match sequence': [(Reason.TYPE, ANY)],
    'match mapping': [(Reason.TYPE, MAPPINGS)],
    'raise': [(Reason.TYPE, {'exception class', 'exception'})],
    'raise from it': [(Reason.TYPE, {'exception class', 'exception', 'None'})],
    'except': [(Reason.TYPE, {'exception class'})],
    'isinstance of typing': [(Reason.TYPE, {*MAPPINGS, 'state of a module'})],
    'dataclasses.is_dataclass': [(Reason.TYPE, DATACLASSES)],
    'dataclasses.asdict': [(Reason.TYPE, DATACLASSES)],
    'dataclasses.replace': [(Reason.TYPE, DATACLASSES)],
    'json': [(Reason.TYPE, ANY)],
    'heapify': [(Reason.TYPE, {'list', 'empty list', 'nested list'})],
    'Decimal': [(Reason.TYPE, ANY)],
    'struct.pack s': [(Reason.TYPE, {'bytes', 'bytearray'})],
    'array.array': [(Reason.TYPE, {'empty str', 'bytes', 'bytearray'})],
    # what the class seems to be able to
    'callable': [(Reason.SLOTS, ANY)],
    'isinstance of abstract': [(Reason.SLOTS, ANY)],
    'inspect.is...': [(Reason.SLOTS, ANY)],
    'inspect.signature': [(Reason.SLOTS, ANY)],
    'bisect': [
        (
            Reason.SLOTS,
            {
                'dict',
                'OrderedDict',
                'defaultdict',
                'mapping proxy',
                'dtype',
                'state of a module',
                *TENSORS,
            },
        )
    ],
    'struct.pack i': [(Reason.SLOTS, ANY)],
    'np.zeros': [(Reason.SLOTS, ANY)],
    # indexes
    **{
        name: [(Reason.INT, ONLY_INT)]
        for name in (
            'bin',
            'chr',
            '% x',
            '% c',
            'hex',
            'int with base of it',
            'oct',
            'range',
            'index',
            'math.isqrt',
            'math.gcd',
            'itertools.repeat times',
        )
    },
    'in bytes': [(Reason.INT, ONLY_INT)],
    'index of list': [(Reason.INT, ONLY_INT), (Reason.TYPE, {'slice'})],
    'slice bounds': [(Reason.INT, ONLY_INT), (Reason.IDENTITY, {'None'})],
    'itertools.islice stop': [(Reason.INT, ONLY_INT), (Reason.IDENTITY, {'None'})],
    'np.arange(8)[it]': [
        (Reason.INT, ONLY_INT),
        (
            Reason.TYPE,
            {
                'bool',
                'numpy bool',
                'namedtuple',
                'tuple',
                'Size',
                'slice',
                'None',
                'Ellipsis',
            },
        ),
    ],
    # numbers in text
    **{
        name: [(Reason.NUMBER_IN_TEXT, {*TEXT, *BUFFERS})]
        for name in ('% d', '% f', 'math.sqrt', 'math.isclose', 'math.hypot')
    },
    'cmath.sqrt': [(Reason.NUMBER_IN_TEXT, TEXT)],
    'struct.pack d': [(Reason.NUMBER_IN_TEXT, {'number in str'})],
    # buffers and bytes
    'bytearray': [(Reason.BUFFER, ANY)],
    'bytearray.extend': [(Reason.BUFFER, ANY)],
    'bytes.find it': [
        (Reason.BUFFER, {*INDEXES, 'all special methods', 'tensor number'})
    ],
    'os.path.exists': [
        (
            Reason.BUFFER,
            {
                *INDEXES,
                *TEXT,
                'all special methods',
                'PurePath',
                'bytes',
                *ONLY_INT,
                'datetime64',
                'record array',
                'tensor number',
            },
        )
    ],
    'BytesIO': [(Reason.IDENTITY, {'None'})],
    'bytes % s': [(Reason.BYTES, ANY)],
    'int.from_bytes': [
        (Reason.BYTES, {*INDEXES, 'int32', 'numpy bool', 'tensor number'})
    ],
    'memoryview': [(Reason.FORMAT, {'datetime64', 'record array'})],
    'memoryview format': [(Reason.FORMAT, {'datetime64', 'record array'})],
    # identity
    'member of set': [(Reason.IDENTITY, {'int', 'float', 'str'})],
    'deepcopy': [(Reason.IDENTITY, ANY)],
    'Counter': [(Reason.IDENTITY, {'None'})],
    'pd.concat': [(Reason.IDENTITY, {'None'})],
    'list += ': [(Reason.LEFT_IN_PLACE, ANY)],
    **{f'y {symbol}= p': [(Reason.LEFT_IN_PLACE, ANY)] for symbol in '+-*&^|'},
    **{
        operation: [(Reason.TYPE, OLDER_ARROW)]
        for symbol in ('+', '-', '*', '/', '**', '<<', '>>', '&', '^', '|')
        for operation in (f'y {symbol} p', f'y {symbol}= p')
        if operation not in [f'y {one}= p' for one in '+-*&^|']
    },
    # asyncio
    'create_task': [(Reason.ASYNCIO, ANY)],
    'gather': [(Reason.ASYNCIO, ANY)],
    # of some versions
    'statistics.mean': [
        (Reason.SLOTS, {'iterator', 'generator', 'generator coroutine'})
    ],
    'typing.get_args': [(Reason.TYPE, {'generic alias'})],
    'typing.get_origin': [(Reason.TYPE, {'generic alias'})],
    # numpy
    'np.asarray': [
        (
            Reason.BUFFER,
            {
                'bytes',
                'record array',
                'float64',
                'float32',
                'int32',
                'datetime64',
                'numpy bool',
            },
        ),
        (Reason.SLOTS, {'failing methods'}),
    ],
    'np.asarray float': [(Reason.BUFFER, {'bytes', 'float64'})],
    'np.float64 of it': [(Reason.BUFFER, {'bytes', 'masked array'})],
    'np.full': [
        (Reason.BUFFER, {'bytes', 'record array'}),
        (Reason.SLOTS, {'failing methods'}),
    ],
    'array == it': [(Reason.BUFFER, {'bytes'})],
    'y == p': [(Reason.BUFFER, {'bytes'})],
    'y != p': [(Reason.BUFFER, {'bytes'})],
    'np.array of two': [(Reason.TYPE, ANY)],
    'np.dtype of it': [(Reason.TYPE, ANY)],
    'np.add out': [(Reason.NUMPY_DETAIL, {'tuple', 'Ellipsis'})],
    'np.isscalar': [(Reason.TYPE, {*TEXT, 'bytes', 'memoryview'})],
    'float64 < it': [(Reason.NUMPY_DETAIL, {'Fraction', 'Decimal', *TENSORS})],
    'inspect.getmembers': [(Reason.NUMPY_DETAIL, ANY)],
    # torch
    'torch.as_tensor': [(Reason.SLOTS, NO_TENSORS)],
    'torch.tensor': [(Reason.SLOTS, NO_TENSORS)],
    'tensor[p]': [(Reason.TYPE, ANY)],
    'vmap': [(Reason.TYPE, {'state of a module'})],
    'zeros of dtype': [(Reason.TYPE, {'dtype'})],
    'zeros on device': [(Reason.TYPE, {'device'})],
    'zeros of size': [(Reason.TYPE, {'Size'})],
    'empty like shape': [(Reason.TYPE, {'Size'})],
    'default_collate': [(Reason.IDENTITY, {'state of a module'})],
    # pandas and polars
    **{
        name: [(Reason.TYPE, ANY)]
        for name in (
            'pd.Series of it',
            'pd.Series of list',
            'pd.DataFrame of it',
            'pd.isna',
            'pd.Series.isin',
            'pd.Series + it',
            'pd.Series == it',
            'pd.DataFrame * it',
            'pd.Timestamp of it',
            'pd.to_datetime',
            'pd is_list_like',
            'pd is_scalar',
            'pl.Series of it',
            'pl.DataFrame of it',
            'pl.lit',
            'pl.Series + it',
            'pl select',
        )
    },
}


OF_SOME_VERSIONS = {'statistics.mean', 'typing.get_args', 'typing.get_origin'}
"""Show on some versions of Python only."""


def is_documented(operation: str, target: str) -> bool:
    """Tell whether a difference is in the list."""
    entries = DIFFERENCES.get(operation, [])
    return any(targets is ANY or target in targets for _, targets in entries)
