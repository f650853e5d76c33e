"""One process of the soak: puts, hands proxies on, resolves what it was handed, evicts."""

from __future__ import annotations

import os
import queue
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KINDS = ('array', 'bytes', 'table', 'tree')
LEAST, MOST = 100, 20_000_000
"""Bytes of an object; what lies between is drawn evenly over the orders of magnitude."""
HELD = 12
"""Objects of others that a process holds resolved before it lets one go."""


@dataclass
class Sample:
    """What one process has done and takes at one moment."""

    seconds: float
    process: int
    operations: int
    bytes_moved: int
    private: int
    descriptors: int
    wrong: int


def make(kind: str, size: int, seed: int) -> tuple[Any, float]:
    """An object of about so many bytes, and a number that tells whether it arrived."""
    import numpy as np

    if kind == 'bytes':
        return seed.to_bytes(8, 'big') * max(1, size // 8), float(seed)
    if kind == 'tree':
        items = [{'id': i, 'x': float(seed)} for i in range(min(size, 500_000) // 40)]
        return {'seed': seed, 'items': items}, float(seed)
    array = np.full(max(1, size // 8), float(seed))
    if kind == 'table':
        import pandas as pd

        return pd.DataFrame({'a': array, 'b': array}), float(seed)
    return array, float(seed)


def told(kind: str, obj: Any) -> float:
    """The number that `make` gave, read from both ends of the object."""
    if kind == 'bytes':
        first, last = bytes(obj[:8]), bytes(obj[-8:])
        return float(int.from_bytes(first, 'big')) if first == last else -1.0
    if kind == 'tree':
        same = all(item['x'] == obj['seed'] for item in obj['items'])
        return float(obj['seed']) if same else -1.0
    if kind == 'table':
        return float(obj['a'].iloc[0]) if (obj['a'] == obj['b']).all() else -1.0
    return float(obj[0]) if obj[0] == obj[-1] else -1.0


def private_bytes() -> int:
    """Memory that this process has to itself; pages of the store's files are the store's."""
    for line in Path('/proc/self/smaps_rollup').read_text().splitlines():
        if line.startswith('Anonymous'):
            return int(line.split()[1]) * 1024
    raise RuntimeError('no Anonymous in smaps_rollup')


def run(
    number: int,
    url: str,
    until: float,
    inboxes: list[Any],
    samples: Any,
    every: float,
) -> None:
    """Works until a moment, then evicts what it still has.

    Args:
        number: Of this process; it reads the inbox of this number.
        url: The store's.
        until: As `time.time()` gives it.
        inboxes: A queue of each process.
        samples: Queue of [`Sample`][], and `None` once this process is done.
        every: Seconds between two samples.
    """
    from proxystore.proxy import extract
    from proxystore.proxy import get_factory
    from proxystore.store import Store

    dice = random.Random(number)
    store = Store.from_url(url, name='soak', register=True, cache_size=4)
    held: list[tuple[Any, Any]] = []
    moved = operations = wrong = 0
    began = time.time()
    next_sample = began

    def receive(wait: float) -> bool:
        nonlocal moved, operations, wrong
        try:
            proxy, kind, size, number_of_it = inboxes[number].get(timeout=wait)
        except queue.Empty:
            return False
        target = extract(proxy)
        wrong += told(kind, target) != number_of_it
        moved += size
        operations += 1
        key = get_factory(proxy).key
        if dice.random() < 0.5:
            held.append((key, target))
        else:
            store.evict(key)
        while len(held) > HELD:
            key, _ = held.pop(dice.randrange(len(held)))
            store.evict(key)
        return True

    while (now := time.time()) < until:
        if now >= next_sample:
            next_sample += every
            taken = len(os.listdir('/proc/self/fd'))
            samples.put(
                Sample(now, number, operations, moved, private_bytes(), taken, wrong)
            )
        kind = dice.choice(KINDS)
        size = int(LEAST * (MOST / LEAST) ** dice.random())
        obj, tells = make(kind, size, dice.randrange(1 << 40))
        proxy = store.proxy(obj, populate_target=False)
        operations += 1
        moved += size
        try:
            inboxes[dice.randrange(len(inboxes))].put_nowait((proxy, kind, size, tells))
        except queue.Full:
            store.evict(get_factory(proxy).key)
        while receive(0.0):
            pass
    # What the others sent last is on its way still.
    while receive(5.0):
        pass
    for key, _ in held:
        store.evict(key)
    held.clear()
    store.close()
    samples.put(None)
