"""Runs the exactness table: every operation on every target, native and proxied.

python -m tests.proxy.exactness     # prints the counts as Markdown
"""

from __future__ import annotations

import collections
import sys
from collections.abc import Iterator
from typing import NamedTuple

from tests.proxy.comparison import Agreement
from tests.proxy.comparison import Outcome
from tests.proxy.comparison import agreement
from tests.proxy.comparison import in_place_outcome
from tests.proxy.comparison import outcome
from tests.proxy.comparison import quiet
from tests.proxy.documented import is_documented
from tests.proxy.operations import BINARY
from tests.proxy.operations import IN_PLACE
from tests.proxy.operations import OPERANDS as EVERY_OPERAND
from tests.proxy.operations import UNARY as EVERY_UNARY
from tests.proxy.targets import TARGETS as EVERY_TARGET

DEBUG_BUILD = hasattr(sys, 'gettotalrefcount')
"""Whether CPython aborts where an API is called with an exception set.

numpy and pandas do that here and there, without any proxy too, so a debug build
compares what does not concern them.
"""
PACKAGES = ('numpy', 'pandas', 'polars', 'pyarrow')
NAMES_OF_PACKAGES = ('np.', 'np ', 'pd.', 'pl.', 'pa.', 'array', 'float64')


def concerns_packages(operation: str) -> bool:
    """Tell whether an operation goes through numpy and its like."""
    return any(name in operation for name in NAMES_OF_PACKAGES)


def is_of_a_package(make) -> bool:
    with quiet():
        return type(make()).__module__.partition('.')[0] in PACKAGES


UNARY = {
    name: operation
    for name, operation in EVERY_UNARY.items()
    if not (DEBUG_BUILD and concerns_packages(name))
}
TARGETS, OPERANDS = (
    {
        name: make
        for name, make in every.items()
        if not (DEBUG_BUILD and is_of_a_package(make))
    }
    for every in (EVERY_TARGET, EVERY_OPERAND)
)


class Cell(NamedTuple):
    """One comparison."""

    operation: str
    target: str
    operand: str
    native: Outcome
    proxied: Outcome

    @property
    def agreement(self) -> Agreement:
        return agreement(self.native, self.proxied)

    @property
    def verdict(self) -> str:
        if self.agreement is not Agreement.DIFFERENT:
            return self.agreement.value
        documented = is_documented(self.operation, self.target)
        return 'documented difference' if documented else 'failure'

    def __str__(self) -> str:
        return (
            f'{self.operation} on {self.target} with {self.operand}:\n'
            f'    native  {str(self.native)[:300]}\n'
            f'    proxied {str(self.proxied)[:300]}'
        )


def unary(name: str, operations=UNARY, targets=TARGETS) -> Iterator[Cell]:
    """Compare one operation on every target."""
    operation = operations[name]
    for target, make in targets.items():
        native = outcome(operation, make, proxied=False)
        yield Cell(name, target, '-', native, outcome(operation, make, proxied=True))


def takes_for_ever(symbol: str, target: str) -> bool:
    """Tell whether even the native operation has no end."""
    return target == 'large int' and symbol.rstrip('=') in ('**', '<<')


def binary(symbol: str, targets=TARGETS) -> Iterator[Cell]:
    """Compare an operator with the proxy on the left, on both sides, on the right."""
    operation = BINARY[symbol]

    def reflected(x, y):
        return operation(y, x)

    for target, make in targets.items():
        if takes_for_ever(symbol, target):
            continue
        for operand, other in {**OPERANDS, 'its like': make}.items():
            plain = [(other, False)]
            native = outcome(operation, make, False, plain)
            left = outcome(operation, make, True, plain)
            both = outcome(operation, make, True, [(other, True)])
            yield Cell(f'p {symbol} y', target, operand, native, left)
            yield Cell(f'p {symbol} q', target, operand, native, both)
            native = outcome(reflected, make, False, plain)
            right = outcome(reflected, make, True, plain)
            yield Cell(f'y {symbol} p', target, operand, native, right)


def in_place(symbol: str, targets=TARGETS) -> Iterator[Cell]:
    """Compare an in-place operator with the proxy on either side."""
    operation = IN_PLACE[symbol]
    for target, make in targets.items():
        if takes_for_ever(symbol, target):
            continue
        for operand, other in {**OPERANDS, 'its like': make}.items():
            native = in_place_outcome(operation, make, other, proxied=False)
            for name, other_proxied in (('y', False), ('q', True)):
                proxied = in_place_outcome(operation, make, other, True, other_proxied)
                yield Cell(f'p {symbol} {name}', target, operand, native, proxied)
            native = in_place_outcome(operation, other, make, proxied=False)
            proxied = in_place_outcome(
                operation, other, make, False, other_proxied=True
            )
            yield Cell(f'y {symbol} p', target, operand, native, proxied)


GROUPS = {
    'functions, statements, protocols': (unary, UNARY),
    'operators': (binary, BINARY),
    'in-place operators': (in_place, IN_PLACE),
}


def main() -> int:
    counts: dict[str, collections.Counter[str]] = {}
    for group, (run, names) in GROUPS.items():
        counts[group] = collections.Counter(
            cell.verdict for name in names for cell in run(name)
        )
    columns = [
        Agreement.SAME.value,
        Agreement.WORDING.value,
        'documented difference',
        'failure',
    ]
    print(f'CPython {sys.version.split()[0]}, {len(TARGETS)} targets.\n')
    print('| operations | comparisons | ' + ' | '.join(columns) + ' |')
    print('|---' * (len(columns) + 2) + '|')
    for group, counter in counts.items():
        cells = [str(counter[column]) for column in columns]
        total = sum(counter.values())
        number = len(GROUPS[group][1])
        print(f'| {number} {group} | {total} | ' + ' | '.join(cells) + ' |')
    return sum(counter['failure'] for counter in counts.values())


if __name__ == '__main__':
    sys.exit(1 if main() else 0)
