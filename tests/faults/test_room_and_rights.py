"""A place that is full, or that we lose the right to: what was put stays, and errors say why."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorPermissionError
from proxystore.store import Store

from ..conftest import OwnRedis
from .conftest import NOBODY
from .conftest import as_nobody

ROUNDS = 20

FILLING = """
import random, subprocess, sys, time
from proxystore.exceptions import ConnectorFullError
from proxystore.store import Store

url, rounds, place = sys.argv[1], int(sys.argv[2]), sys.argv[3]
if place:
    # Its own mounts, which go with this process.
    options = 'size=20m,mode=700'
    subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', place], check=True)
chance = random.Random(rounds)
told = put = 0
with Store.from_url(url, name='filling', cache_size=0) as store:
    kept = {}
    for _ in range(rounds):
        while True:
            obj = chance.randbytes(100) * chance.choice([10, 700, 7000, 30_000])
            try:
                if chance.random() < 0.7:
                    kept[store.put(obj)] = obj
                else:
                    kept.update(zip(store.put_batch([obj, obj]), [obj, obj]))
            except ConnectorFullError as error:
                told += 1
                assert any(word in str(error) for word in ('space', 'full', 'memory')), error
                break
            put += 1
            assert len(kept) < 2000, 'it is never full'
        lost = [key for key, obj in kept.items() if store.get(key) != obj]
        assert not lost, len(lost)
        for key in chance.sample(list(kept), len(kept) // 2 + 1):
            store.evict(key)
            del kept[key]
    until = time.monotonic() + 30
    while True:
        try:
            key = store.put('there is room again')
            break
        except ConnectorFullError:  # Redis frees large values in the background
            assert time.monotonic() < until
            time.sleep(0.01)
    assert store.get(key) == 'there is room again'
    store.close(clear=True)
print(f'{rounds} times full, {told} told, {put} puts returned, 0 lost')
"""


@pytest.mark.parametrize('kind', ['file', 'shm', 'redis'])
def test_a_full_place(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / 'place'
    place.mkdir()
    prefix = []
    if kind == 'redis':
        options = {'maxmemory': '20mb', 'maxmemory-policy': 'noeviction'}
        with OwnRedis(tmp_path / 'server', **options) as server:
            said = filled(f'redis://{server.host}:{server.port}', '')
    else:
        prefix = ['unshare', '--mount']
        if os.geteuid() != 0:
            prefix.append('--map-root-user')
        url = f'file://{place}' if kind == 'file' else f'shm://?dir={place}&spill_dir='
        said = filled(url, str(place), prefix)
    with capsys.disabled():
        print(f'\nfull {kind}: {said}', end='')
    assert said.startswith(f'{ROUNDS} times full, {ROUNDS} told')


def filled(url: str, place: str, prefix: list[str] | None = None) -> str:
    command = [sys.executable, '-c', FILLING, url, str(ROUNDS), place]
    ran = subprocess.run(
        [*(prefix or []), *command], capture_output=True, text=True, timeout=200
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def contents(chance: random.Random) -> list[Any]:
    word = chance.randbytes(100)
    return ['small', 1000 * word, 30_000 * word]


def denied(work: Callable[[], object], name: str) -> None:
    with pytest.raises(ConnectorPermissionError) as raised:
        work()
    assert isinstance(raised.value, PermissionError)
    assert name in str(raised.value)


def test_a_directory_whose_rights_are_taken(tmp_path: Path) -> None:
    place = tmp_path / 'place'
    place.mkdir(mode=0o700)
    if os.geteuid() == 0:
        os.chown(place, NOBODY, NOBODY)
        for above in place.parents:
            if above.owner() == 'root' and str(above).startswith('/tmp/'):
                above.chmod(0o755)

    def work() -> None:
        chance = random.Random(1)
        with Store('rights', FileConnector(str(place)), cache_size=0) as store:
            kept: dict[Any, Any] = {}
            for mode in [0o500, 0o000] * (ROUNDS // 2):
                for obj in contents(chance):
                    kept[store.put(obj)] = obj
                place.chmod(mode)
                some = random.choice(list(kept))
                for obj in contents(chance):
                    denied(lambda obj=obj: store.put(obj), str(place))  # type: ignore[misc]
                denied(lambda: store.put_batch(contents(chance)), str(place))
                denied(lambda: store.evict(some), str(place))
                if mode:
                    assert all(store.get(key) == obj for key, obj in kept.items())
                else:
                    # Not told as an object that is gone, which would be believed.
                    denied(lambda: store.get(some), str(place))
                    denied(lambda: store.exists(some), str(place))
                place.chmod(0o700)
                assert all(store.get(key) == obj for key, obj in kept.items())
            assert len(list(place.iterdir())) == len(kept)
            store.close(clear=True)

    as_nobody(work)


def test_a_redis_user_whose_rights_are_taken(tmp_path: Path) -> None:
    import redis

    with (
        OwnRedis(tmp_path / 'server') as server,
        redis.Redis(server.host, server.port) as master,
    ):
        user = ('ACL', 'SETUSER', 'worker')
        master.execute_command(*user, 'on', '>word', '~*', '&*', '+@all')
        connector = RedisConnector(
            server.host, server.port, username='worker', password='word'
        )
        chance = random.Random(2)
        with Store('rights', connector, cache_size=0) as store:
            kept: dict[Any, Any] = {}
            for lost in ['-@write', '-@all'] * (ROUNDS // 2):
                for obj in contents(chance):
                    kept[store.put(obj)] = obj
                master.execute_command(*user, lost)
                for obj in contents(chance):
                    denied(lambda obj=obj: store.put(obj), 'redis')  # type: ignore[misc]
                denied(lambda: store.put_batch(contents(chance)), 'redis')
                if lost == '-@all':
                    denied(lambda: store.get(next(iter(kept))), 'redis')
                else:
                    assert all(store.get(key) == obj for key, obj in kept.items())
                master.execute_command(*user, '+@all')
                assert all(store.get(key) == obj for key, obj in kept.items())
            store.close(clear=True)
        assert master.dbsize() == 0, 'parts of what was refused'
