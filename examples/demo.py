"""The main job: large objects made in one process are used in others.

A producer puts an array, a dict of arrays and a table into the store of this
machine and sends only their proxies to worker processes. The workers run
functions that know nothing of proxies, and hand back proxies of what they
found. Beside it the same job with the objects themselves sent.

    python examples/demo.py [--megabytes 100] [--repeat 5]
"""

from __future__ import annotations

import argparse
import multiprocessing
import pickle
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from typing import NamedTuple

import numpy as np
import pandas as pd
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.utils import get_key

PICTURE = """\
  producer ── {proxy} bytes ──▶ worker      what travels between the processes
     └─ put ─▶ store ─ resolve ─┘           where the {object} are, once\
"""


# The jobs. Nothing here knows of proxies.


def sum_of(array: np.ndarray) -> float:
    return float(np.sum(array))


def means_of(arrays: dict[str, np.ndarray]) -> dict[str, float]:
    return {name: float(arrays[name].mean()) for name in ('a', 'b', 'c', 'd')}


def sales_by_city(table: pd.DataFrame) -> pd.DataFrame:
    sums = table.groupby('city')[['sales', 'visits']].sum()
    assert isinstance(sums, pd.DataFrame)
    return sums


class Outcome(NamedTuple):
    """What a worker hands back: the result, by proxy, and how long resolving took."""

    result: Proxy[Any]
    resolve: float


def by_proxy(job: Callable[[Any], Any], data: Any) -> Outcome:
    """Runs in a worker: the job on what arrived, the result back by proxy."""
    assert type(data) is Proxy, 'the object itself travelled'
    assert not is_resolved(data), 'the object travelled with its proxy'
    start = time.perf_counter()
    resolve(data)
    resolved = time.perf_counter() - start
    store = get_store(data)
    assert store is not None
    return Outcome(store.proxy(job(data), populate_target=False), resolved)


class Row(NamedTuple):
    """A line of the closing table. Times in seconds."""

    name: str
    object_bytes: int
    proxy_bytes: int
    put: float
    resolve: float
    job_by_proxy: float
    job_by_value: float


def measure(
    name: str,
    job: Callable[[Any], Any],
    obj: Any,
    store: Store[Any],
    pool: ProcessPoolExecutor,
    repeat: int,
) -> Row:
    """Does one job in both ways, `repeat` times each, and checks the results."""
    expected = job(obj)
    rows = []
    proxy_bytes = 0
    for _ in range(repeat):
        start = time.perf_counter()
        proxy = store.proxy(obj, populate_target=False)
        put = time.perf_counter() - start
        outcome = pool.submit(by_proxy, job, proxy).result()
        assert not is_resolved(outcome.result), 'the result travelled with its proxy'
        resolve(outcome.result)
        with_proxy = time.perf_counter() - start
        assert same(outcome.result, expected)
        store.evict(get_key(proxy))

        start = time.perf_counter()
        result = pool.submit(job, obj).result()
        without_proxy = time.perf_counter() - start
        assert same(result, expected)

        rows.append((put, outcome.resolve, with_proxy, without_proxy))
        proxy_bytes = len(pickle.dumps(proxy))
    return Row(
        name,
        size_of(obj),
        proxy_bytes,
        *map(statistics.median, zip(*rows, strict=True)),
    )


def same(result: Any, expected: Any) -> bool:
    if isinstance(expected, pd.DataFrame):
        return bool(expected.equals(result))
    return bool(result == expected)


def size_of(obj: Any) -> int:
    """Bytes of the data, without what Python adds to each object."""
    if isinstance(obj, pd.DataFrame):
        return int(obj.memory_usage(index=False, deep=True).sum())
    if isinstance(obj, dict):
        return sum(size_of(value) for value in obj.values())
    return int(obj.nbytes)


def objects(megabytes: int) -> dict[str, tuple[Callable[[Any], Any], Any]]:
    """Real input, of that many megabytes each, and the job to do on it."""
    random = np.random.default_rng(seed=0)
    numbers = megabytes * 1_000_000 // 8
    cities = np.array(['Aarhus', 'Bergen', 'Gdansk', 'Lyon', 'Porto', 'Turku'])
    rows = numbers // 3
    table = pd.DataFrame(
        {
            'city': pd.Categorical.from_codes(
                random.integers(len(cities), size=rows, dtype=np.int8), cities
            ),
            'sales': random.random(rows),
            'visits': random.integers(1000, size=rows),
            'day': random.integers(365, size=rows),
        }
    )
    quarter = numbers // 4
    return {
        'array': (sum_of, random.random(numbers)),
        'dict of 4 arrays': (means_of, {n: random.random(quarter) for n in 'abcd'}),
        'table': (sales_by_city, table),
    }


def show(rows: list[Row]) -> None:
    """The closing table."""

    def milliseconds(seconds: float) -> str:
        return (
            f'{seconds * 1e3:,.1f} ms' if seconds >= 1e-3 else f'{seconds * 1e6:.0f} µs'
        )

    header = ['object', 'bytes', 'its proxy', 'put', 'resolve']
    header += ['job by proxy', 'job by value', 'faster']
    lines = [header]
    for row in rows:
        cells = [row.name, f'{row.object_bytes:,}', f'{row.proxy_bytes} bytes']
        cells += [milliseconds(seconds) for seconds in row[3:]]
        lines.append([*cells, f'{row.job_by_value / row.job_by_proxy:.1f} x'])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        first, *rest = (
            cell.rjust(width) for cell, width in zip(line, widths, strict=True)
        )
        print(first.strip().ljust(widths[0]), *rest, sep='   ')


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument(
        '--megabytes', type=int, default=100, help='size of each object'
    )
    parser.add_argument('--repeat', type=int, default=5, help='medians of so many runs')
    parser.add_argument('--workers', type=int, default=2)
    options = parser.parse_args()

    spawn = multiprocessing.get_context('spawn')  # workers that inherit nothing
    with (
        Store(
            'demo', register=True
        ) as store,  # no connector: this machine's shared memory
        ProcessPoolExecutor(options.workers, mp_context=spawn) as pool,
    ):
        # Importing numpy and pandas is no part of any job.
        list(
            pool.map(
                sales_by_city, [pd.DataFrame(columns=['city', 'sales', 'visits'])] * 8
            )
        )
        rows = [
            measure(name, job, obj, store, pool, options.repeat)
            for name, (job, obj) in objects(options.megabytes).items()
        ]
    print(
        PICTURE.format(
            proxy=max(row.proxy_bytes for row in rows), object=f'{options.megabytes} MB'
        )
    )
    print()
    show(rows)
    print(
        f'\n{options.workers} worker processes, spawned; each got an unresolved proxy and '
        'handed back a proxy of its result.'
        f'\nBy value is what multiprocessing does without proxies: pickle, pipe, unpickle.'
        f'\nMedians of {options.repeat} runs; all results checked.'
    )


if __name__ == '__main__':
    main()
