"""What an operation came to, in a form that two of them can be compared by."""

from __future__ import annotations

import contextlib
import enum
import inspect
import itertools
import re
import sys
import types
import warnings
from typing import NamedTuple

import numpy as np
from proxystore.proxy import Proxy
from proxystore.proxy import extract

ADDRESS = re.compile(r'0x[0-9a-fA-F]+')
ITERATORS = (
    types.GeneratorType,
    map,
    filter,
    zip,
    enumerate,
    reversed,
    type(iter([])),
    type(iter(())),
    type(iter('')),
    type(iter(b'')),
    type(iter({})),
    type(iter(range(0))),
    itertools.chain,
)


class Outcome(NamedTuple):
    """Result or exception, and the state that the target was left in."""

    result: object
    error: object
    after: object

    def __str__(self) -> str:
        if self.error is not None:
            return f'raised {self.error}'
        return f'gave {self.result}, leaving {self.after}'


def described(value, depth=0):
    """Type and content of a value, as plain tuples and strings."""
    kind = type(value)
    if kind is Proxy:
        return 'a proxy'
    if isinstance(value, np.ndarray):
        flags = (value.flags.writeable, value.flags.c_contiguous)
        content = repr(np.asarray(value).tolist())
        if isinstance(value, np.ma.MaskedArray):
            content += repr(np.ma.getmaskarray(value).tolist())
        return kind.__name__, str(value.dtype), value.shape, flags, clean(content)
    if isinstance(value, ITERATORS):
        items = list(itertools.islice(value, 10))
        return kind.__name__, [described(item, depth + 1) for item in items]
    if inspect.iscoroutine(value) or inspect.isasyncgen(value):
        if inspect.iscoroutine(value):
            value.close()
        return kind.__name__
    if kind in (list, tuple) and depth < 4:
        return kind.__name__, [described(item, depth + 1) for item in value]
    if kind is dict and depth < 4:
        items = [
            (described(k, depth + 1), described(v, depth + 1)) for k, v in value.items()
        ]
        return kind.__name__, items
    if kind in (set, frozenset):
        return kind.__name__, sorted(clean(repr(item)) for item in value)
    if isinstance(value, BaseException):
        return kind.__name__, clean(str(value))
    try:
        text = clean(repr(value))
    except BaseException as e:  # polars panics
        if isinstance(e, (KeyboardInterrupt, SystemExit)):
            raise
        text = f'repr raised {e!r}'
    state = None
    if (
        str(kind.__module__).startswith('tests.')
        and hasattr(value, '__dict__')
        and depth < 4
    ):
        state = described(dict(value.__dict__), depth + 1)
    return str(kind.__module__), kind.__name__, text, state


class Agreement(enum.Enum):
    """How the outcome through a proxy relates to the native one."""

    SAME = 'same'
    WORDING = 'same exception, in other words'
    DIFFERENT = 'different'


def agreement(native, proxied):
    """Compare two outcomes.

    The words of an exception may differ where C code names the type that it
    was given, which is the proxy's, or gives up at another check.
    """
    if native == proxied:
        return Agreement.SAME
    both_raised = native.error is not None and proxied.error is not None
    if (
        both_raised
        and native.error[0] == proxied.error[0]
        and native.after == proxied.after
    ):
        return Agreement.WORDING
    return Agreement.DIFFERENT


def clean(text):
    return ADDRESS.sub('0x', text)


@contextlib.contextmanager
def quiet():
    """Let operations warn, and packages fail to write messages of failing objects."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings(), np.errstate(all='ignore'):
            warnings.simplefilter('ignore')
            yield
    finally:
        sys.unraisablehook = hook


def outcome(operation, make, proxied, others=()):
    """Run an operation on a fresh object or on a proxy of one.

    Args:
        operation: Takes the object and the others.
        make: Makes the object.
        proxied: Whether to hand it over behind a proxy.
        others: Makers of further operands, each with whether it is proxied.
    """
    with quiet():
        target = make()
        # A fresh coroutine must not complain that nobody awaited it.
        x = Proxy(lambda: target) if proxied else target
        made = [make_other() for make_other, _ in others]
        operands = [
            Proxy(lambda other=other: other) if wrapped else other
            for other, (_, wrapped) in zip(made, others, strict=True)
        ]
        result = error = None
        try:
            result = operation(x, *operands)
        except BaseException as e:
            if isinstance(e, (KeyboardInterrupt, SystemExit)):
                raise
            error = described(e)  # polars panics here and there
        described_result = None if error else described(result)
        after = described(extract(x) if proxied else target)
        for coroutine in filter(inspect.iscoroutine, (target, *made)):
            coroutine.close()
        return Outcome(described_result, error, after)


def in_place_outcome(operation, make, other, proxied, other_proxied=False):
    """Run an in-place operator, with what it leaves under the name.

    The native name is bound to the result; the proxy stays and is bound to it
    inside. Either way it matters whether the object itself was changed.
    """
    with quiet():
        target, operand = make(), other()
        x = Proxy(lambda: target) if proxied else target
        y = Proxy(lambda: operand) if other_proxied else operand
        try:
            result = operation(x, y)
        except Exception as e:
            outcome = Outcome(None, described(e), described(target))
        else:
            if proxied and result is not x:
                return Outcome('another object', None, None)
            value = extract(x) if proxied else result
            outcome = Outcome(described(value), None, ('same object', value is target))
        for coroutine in filter(inspect.iscoroutine, (target, operand)):
            coroutine.close()
        return outcome
