"""When the GIL is kept and when it is given up: counted, not timed.

With a long switch interval, another thread runs only if the calling one gives the GIL up.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.store import Store

from ..conftest import RedisAddress


class Busy:
    """A thread that counts as long as it has the GIL."""

    def __init__(self) -> None:
        self.count = 0
        self.stop = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self) -> None:
        while not self.stop:
            self.count += 1

    def turns_during(self, call: Any) -> int:
        before = self.count
        call()
        return self.count - before


@pytest.fixture
def busy() -> Iterator[Busy]:
    interval = sys.getswitchinterval()
    busy = Busy()
    sys.setswitchinterval(0.3)
    yield busy
    busy.stop = True
    sys.setswitchinterval(interval)
    busy.thread.join(30)


@pytest.fixture
def file_store() -> Iterator[Store[Any]]:
    # In shared memory: on a disk with other work, a small put may well take a while.
    folder = tempfile.mkdtemp(prefix='proxystore-test-', dir='/dev/shm')
    with Store('gil', FileConnector(folder), cache_size=0) as store:
        yield store


def test_small_puts_and_gets_keep_the_gil(file_store: Store[Any], busy: Busy) -> None:
    obj = b'x' * 1000
    key = file_store.put(obj)
    for call in (
        lambda: file_store.put(obj),
        lambda: file_store.get(key),
        lambda: file_store.exists(key),
        lambda: file_store.proxy(obj),
    ):
        # The interpreter itself may pass the GIL on once in the many rounds; a call that gives
        # it up lets the other thread count in every one.
        rounds = [busy.turns_during(call) for _ in range(5)]
        assert rounds.count(0) >= 3, rounds


def test_large_puts_give_the_gil_up(file_store: Store[Any], busy: Busy) -> None:
    array = np.zeros(4_000_000)
    assert busy.turns_during(lambda: file_store.put(array)) > 0


def test_large_reads_give_the_gil_up(file_store: Store[Any], busy: Busy) -> None:
    key = file_store.put(np.zeros(4_000_000))
    read = lambda: file_store.get(key, access='copy')  # noqa: E731
    assert busy.turns_during(read) > 0


def test_sockets_give_the_gil_up_whatever_the_size(
    redis_server: RedisAddress, busy: Busy
) -> None:
    connector = RedisConnector(redis_server.host, redis_server.port)
    with Store('gil', connector, cache_size=0) as store:
        key = store.put(b'x')
        for call in (
            lambda: store.put(b'x'),
            lambda: store.get(key),
            lambda: store.exists(key),
        ):
            # Each is shorter than it takes to wake a thread: not every one lets the other in.
            assert any(busy.turns_during(call) for _ in range(500))


def test_two_large_puts_at_a_time(file_store: Store[Any]) -> None:
    arrays = [np.full(2_000_000, number, dtype=np.float64) for number in range(2)]
    keys: dict[int, Any] = {}
    threads = [
        threading.Thread(
            target=lambda n=number: keys.update({n: file_store.put(arrays[n])})
        )
        for number in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for number in range(2):
        assert np.array_equal(file_store.get(keys[number]), arrays[number])


def test_ctrl_c_reaches_a_thread_that_waits_for_a_fetch(tmp_path: Path) -> None:
    program = """
import sys, threading, time
from proxystore.store import Store
from proxystore.connectors.local import LocalConnector

begun = threading.Event()

def slow(data):
    begun.set()
    time.sleep(30)

store = Store('slow', LocalConnector(), serializer=bytes, deserializer=slow)
key = store.put(b'x')
threading.Thread(target=store.get, args=(key,), daemon=True).start()
begun.wait()
try:
    print('waiting', flush=True)
    store.get(key)
except KeyboardInterrupt:
    print('interrupted', flush=True)
"""
    child = subprocess.Popen(
        [sys.executable, '-c', program], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == 'waiting\n'
        # The line is printed before the wait begins: a signal that comes too early is seen too.
        child.send_signal(signal.SIGINT)
        assert child.stdout.readline() == 'interrupted\n'
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
