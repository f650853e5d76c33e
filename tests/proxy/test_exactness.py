"""Everything that a native object does, its proxy does, but for a fixed list."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.proxy import documented
from tests.proxy.comparison import Agreement
from tests.proxy.exactness import DEBUG_BUILD
from tests.proxy.exactness import UNARY
from tests.proxy.exactness import binary
from tests.proxy.exactness import in_place
from tests.proxy.exactness import unary
from tests.proxy.operations import BINARY
from tests.proxy.operations import IN_PLACE
from tests.proxy.operations import UNARY as EVERY_UNARY
from tests.proxy.torch_targets import UNARY as OF_TORCH

DOCUMENT = Path(__file__).parents[2] / 'docs' / 'proxy.md'


def check(cells):
    failures = [cell for cell in cells if cell.verdict == 'failure']
    assert not failures, '\n'.join(
        [f'{len(failures)} failures', *map(str, failures[:10])]
    )


@pytest.mark.parametrize('operation', UNARY)
def test_operation(operation):
    cells = list(unary(operation))
    check(cells)


@pytest.mark.parametrize('symbol', BINARY)
def test_operator(symbol):
    check(binary(symbol))


@pytest.mark.parametrize('symbol', IN_PLACE)
def test_in_place_operator(symbol):
    check(in_place(symbol))


@pytest.mark.skipif(DEBUG_BUILD, reason='a debug build compares less: see exactness')
def test_the_list_is_not_longer_than_it_must_be():
    """An operation that works everywhere has no place in the list."""
    stale = [
        name
        for name in documented.DIFFERENCES
        if name in UNARY
        and name not in documented.OF_SOME_VERSIONS
        and all(cell.agreement is not Agreement.DIFFERENT for cell in unary(name))
    ]
    assert stale == []


def test_the_list_names_known_operations():
    operators = {
        f'{left} {symbol} {right}'
        for symbol in (*BINARY, *IN_PLACE)
        for left, right in ('py', 'pq', 'yp')
    }
    known = {*EVERY_UNARY, *OF_TORCH, *operators}
    assert set(documented.DIFFERENCES) <= known


@pytest.mark.parametrize('reason', documented.Reason)
def test_every_reason_is_explained(reason):
    assert f'### {reason.value}' in DOCUMENT.read_text()
