"""A network that is cut between a store and its Redis server: calls end, and say that they may be repeated."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.redis import RedisConnector
from proxystore.connectors.redis import RedisKey
from proxystore.store import Store

from ..conftest import free_port
from ..endpoint import hosts

ROUNDS = 8
THREADS = 3
# Against a test that never ends; every limit that is configured is far shorter.
DEADLINE = 20
IMPATIENT = '?timeout=1&connect_timeout=500ms&retries=2'

# What is put: its size and its bytes follow from a seed that the bytes begin with.
CONTENT = """
import random

SIZES = [10, 1_000, 70_000, 600_000, 3_000_000]

def content(seed):
    size = SIZES[seed % len(SIZES)]
    return seed.to_bytes(8, 'big') + random.Random(seed).randbytes(size)
"""
content: Any = {}
exec(CONTENT, content)
content = content['content']

WORKING = (
    CONTENT
    + """
import json, sys, threading, time
from proxystore.exceptions import ConnectorError
from proxystore.store import Store

store = Store.from_url(sys.argv[1], name='far', cache_size=0)
done, saying = threading.Event(), threading.Lock()
kept, evicted, calls = [{} for _ in range(int(sys.argv[2]))], [], []

def say(*words):
    with saying:
        print(*words, flush=True)

def step(ours, seed, chance):
    action = chance.choice(['put', 'get', 'get', 'batch'])
    if action == 'put':
        ours[store.put(content(seed))] = seed
    elif action == 'batch':
        seeds = [seed, seed + 1, seed + 2]
        ours.update(zip(store.put_batch([content(one) for one in seeds]), seeds))
    elif ours:
        key, known = chance.choice(list(ours.items()))
        if store.get(key) != content(known):
            say('wrong', key[0])
    if len(ours) > 30:
        key = next(iter(ours))
        del ours[key]  # if this fails, it may be there or not
        store.evict(key)
        evicted.append(key[0])

def work(number):
    chance, seed, fails = random.Random(number), number * 10**6, True
    while not done.is_set():
        seed += 3
        began = time.monotonic()
        try:
            step(kept[number], seed, chance)
        except Exception as error:
            fails = True
            told = isinstance(error, ConnectorError) and 'redis://' in str(error)
            say('told', number, type(error).__name__ if told else repr(error))
        else:
            if fails:
                say('works', number)
            fails = False
        calls.append(time.monotonic() - began)
        time.sleep(0.02 if fails else 0.002)

threads = [threading.Thread(target=work, args=(number,)) for number in range(len(kept))]
for thread in threads:
    thread.start()
sys.stdin.read()
done.set()
for thread in threads:
    thread.join()
say(json.dumps({
    'kept': {key[0]: seed for ours in kept for key, seed in ours.items()},
    'evicted': evicted, 'calls': len(calls), 'longest': max(calls),
}))
"""
)


class Program:
    """A program of threads that put and get, and say when a call fails, and when one works again."""

    def __init__(self, prefix: list[str], url: str) -> None:
        command = [*prefix, sys.executable, '-c', WORKING, url, str(THREADS)]
        self._child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.lines: list[list[str]] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self.lines.append(line.split(maxsplit=2))

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.kill()
        self._child.wait()
        self._reader.join()
        assert self._child.stdout is not None
        self._child.stdout.close()

    def wait(self, word: str, times: int, since: int, complaint: str) -> None:
        """Wait until every thread has said a word so often."""
        until = time.monotonic() + DEADLINE
        while True:
            said = [line[1] for line in self.lines[since:] if line[0] == word]
            if all(said.count(str(number)) >= times for number in range(THREADS)):
                return
            assert self._child.poll() is None, 'the program has ended'
            assert time.monotonic() < until, f'{complaint}: {self.lines[since:]}'
            time.sleep(0.01)

    def end(self) -> dict[str, Any]:
        """Let it end, and say what it has put."""
        assert self._child.stdin is not None
        self._child.stdin.close()
        assert self._child.wait(DEADLINE) == 0
        self._reader.join()
        last: dict[str, Any] = json.loads(' '.join(self.lines.pop()))
        return last


class Proxy:
    """A cable on one host: what comes in goes on to the server, in both directions."""

    ways = ('late', 'never')

    def __init__(self, port: int) -> None:
        self._server = port
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        self._whole = threading.Event()
        self._whole.set()
        self._age = 0
        self._way = ''
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, way: str) -> None:
        """Let nothing through; what is under way arrives late, or never."""
        self._way = way
        self._whole.clear()

    def mend(self) -> None:
        if self._way == 'never':
            # As behind a firewall that has forgotten its connections.
            self._age += 1
        self._whole.set()

    def close(self) -> None:
        self._whole.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for end in self._sockets:
            end.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(('127.0.0.1', self._server))
                self._sockets += [near, far]
                for ends in ((near, far), (far, near)):
                    carry = (*ends, self._age)
                    threading.Thread(
                        target=self._carry, args=carry, daemon=True
                    ).start()

    def _carry(self, source: socket.socket, target: socket.socket, age: int) -> None:
        with contextlib.suppress(OSError):
            data = b'something'
            while data:
                data = source.recv(1 << 16)
                self._whole.wait()
                if age == self._age:
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)


class Cable:
    """A cable between two hosts, of 25 MB a second."""

    ways = ('at the program', 'at the server')

    def __init__(self, network: hosts.Network) -> None:
        self._network = network
        network.add('a', 'b')
        network.cable('a', '192.0.2.1/24', 'b', '192.0.2.2/24')
        network.slow_down('a', 'to-b')
        network.slow_down('b', 'to-a')
        self._end = ('a', 'to-b')

    def cut(self, way: str) -> None:
        """Cut it at one end. There calls are told at once; at the other, packets go nowhere."""
        self._end = ('a', 'to-b') if way == 'at the program' else ('b', 'to-a')
        self._set('down')

    def mend(self) -> None:
        self._set('up')

    def _set(self, state: str) -> None:
        host, link = self._end
        self._network.on(host, 'ip', 'link', 'set', link, state)


class Site:
    """A Redis server, and what is between it and the program."""

    def __init__(self, folder: Path, network: hosts.Network | None, place: str) -> None:
        self.place = place
        program = shutil.which('redis-server')
        assert program, 'redis-server is missing; scripts/install_redis.sh installs it'
        self.cable: Cable | Proxy
        self.prefix: list[str] = []
        there: list[str] = []
        host, port = '127.0.0.1', free_port()
        if network:
            self.cable, host = Cable(network), '192.0.2.2'
            self.prefix, there = network.prefix('a'), network.prefix('b')
        # By this, the server is reached whatever its network is.
        self.socket = str(folder / 'socket')
        options = {'bind': host, 'port': port, 'dir': folder, 'save': ''}
        options |= {'unixsocket': self.socket, 'protected-mode': 'no'}
        options |= {'logfile': folder / 'redis.log'}
        words = [str(word) for name in options for word in (f'--{name}', options[name])]
        self._server = subprocess.Popen([*there, program, *words])
        until = time.monotonic() + DEADLINE
        while not Path(self.socket).exists():
            assert self._server.poll() is None, 'redis-server does not start'
            assert time.monotonic() < until, 'redis-server does not start'
            time.sleep(0.02)
        if not network:
            self.cable = Proxy(port)
            port = self.cable.port
        self.url = f'redis://{host}:{port}'

    def close(self) -> None:
        if isinstance(self.cable, Proxy):
            self.cable.close()
        self._server.kill()
        self._server.wait()

    def check(self, said: dict[str, Any]) -> int:
        """What is there: all whose put returned, nothing that was evicted, nothing torn.

        Returns:
            How many objects there are whose put did not return.
        """
        import redis

        with (
            redis.Redis(unix_socket_path=self.socket) as server,
            Store('near', RedisConnector(self.socket, 0), cache_size=0) as store,
        ):
            for name, seed in said['kept'].items():
                assert store.get(RedisKey(name)) == content(seed), 'lost'
            for name in said['evicted']:
                assert store.get(RedisKey(name)) is None
            others = 0
            for found in server.scan_iter('proxystore:*'):
                name = found.decode().removeprefix('proxystore:')
                if '/' in name or name in said['kept']:
                    continue
                data = store.get(RedisKey(name))
                if data is None:
                    continue  # its eviction has come late
                others += 1
                assert data == content(int.from_bytes(data[:8], 'big')), 'torn'
            return others


@pytest.fixture(params=['hosts of their own', 'one host'])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    one = 'the test wants it so' if request.param == 'one host' else None
    reason = one or hosts.why_not()
    place = f'on the loopback interface, since {reason}' if reason else 'two hosts'
    print(f'hosts: {place}')
    network = None if reason else hosts.Network()
    site = None
    try:
        site = Site(tmp_path, network, place)
        yield site
    finally:
        if site:
            site.close()
        if network:
            network.close()


def test_a_cut_is_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    chance = random.Random()
    with Program(site.prefix, site.url + IMPATIENT) as program:
        program.wait('works', 1, 0, 'it does not begin')
        for number in range(ROUNDS):
            time.sleep(chance.uniform(0, 0.4))
            way = site.cable.ways[number % 2]
            since = len(program.lines)
            site.cable.cut(way)
            # The call that was under way, and one that was made later.
            program.wait('told', 2, since, f'a call does not end, cut: {way}')
            since = len(program.lines)
            site.cable.mend()
            program.wait('works', 1, since, f'it does not come back, cut: {way}')
        said = program.end()
    others = site.check(said)
    told = [line[2].strip() for line in program.lines if line[0] == 'told']
    counts = {name: told.count(name) for name in sorted(set(told))}
    with capsys.disabled():
        print(
            f'\ncut {ROUNDS} times, {site.place}: {len(said["kept"])} objects, 0 lost, '
            f'{others} of puts that failed | {said["calls"]} calls, '
            f'the longest {said["longest"]:.1f} s | {counts}'
        )
    assert not [line for line in program.lines if line[0] == 'wrong']
    assert said['longest'] < DEADLINE
    assert set(told) <= {'ConnectorUnreachableError', 'ConnectorTimeoutError'}


def test_a_short_cut_is_not_told(site: Site) -> None:
    pause = 0.5
    with Program(site.prefix, site.url) as program:
        program.wait('works', 1, 0, 'it does not begin')
        for way in (site.cable.ways[0], 'at the server' if site.prefix else 'late'):
            time.sleep(0.3)
            site.cable.cut(way)
            time.sleep(pause)
            site.cable.mend()
        time.sleep(0.3)
        said = program.end()
    assert site.check(said) == 0
    assert said['longest'] > pause / 2, 'nothing was cut'
    words = [line[0] for line in program.lines]
    assert words == ['works'] * THREADS, program.lines
