"""The operations that are measured: a statement, and what `p` stands for in it.

The same statement runs on the native object and on each kind of proxy of it.
"""

from __future__ import annotations

from typing import Any
from typing import NamedTuple


class Target:
    """An ordinary object."""

    def __init__(self) -> None:
        self.x = 1

    def m(self, value: Any) -> Any:
        return value


def identity(a: Any) -> Any:
    return a


def make_list() -> list[int]:
    return [1, 2, 3]


def big_array() -> Any:
    import numpy as np

    return np.arange(1000.0)


class Operation(NamedTuple):
    """One row of the table."""

    name: str
    statement: str
    target: Any = Target
    """A callable that makes the target."""
    kind: str = 'object'
    """Which proxy class serves: see `implementations`."""


OPERATIONS = [
    Operation('attribute get', 'p.x'),
    Operation('attribute get, subclass', 'p.x', kind='subclass'),
    Operation('attribute set', 'p.x = 1'),
    Operation('method call', 'p.m(1)'),
    Operation('call', 'p(1)', lambda: identity, 'call'),
    Operation('call with keyword', 'p(a=1)', lambda: identity, 'call'),
    # A sum that CPython keeps ready, so that the operation is timed and not the making of an int.
    Operation('p + 1', 'p + 1', lambda: 7),
    Operation('1 + p', '1 + p', lambda: 7),
    Operation('p == x', 'p == 1000', lambda: 1000),
    Operation('len(p)', 'len(p)', make_list),
    Operation('p[0]', 'p[0]', make_list),
    Operation('p[0] = v', 'p[0] = 1', make_list),
    Operation('x in p', '1 in p', make_list),
    Operation('bool(p)', 'bool(p)', make_list),
    Operation('hash(p)', 'hash(p)', lambda: 'text'),
    Operation('str(p)', 'str(p)', lambda: 'text'),
    Operation('isinstance(p, T)', 'isinstance(p, T)'),
    Operation('hasattr, missing', 'hasattr(p, "no")'),
    Operation('iterate 1', 'for _ in p: pass', lambda: [1], 'iterate'),
    Operation(
        'iterate 1000',
        'for _ in p: pass',
        lambda: list(range(1000)),
        'iterate',
    ),
    Operation('np.sum(p), 1000', 'np.sum(p)', big_array),
    Operation('np.add(p, 1), 1000', 'np.add(p, 1)', big_array),
    Operation('array + p, 1000', 'array + p', big_array),
    Operation('np.asarray(p), 1000', 'np.asarray(p)', big_array),
    Operation('p.shape of an array', 'p.shape', big_array),
    Operation('construct', 'P(f)', kind='class'),
    Operation('first use, len(P(f))', 'len(P(f))', kind='class'),
    Operation('store proxy: pickle.dumps', 'dumps(p)', big_array, 'store'),
    Operation('store proxy: pickle.loads', 'loads(data)', big_array, 'store'),
    Operation('pickle.dumps', 'dumps(p)', make_list, 'unresolved'),
    Operation('pickle.loads', 'loads(data)', make_list, 'unresolved'),
]
BY_NAME = {operation.name: operation for operation in OPERATIONS}
