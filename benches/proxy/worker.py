"""Measures rounds on request; one process per set of packages.

Reads lines of JSON `[operation, implementation]` and answers each with the
nanoseconds of one statement in one round, or null where the implementation
has no such operation.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from itertools import repeat

from implementations import namespace
from operations import BY_NAME

UNROLLED = 10
ROUND_SECONDS = 0.0005


def compiled(statement: str, names: dict) -> Callable[[int], float]:
    """Return a function that runs the statement `UNROLLED * turns` times."""
    parameters = ', '.join(f'{name}={name}' for name in names)
    body = '\n        '.join([statement] * UNROLLED)
    source = (
        f'def timed(turns, repeat=repeat, clock=clock, {parameters}):\n'
        f'    begin = clock()\n'
        f'    for _turn in repeat(None, turns):\n'
        f'        {body}\n'
        f'    return clock() - begin\n'
    )
    scope = dict(names, repeat=repeat, clock=time.perf_counter)
    exec(source, scope)
    return scope['timed']


def prepared(operation: str, implementation: str) -> tuple[Callable, int] | None:
    names = namespace(implementation, BY_NAME[operation])
    if names is None:
        return None
    timed = compiled(BY_NAME[operation].statement, names)
    turns = 1
    while (took := timed(turns)) < ROUND_SECONDS / 4:
        turns *= 2
    return timed, max(1, int(turns * ROUND_SECONDS / took))


def main() -> None:
    gc.disable()
    cache: dict[tuple[str, str], tuple[Callable, int] | None] = {}
    for line in sys.stdin:
        operation, implementation = json.loads(line)
        key = (operation, implementation)
        if key not in cache:
            cache[key] = prepared(*key)
        if cache[key] is None:
            answer = None
        else:
            timed, turns = cache[key]
            timed(turns // 20)  # the other processes have been in the caches
            answer = timed(turns) / (turns * UNROLLED) * 1e9
        print(json.dumps(answer), flush=True)


main()
