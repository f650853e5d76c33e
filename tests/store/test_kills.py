"""kill -9 of the only holder, and of the server, at random moments: nothing leaks, nothing is torn."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorError
from proxystore.proxy import ProxyResolveError
from proxystore.store import Store

from ..conftest import OwnRedis

LEASE = 2.0
ROUNDS = int(os.environ.get('PROXYSTORE_KILL_ROUNDS', '20'))

# What is put: its size and its bytes follow from a seed that the bytes begin with.
CONTENT = """
import random

SIZES = [10, 1_000, 70_000, 600_000, 1_500_000]

def content(seed):
    size = SIZES[seed % len(SIZES)]
    return seed.to_bytes(8, 'big') + random.Random(seed).randbytes(size)
"""
content: Any = {}
exec(CONTENT, content)
content = content['content']

HOLDER = (
    CONTENT
    + """
import itertools, sys
from proxystore.proxy import Proxy, get_factory
from proxystore.store import Store

lifetime = 'process' if sys.argv[2] == 'process' else None
store = Store.from_url(
    sys.argv[1], name='holder', lifetime=lifetime, register=True, cache_size=0
)
first = int(sys.argv[3])
for seed in itertools.count(first):
    data = content(seed)
    kind = seed % 4
    if kind == 0:
        key = store.put(data)
    elif kind == 1:
        key = get_factory(store.proxy(data, populate_target=False)).key
    elif kind == 2:
        p = store.proxy(data, populate_target=False)
        key = get_factory(p).key
        assert bytes(p) == data
    else:
        key = store.put(data)
        store.evict(key)
        continue
    print(seed, key[0], flush=True)
"""
)


def there(url: str) -> set[str]:
    """Every name in the place that is an object, or a part of one."""
    if url.startswith('file://'):
        folder = Path(url.removeprefix('file://'))
        return {
            path.name
            for path in folder.glob('*')
            if path.is_file() and not path.name.startswith('.proxystore-lease')
        }
    import redis

    with redis.Redis.from_url(url) as server:
        return {name.decode() for name in server.scan_iter('proxystore:*')}


def settle(url: str) -> set[str]:
    """What is still there some time after the lease, and a sweep by the next opener."""
    until = time.monotonic() + LEASE + 3
    while True:
        with Store.from_url(url, name='next opener'):
            left = there(url)
        if not left or time.monotonic() > until:
            return left
        time.sleep(0.2)


def one_round(url: str, lifetime: str, first: int, moment: float) -> dict[str, Any]:
    """Start a holder, kill it, read what it said to be there."""
    environment = {**os.environ, 'PROXYSTORE_PROCESS_LEASE': str(LEASE)}
    child = subprocess.Popen(
        [sys.executable, '-c', HOLDER, url, lifetime, str(first)],
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert child.stdout is not None
    begun = child.stdout.readline()
    # Open before the kill: the next opener sweeps, and finds nothing to read.
    reader = Store.from_url(url, name='reader', cache_size=0)
    time.sleep(moment)
    child.kill()
    lines = (begun + child.stdout.read()).splitlines()
    child.stdout.close()
    child.wait()
    counts = {'put': 0, 'whole': 0, 'gone': 0, 'wrong': 0, 'errors': 0}
    with reader as store:
        key_class = store.connector._key_class
        for line in lines:
            parts = line.decode().split()
            if len(parts) != 2 or not line.endswith(parts[1].encode()):
                continue  # cut off by the kill
            if len(parts[1]) != 26:
                continue
            counts['put'] += 1
            try:
                found = store.get(key_class(parts[1]))
            except ConnectorError:
                counts['errors'] += 1
                continue
            if found is None:
                counts['gone'] += 1
            elif found == content(int(parts[0])):
                counts['whole'] += 1
            else:
                counts['wrong'] += 1
        # Also what nobody was told of: whole, gone, or a documented error.
        for name in there(url):
            key = name.removeprefix('proxystore:')
            if '/' in key or len(key) != 26:
                continue
            try:
                found = store.get(key_class(key))
            except (ConnectorError, ProxyResolveError):
                counts['errors'] += 1
                continue
            if found is not None and found != content(int.from_bytes(found[:8], 'big')):
                counts['wrong'] += 1
    return counts


def report(title: str, rows: list[dict[str, Any]], left: set[str]) -> str:
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    cells = ' | '.join(f'{name} {count}' for name, count in total.items())
    return f'\n{title}: {len(rows)} rounds | {cells} | left after the lease {len(left)}'


@pytest.mark.parametrize('kind', ['file', 'redis'])
@pytest.mark.timeout(300)
def test_kill_rounds(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(20)
    with OwnRedis(tmp_path / 'server') as server:
        redis = f'redis://{server.host}:{server.port}'
        url = redis if kind == 'redis' else f'file://{tmp_path}/objects'
        rows = [
            one_round(url, 'process', 1_000_000 * at + 1, chance.uniform(0, 0.15))
            for at in range(ROUNDS)
        ]
        left = settle(url)
        control = [one_round(url, 'none', 1, 0.05)]
        leaked = settle(url)
    with capsys.disabled():
        print(report(f'kill -9, {kind}', rows, left))
        print(report(f'kill -9, {kind}, control without lifetime', control, leaked))
    assert sum(row['put'] for row in rows) > ROUNDS
    assert sum(row['whole'] for row in rows) > ROUNDS, 'nothing was read'
    assert not any(row['wrong'] for row in rows)
    # An object that was cut off by the kill is an error that says so; never one that was put.
    assert not left, f'older than the lease: {sorted(left)[:5]}'
    assert leaked, 'the control must leak, or this proves nothing'


@pytest.mark.timeout(300)
def test_a_server_that_is_killed_and_comes_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every put that returned is readable; every other one says whether to repeat it."""
    options = {'appendonly': 'yes', 'appendfsync': 'always'}
    kept: dict[Any, int] = {}
    failed: dict[str, int] = {}
    lost: list[Any] = []
    done = threading.Event()
    with OwnRedis(tmp_path / 'server', **options) as server:
        connector = RedisConnector(server.host, server.port)
        store = Store('survivor', connector, cache_size=0)

        def work(first: int) -> None:
            seed = first
            while not done.is_set():
                seed += 1
                try:
                    kept[store.put(content(seed))] = seed
                except ConnectorError as error:
                    name = type(error).__name__
                    failed[name] = failed.get(name, 0) + 1
                    assert 'redis' in str(error)
                key, known = random.choice(list(kept.items())) if kept else (None, 0)
                if key is None:
                    continue
                try:
                    if store.get(key) != content(known):
                        lost.append(key)
                except ConnectorError as error:
                    name = type(error).__name__
                    failed[name] = failed.get(name, 0) + 1

        threads = [threading.Thread(target=work, args=(at * 10**6,)) for at in range(3)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            time.sleep(0.5)
            server.kill()
            time.sleep(0.3)
            server.restart()
        time.sleep(0.5)
        done.set()
        for thread in threads:
            thread.join()
        missing = [key for key, seed in kept.items() if store.get(key) != content(seed)]
        store.close(clear=True)
    with capsys.disabled():
        print(
            f'\nRedis killed 3 times: {len(kept)} puts returned, {len(missing)} lost, '
            f'{len(lost)} read wrongly | errors told: {failed or "none"}'
        )
    assert kept
    assert not missing
    assert not lost
    told = {'ConnectorUnreachableError', 'ConnectorTimeoutError'}
    assert set(failed) <= told, 'what may be repeated says so'
