"""Microseconds of small operations: the least of many short rounds, all in turn.

    python benches/store/small.py FOLDER_IN_MEMORY FOLDER_ON_DISK

Prints one line of JSON: by place and operation, seconds. Runs with ours and with ProxyStore 1.1
alike; "limit" is the bare calls in the same folder.
"""

from __future__ import annotations

import gc
import json
import os
import pickle
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import extract
from proxystore.proxy import get_factory
from proxystore.store import Store

SIZE = 100
ROUNDS = 15
IN_A_ROW = 200
Results = dict[str, dict[str, float]]


def least(results: Results, place: str, operation: str, seconds: float) -> None:
    by = results.setdefault(place, {})
    by[operation] = min(by.get(operation, float('inf')), seconds)


def timed(call: Callable[[Any], Any], arguments: list[Any]) -> tuple[float, list[Any]]:
    """Seconds of one call, and what the calls gave."""
    gc.collect()
    start = time.perf_counter()
    given = [call(argument) for argument in arguments]
    return (time.perf_counter() - start) / len(arguments), given


def store_round(results: Results, place: str, store: Store[Any]) -> None:
    # Objects of their own: what is put is not in some cache because of the last put.
    objects = [os.urandom(SIZE) for _ in range(IN_A_ROW)]

    def note(operation: str, call: Callable[[Any], Any], arguments: list[Any]) -> Any:
        seconds, given = timed(call, arguments)
        least(results, place, operation, seconds)
        return given

    keys = note('put', store.put, objects)
    assert note('get', store.get, keys) == objects
    proxies = note('proxy', store.proxy, objects)
    texts = [pickle.dumps(store.proxy_from_key(key)) for key in keys]
    note('loads and resolve', lambda text: extract(pickle.loads(text)), texts)
    unresolved = [pickle.loads(text) for text in texts]
    assert note('resolve', extract, unresolved) == objects
    for key in [*keys, *(get_factory(proxy).key for proxy in proxies)]:
        store.evict(key)


def limit_round(results: Results, place: str, folder: Path) -> None:
    data = os.urandom(SIZE)
    paths = [str(folder / str(number)) for number in range(IN_A_ROW)]

    def put(path: str) -> None:
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        os.write(file, data)
        os.close(file)

    def get(path: str) -> bytes:
        file = os.open(path, os.O_RDONLY)
        found = os.read(file, 4096)
        os.close(file)
        return found

    least(results, place, 'put', timed(put, paths)[0])
    least(results, place, 'get', timed(get, paths)[0])
    for path in paths:
        os.unlink(path)


def main() -> None:
    folders = dict(zip(('memory', 'disk'), map(Path, sys.argv[1:3]), strict=True))
    stores = {'local': Store('local', LocalConnector(), cache_size=0, register=True)}
    for place, folder in folders.items():
        (folder / 'limit').mkdir(parents=True)
        connector = FileConnector(str(folder / 'objects'))
        stores[f'file, {place}'] = Store(place, connector, cache_size=0, register=True)
    results: Results = {}
    for _ in range(ROUNDS):
        for place, store in stores.items():
            store_round(results, place, store)
        for place, folder in folders.items():
            limit_round(results, f'limit, {place}', folder / 'limit')
    for store in stores.values():
        store.close()
    print(json.dumps(results))


if __name__ == '__main__':
    main()
