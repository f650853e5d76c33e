"""A clock that jumps: nothing without a lease notices, and leases go by the clock that keeps them."""

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
from proxystore.exceptions import ConnectorFullError
from proxystore.store import Store
from proxystore.store.lifetimes import LeaseLifetime

from ..conftest import OwnRedis
from .conftest import Clock

HOUR, DAY = 3600, 86_400
JUMPS = [HOUR, -HOUR, 2 * DAY, -2 * DAY, 400 * DAY, -400 * DAY, 0]

JUMPING = """
import os, sys, threading, time
from proxystore.store import Store
from proxystore.store.lifetimes import LeaseLifetime

HOUR = 3600
url = sys.argv[1]
jumps = [int(text) for text in sys.argv[2:]]

def jump(seconds):
    with open(os.environ['PROXYSTORE_TEST_CLOCK'], 'r+b') as file:
        file.write(seconds.to_bytes(8, sys.byteorder, signed=True))

began, running = time.time(), time.monotonic()
jump(HOUR)
assert HOUR - 60 < time.time() - began < HOUR + 60, 'the clock does not jump'
assert time.monotonic() - running < 60
jump(0)

# Objects without a lease, and those of a process: no clock has a say in them.
plain = Store.from_url(url, name='plain', cache_size=0)
bound = Store.from_url(url, name='bound', lifetime='process', cache_size=0)
kept = []
for number, seconds in enumerate(jumps):
    jump(seconds)
    for store in (plain, bound):
        large = number.to_bytes(2, 'big') * 1_500_000
        for obj in (number, large):
            kept.append((store, store.put(obj), obj))
        keys = store.put_batch([number, large])
        kept.extend(zip([store, store], keys, [number, large]))
    Store.from_url(url, name='the next opener')  # which sweeps
    lost = [obj for store, key, obj in kept if store.get(key) != obj]
    assert not lost, (seconds, len(lost))
assert len({key for _, key, _ in kept}) == len(kept), 'a key came twice'

# Who waits counts on the clock that only runs forward.
for seconds in (HOUR, -HOUR):
    jump(0)
    future = plain.future(polling_timeout=60)
    late = threading.Timer(1, future.set_result, ['here'])
    threading.Timer(0.3, jump, [seconds]).start()
    late.start()
    started = time.monotonic()
    assert future.result() == 'here'
    assert 0.9 < time.monotonic() - started < 30
    late.join()

# Leases go by the time of day.
jump(0)
with LeaseLifetime(bound, 600) as lease:
    early = bound.put('early', lifetime=lease)
    jump(300)
    assert bound.get(early) == 'early'
    jump(601)
    assert bound.get(early) is None
    jump(0)
    jump(HOUR)
    late = bound.put('late', lifetime=lease)
    jump(0)
    time.sleep(4)  # the store of this process sweeps
    assert bound.get(late) == 'late', 'put back, it lives longer'
    jump(HOUR + 1000)
    time.sleep(4)  # the store of this process sweeps
    jump(0)
    assert bound.get(late) is None, 'what was swept stays gone'
print(len(kept), 'objects')
"""


@pytest.mark.parametrize('scheme', ['file', 'shm'])
def test_objects_of_this_machine(scheme: str, clock: Clock, store_dir: Path) -> None:
    url = f'file://{store_dir}' if scheme == 'file' else 'shm://'
    ran = subprocess.run(
        [sys.executable, '-c', JUMPING, url, *map(str, JUMPS)],
        env={**os.environ, **clock.environment},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == f'{8 * len(JUMPS)} objects\n'


@pytest.fixture
def jumping_redis(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with monkeypatch.context() as patched:
        for name, value in clock.environment.items():
            patched.setenv(name, value)
        server = OwnRedis(tmp_path / 'server')
    with server:
        yield server


def test_the_clock_of_a_redis_server(jumping_redis: OwnRedis, clock: Clock) -> None:
    connector = RedisConnector(jumping_redis.host, jumping_redis.port)
    with Store('jumps', connector, cache_size=0) as store:
        kept = {}
        for seconds in JUMPS:
            clock.set(seconds)
            for obj in (seconds, 30_000 * random.randbytes(100)):
                kept[store.put(obj)] = obj
            assert all(store.get(key) == obj for key, obj in kept.items())
        objects = ['small', 30_000 * random.randbytes(100)]
        clock.set(0)
        with LeaseLifetime(store, 600) as lease:
            keys = store.put_batch(objects, lifetime=lease)
            for seconds in (300, -DAY, 570):
                clock.set(seconds)
                assert [store.get(key) for key in keys] == objects
            clock.set(605)
            assert [store.get(key) for key in keys] == [None, None]
            clock.set(0)
        assert all(store.get(key) == obj for key, obj in kept.items())
        store.close(clear=True)


def test_a_server_whose_clock_jumps_amid_puts(
    jumping_redis: OwnRedis, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parts on their way expire after a day: a put that lost some is an error, and never half."""
    connector = RedisConnector(jumping_redis.host, jumping_redis.port)
    done = threading.Event()
    chance = random.Random(8)

    def jumps() -> None:
        seconds = 0
        while not done.wait(chance.uniform(0.001, 0.03)):
            seconds = 2 * DAY - seconds
            clock.set(seconds)

    with Store('amid', connector, cache_size=0) as store:
        kept, told, wrong = {}, 0, 0
        thread = threading.Thread(target=jumps)
        thread.start()
        until = time.monotonic() + 4
        try:
            while time.monotonic() < until:
                obj = 40_000 * random.randbytes(100)
                try:
                    key = store.put(obj)
                except ConnectorFullError as error:
                    assert 'clock' in str(error)
                    told += 1
                    continue
                kept[key] = obj
                wrong += store.get(key) != obj
        finally:
            done.set()
            thread.join()
        clock.set(0)
        missing = [key for key, obj in kept.items() if store.get(key) != obj]
        with capsys.disabled():
            print(
                f'\nclock of a server that jumps amid puts: {len(kept)} returned, '
                f'{len(missing)} lost, {wrong} read wrongly, {told} told'
            )
        assert kept and told
        assert not missing and not wrong
        store.close(clear=True)
