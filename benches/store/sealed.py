"""Times put and get of 100 MB in stores that compress, check, sign or encrypt.

    python benches/store/sealed.py [--megabytes 100] [--rounds 9] [--write benches/RESULTS.md]

Ways are interleaved: each round puts and gets once in every way, beside a
copy in memory. Tables show medians of the rounds, in milliseconds, and how
much of the object's length was stored.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
from results import replace_section

KEY = 'env:PROXYSTORE_BENCH_KEY'
WAYS: dict[str, dict[str, Any]] = {
    'plain': {},
    'checksum': {'checksum': True},
    'lz4': {'compression': 'lz4'},
    'zstd': {'compression': 'zstd'},
    'auto': {'compression': 'auto'},
    'signed': {'signing': KEY},
    'encrypted': {'encryption': KEY},
    'encrypted, zstd': {'encryption': KEY, 'compression': 'zstd'},
}


def contents(length: int) -> dict[str, Any]:
    """An object that shrinks, and one that does not."""
    dice = np.random.default_rng(7)
    # Readings of an instrument: small steps, of which many are the same.
    steps = dice.integers(-3, 4, length // 4, dtype=np.int32)
    return {
        'shrinks': np.cumsum(steps, dtype=np.int32),
        'noise': dice.integers(0, 256, length, dtype=np.uint8),
    }


def measure(length: int, rounds: int) -> dict[tuple[str, str], dict[str, float]]:
    """Medians by content and way."""
    times: dict[Any, list[float]] = defaultdict(list)
    stored: dict[Any, float] = {}
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        stores = {
            way: Store(
                f'bench {way}',
                FileConnector(f'{folder}/{place}'),
                cache_size=0,
                **options,
            )
            for place, (way, options) in enumerate(WAYS.items())
        }
        for name, obj in contents(length).items():
            expected = int(obj.sum())
            target = np.empty_like(obj)
            for _ in range(rounds):
                began = time.perf_counter()
                np.copyto(target, obj)
                times[name, 'copy in memory', 'put'].append(time.perf_counter() - began)
                for way, store in stores.items():
                    began = time.perf_counter()
                    key = store.put(obj)
                    put = time.perf_counter()
                    found = store.get(key)
                    # Mapped memory is only read here.
                    total = int(found.sum())
                    got = time.perf_counter()
                    assert total == expected
                    times[name, way, 'put'].append(put - began)
                    times[name, way, 'get'].append(got - put)
                    path = Path(store.connector.store_dir) / key[0]
                    stored[name, way] = path.stat().st_size / obj.nbytes
                    del found
                    store.evict(key)
    medians: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for (name, way, verb), each in times.items():
        medians[name, way][verb] = statistics.median(each) * 1e3
    for pair, ratio in stored.items():
        medians[pair]['stored'] = ratio
    return medians


def table(medians: dict[tuple[str, str], dict[str, float]]) -> str:
    """The table of all."""
    lines = [
        '| object | way | put, ms | get and sum, ms | stored |',
        '|---|---|---|---|---|',
    ]
    for (name, way), of in medians.items():
        get = f'{of["get"]:.1f}' if 'get' in of else ''
        part = f'{of["stored"]:.0%}' if 'stored' in of else ''
        lines.append(f'| {name} | {way} | {of["put"]:.1f} | {get} | {part} |')
    return '\n'.join(lines)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--megabytes', type=int, default=100)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--write', type=Path)
    arguments = parser.parse_args()
    os.environ['PROXYSTORE_BENCH_KEY'] = '5f' * 32
    text = table(measure(arguments.megabytes * 1_000_000, arguments.rounds))
    print(text)
    if arguments.write is not None:
        title = 'Stores that compress, sign or encrypt'
        about = (
            f'{arguments.megabytes} MB in files in shared memory, medians of '
            f'{arguments.rounds} interleaved rounds; `benches/store/sealed.py`.'
        )
        replace_section(arguments.write, title, f'{about}\n\n{text}')


if __name__ == '__main__':
    main()
