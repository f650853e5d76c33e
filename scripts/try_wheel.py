"""Tries an installed proxystore: a proxy that another process resolves.

Needs nothing but the package, so that it runs in a clean environment.
"""

from __future__ import annotations

import multiprocessing
import sys

import proxystore
from proxystore.proxy import is_resolved
from proxystore.store import Store


def total(numbers: object, expected: int) -> None:
    """Runs in the other process; its exit status tells."""
    assert not is_resolved(numbers)
    assert sum(numbers) == expected  # type: ignore[call-overload]


def main() -> int:
    """Puts a list, and lets a spawned process use it."""
    numbers = list(range(100_000))
    with Store('try-wheel', register=True) as store:
        proxy = store.proxy(numbers, populate_target=False)
        spawn = multiprocessing.get_context('spawn')
        other = spawn.Process(target=total, args=(proxy, sum(numbers)))
        other.start()
        other.join(60)
        if other.exitcode != 0:
            print(f'the other process ended with {other.exitcode}', file=sys.stderr)
            return 1
    print(
        f'proxystore {proxystore.__version__} on Python {sys.version.split()[0]}: works'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
