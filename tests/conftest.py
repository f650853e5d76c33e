"""What tests of every folder use: a real Redis server, and a folder for stores."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest


class RedisAddress(NamedTuple):
    """Where the session's Redis server listens."""

    host: str
    port: int


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def _answers(address: RedisAddress) -> bool:
    try:
        with socket.create_connection(address, timeout=1) as connection:
            connection.sendall(b'PING\r\n')
            return connection.recv(7) in (b'+PONG\r\n', b'-NOAUTH')
    except OSError:
        return False


class OwnRedis:
    """A server of one test's own, which may be killed and started again.

    Args:
        folder: Where it keeps its log, and its data with `appendonly`.
        port: Where it listens, if not on any free port.
        options: Of `redis-server`, by name without the dashes.
    """

    def __init__(self, folder: Path, port: int | None = None, **options: str) -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.options = options
        self._server, address = _start_redis(folder, options, port)
        self.host, self.port = address

    def __enter__(self) -> OwnRedis:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        self._server.kill()
        self._server.wait()

    def restart(self) -> None:
        """Kill it and start it again, on the same port."""
        self.kill()
        self._server, _ = _start_redis(self.folder, self.options, self.port)


def _start_redis(
    folder: Path, own: dict[str, str] | None = None, port: int | None = None
) -> tuple[subprocess.Popen[bytes], RedisAddress]:
    program = shutil.which('redis-server')
    if program is None:
        pytest.fail(
            'redis-server is missing; scripts/install_redis.sh installs it',
            pytrace=False,
        )
    log = folder / 'redis.log'
    for _ in range(5):  # another program may take the free port before Redis does
        address = RedisAddress('127.0.0.1', port or free_port())
        options = {'bind': address.host, 'port': address.port, 'dir': folder}
        options |= {'save': '', 'appendonly': 'no', 'logfile': log, **(own or {})}
        server = subprocess.Popen(
            [
                program,
                *(
                    part
                    for key, value in options.items()
                    for part in (f'--{key}', str(value))
                ),
            ]
        )
        deadline = time.monotonic() + 10
        while server.poll() is None and time.monotonic() < deadline:
            if _answers(address):
                return server, address
            time.sleep(0.02)
        _stop(server)
    pytest.fail(f'redis-server does not start:\n{log.read_text()}', pytrace=False)


def _stop(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@pytest.fixture(scope='session')
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisAddress]:
    """The address of a real Redis server, started for this session on a loopback port."""
    server, address = _start_redis(tmp_path_factory.mktemp('redis'))
    yield address
    _stop(server)


@pytest.fixture(scope='session')
def s3_server() -> Iterator[str]:
    """The address of moto's S3 server on a loopback port, with a bucket `bucket`."""
    from http.client import HTTPConnection

    port = free_port()
    command = [sys.executable, '-m', 'moto.server', '-H', '127.0.0.1', '-p', str(port)]
    server = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while True:
        connection = HTTPConnection('127.0.0.1', port, timeout=30)
        try:
            connection.request('PUT', '/bucket')
            assert connection.getresponse().status == 200
            break
        except ConnectionError:
            if server.poll() is not None or time.monotonic() > deadline:
                pytest.fail('the S3 server does not start: python -m moto.server')
            time.sleep(0.05)
        finally:
            connection.close()
    yield f'http://127.0.0.1:{port}'
    _stop(server)


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(('127.0.0.1', port), timeout=1) as connection:
            return connection.recv(4) == b'INFO'
    except OSError:
        return False


@pytest.fixture(scope='session')
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real NATS server with JetStream, on a loopback port."""
    program = shutil.which('nats-server')
    if program is None:
        pytest.fail(
            'nats-server is missing; scripts/install_nats.sh installs it',
            pytrace=False,
        )
    folder = tmp_path_factory.mktemp('nats')
    for _ in range(5):  # another program may take the free port before it does
        port = free_port()
        options = ['-js', '-sd', str(folder), '-a', '127.0.0.1', '-p', str(port)]
        server = subprocess.Popen([program, *options, '-l', str(folder / 'log')])
        deadline = time.monotonic() + 10
        while server.poll() is None and time.monotonic() < deadline:
            if _greets(port):
                yield f'nats://127.0.0.1:{port}'
                _stop(server)
                return
            time.sleep(0.02)
        _stop(server)
    log = (folder / 'log').read_text()
    pytest.fail(f'nats-server does not start:\n{log}', pytrace=False)


@pytest.fixture
def store_dir(tmp_path: Path) -> Path:
    """A folder of its own for a store's files; it is not made yet."""
    return tmp_path / 'store'
