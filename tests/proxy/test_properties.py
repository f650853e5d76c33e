"""Random expressions give the same on proxies as on the objects themselves."""

from __future__ import annotations

import operator
import warnings

from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from proxystore.proxy import Proxy
from proxystore.proxy import extract

from tests.proxy.comparison import Agreement
from tests.proxy.comparison import Outcome
from tests.proxy.comparison import agreement
from tests.proxy.comparison import described
from tests.proxy.operations import BINARY

NUMBERS = st.one_of(
    st.integers(-100, 100),
    st.floats(-100, 100, allow_nan=False),
    st.booleans(),
    st.fractions(-10, 10, max_denominator=9),
    st.complex_numbers(max_magnitude=10, allow_nan=False),
)
SCALARS = st.one_of(NUMBERS, st.text(max_size=4), st.binary(max_size=4), st.none())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(st.text(max_size=2), inner, max_size=3),
        st.sets(st.integers(0, 5), max_size=3),
    ),
    max_leaves=4,
)
SYMBOLS = sorted(set(BINARY) - {'**', '<<', '@', '%'})
UNARY_FUNCTIONS = [
    operator.neg,
    operator.invert,
    abs,
    len,
    bool,
    str,
    list,
    hash,
    sorted,
    sum,
    round,
    float,
    int,
    tuple,
]

# An expression is a value, a unary function of one, or an operator between two.
EXPRESSIONS = st.recursive(
    st.tuples(st.just('value'), VALUES, st.booleans()),
    lambda inner: st.one_of(
        st.tuples(st.just('unary'), st.sampled_from(UNARY_FUNCTIONS), inner),
        st.tuples(st.just('binary'), st.sampled_from(SYMBOLS), inner, inner),
    ),
    max_leaves=6,
)


def evaluate(expression, wrap):
    """Compute an expression; `wrap` says what becomes of its values."""
    kind = expression[0]
    if kind == 'value':
        return wrap(expression[1]) if expression[2] else expression[1]
    if kind == 'unary':
        return expression[1](evaluate(expression[2], wrap))
    _, symbol, left, right = expression
    return BINARY[symbol](evaluate(left, wrap), evaluate(right, wrap))


def outcome(expression, wrap):
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            result = evaluate(expression, wrap)
        except Exception as e:
            return Outcome(None, described(e), None)
    if type(result) is Proxy:
        result = extract(result)
    return Outcome(described(result), None, None)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(EXPRESSIONS)
def test_random_expressions(expression):
    native = outcome(expression, lambda value: value)
    proxied = outcome(expression, lambda value: Proxy(lambda: value))
    assert agreement(native, proxied) is not Agreement.DIFFERENT, (
        str(native),
        str(proxied),
    )


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_random_targets(value):
    p = Proxy(lambda: value)
    assert str(p) == str(value)
    assert p == value
    assert isinstance(p, type(value))
    assert bool(p) == bool(value)
    assert dir(p) == dir(value)
    for name in dir(value):
        if callable(getattr(value, name)):
            assert hasattr(p, name)
