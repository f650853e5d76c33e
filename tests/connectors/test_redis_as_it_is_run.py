"""Redis as it is run: users, TLS, Sentinel, sockets; and secrets that stay where they are."""

from __future__ import annotations

import os
import pickle
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorPermissionError
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import InlineSecretError
from proxystore.store import Store

from ..conftest import OwnRedis

SECRET = 'hunter2/and:more@all'


def round_trip(connector: RedisConnector) -> None:
    for data in (b'small', bytes(3_000_000)):
        key = connector.put(data)
        assert connector.get(key) == data
        connector.evict(key)
    assert connector.get(key) is None


@pytest.fixture(scope='module')
def protected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnRedis]:
    """A server with a user, whose password is a secret, and a socket."""
    folder = tmp_path_factory.mktemp('protected')
    users = folder / 'users'
    users.write_text(f'user default off\nuser me on >{SECRET} ~* &* +@all\n')
    options = {'aclfile': str(users), 'unixsocket': str(folder / 'socket')}
    with OwnRedis(folder, **options) as server:
        yield server


def test_user_password_and_database(protected: OwnRedis) -> None:
    connector = RedisConnector(
        protected.host, protected.port, username='me', password=SECRET, db=3
    )
    round_trip(connector)
    assert f'{protected.port}/3' in repr(connector)
    for wrong in (None, 'wrong'):
        with pytest.raises(ConnectorPermissionError) as raised:
            RedisConnector(protected.host, protected.port, password=wrong, db=3)
        assert SECRET not in str(raised.value)


def test_a_socket_with_a_password(protected: OwnRedis) -> None:
    path = str(protected.folder / 'socket')
    round_trip(RedisConnector(path, 0, username='me', password=SECRET))


WORKER = """
import pickle, sys
p = pickle.loads(bytes.fromhex(sys.argv[1]))
print(p)
"""


def resolve_elsewhere(data: bytes, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, '-c', WORKER, data.hex()],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.strip() or ended.stderr


def test_secrets_stay_here(protected: OwnRedis) -> None:
    connector = RedisConnector(
        protected.host, protected.port, username='me', password=SECRET
    )
    with Store('secret', connector, register=True) as store:
        p = store.proxy('hello', populate_target=False)
        assert p == 'hello'
        with pytest.raises(InlineSecretError, match='REDIS_PASSWORD') as raised:
            pickle.dumps(store.proxy('x'))
        assert 'redis+profile://' in str(raised.value)
        shown = [repr(connector), str(connector), repr(store), str(raised.value)]
        shown += [repr(store.config()), repr(connector.config())]
        assert not any('hunter2' in text for text in shown), shown


def test_a_variable_travels_in_place_of_the_secret(
    protected: OwnRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('OUR_PASSWORD', SECRET)
    place = f'{protected.host}:{protected.port}'
    url = f'redis://me:${{OUR_PASSWORD}}@{place}/1?timeout=20'
    with Store.from_url(url, name='referring', register=True) as store:
        data = pickle.dumps(store.proxy('by variable'))
        assert b'hunter2' not in data
        assert b'${OUR_PASSWORD}' in data
        assert resolve_elsewhere(data) == 'by variable'
        monkeypatch.delenv('OUR_PASSWORD')
        complaint = resolve_elsewhere(data)
        assert 'OUR_PASSWORD' in complaint
        monkeypatch.setenv('OUR_PASSWORD', SECRET)


def test_a_profile_travels_as_its_name(
    protected: OwnRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('PROXYSTORE_HOME', str(tmp_path))
    profiles = tmp_path / 'profiles'
    password = 'hunter2%2Fand%3Amore%40all'
    url = f'redis://me:{password}@{protected.host}:{protected.port}'
    profiles.write_text(f'# ours\ncache = {url}\n')
    profiles.chmod(0o644)
    with pytest.raises(ConnectorPermissionError, match='chmod 600'):
        Store.from_url('redis+profile://cache')
    profiles.chmod(0o600)
    with pytest.raises(ConnectorConfigError, match='it has: cache'):
        Store.from_url('redis+profile://cash')
    with Store.from_url('redis+profile://cache', name='named', register=True) as store:
        data = pickle.dumps(store.proxy('by profile'))
        assert b'hunter2' not in data
        assert b'redis+profile://cache' in data
        assert resolve_elsewhere(data) == 'by profile'


def test_a_secret_travels_if_the_user_says_so(protected: OwnRedis) -> None:
    connector = RedisConnector(
        protected.host,
        protected.port,
        username='me',
        password=SECRET,
        allow_secret=True,
    )
    with Store('telling', connector, register=True) as store:
        assert 'hunter2' not in repr(store)
        data = pickle.dumps(store.proxy('told'))
        assert resolve_elsewhere(data) == 'told'


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return int(probe.getsockname()[1])


def test_tls_with_own_authority_and_client_certificate(
    certificates: Path, tmp_path: Path
) -> None:
    port = free_port()
    options = {
        'tls-port': str(port),
        'tls-ca-cert-file': str(certificates / 'ca.crt'),
        'tls-cert-file': str(certificates / 'server.crt'),
        'tls-key-file': str(certificates / 'server.key'),
        'tls-auth-clients': 'yes',
    }
    good: dict[str, Any] = {
        'tls': True,
        'ca_file': str(certificates / 'ca.crt'),
        'certificate': str(certificates / 'client.crt'),
        'private_key': str(certificates / 'client.key'),
        'server_name': 'cache.test',
    }
    with OwnRedis(tmp_path, **options):
        connector = RedisConnector('127.0.0.1', port, **good)
        round_trip(connector)
        with Store('tls', connector, register=True) as store:
            future = store.future(polling_interval=1000)
            data = pickle.dumps(future.proxy())
            future.set_result('over TLS')
            assert resolve_elsewhere(data) == 'over TLS'
        bad = [
            {**good, 'server_name': None},
            {**good, 'ca_file': None},
            {**good, 'certificate': None, 'private_key': None},
        ]
        for options in bad:
            with pytest.raises(ConnectorUnreachableError, match='rediss://'):
                RedisConnector('127.0.0.1', port, **options)
        with pytest.raises(ConnectorConfigError):
            RedisConnector('127.0.0.1', port, **{**good, 'ca_file': '/nowhere'})


def test_sentinels_say_who_is_the_master(tmp_path: Path) -> None:
    with OwnRedis(tmp_path / 'one') as one, OwnRedis(tmp_path / 'two') as two:
        replica = {'replicaof': f'127.0.0.1 {one.port}'}
        with OwnRedis(tmp_path / 'replica', **replica) as second:
            port = free_port()
            file = tmp_path / 'sentinel.conf'
            file.write_text(
                f'port {port}\nbind 127.0.0.1\ndir {tmp_path}\n'
                f'logfile {tmp_path}/sentinel.log\n'
                f'sentinel monitor ours 127.0.0.1 {one.port} 1\n'
                'sentinel down-after-milliseconds ours 500\n'
                'sentinel failover-timeout ours 3000\n'
            )
            sentinel = subprocess.Popen(['redis-server', str(file), '--sentinel'])
            try:
                nobody = free_port()
                url = (
                    f'redis+sentinel://127.0.0.1:{nobody},127.0.0.1:{port}'
                    '/ours/0?retries=8'
                )
                until = time.monotonic() + 30
                while True:
                    try:
                        connector = RedisConnector.from_url(url)
                        break
                    except ConnectorUnreachableError:
                        assert time.monotonic() < until
                        time.sleep(0.1)
                round_trip(connector)
                with pytest.raises(ConnectorUnreachableError, match='no service'):
                    RedisConnector.from_url(url.replace('/ours/', '/theirs/'))
                # The sentinel must know the replica before the master dies.
                import redis

                with redis.Redis(port=port) as asked:
                    while not asked.sentinel_slaves('ours'):
                        assert time.monotonic() < until
                        time.sleep(0.1)
                one.kill()
                until = time.monotonic() + 40
                while True:
                    try:
                        round_trip(connector)
                        break
                    except (ConnectorUnreachableError, ConnectorPermissionError):
                        assert time.monotonic() < until
                        time.sleep(0.2)
                with redis.Redis(port=second.port) as promoted:
                    assert promoted.role()[0] == b'master'
            finally:
                sentinel.kill()
                sentinel.wait()
        assert two.port


def test_what_is_wrong_is_named() -> None:
    for url, wrong in (
        ('redis+sentinel://127.0.0.1', 'service'),
        ('redis://127.0.0.1/0?ca_file=x', 'ca_file'),
        ('rediss://127.0.0.1/x', 'database'),
    ):
        with pytest.raises(ConnectorConfigError, match=wrong):
            Store.from_url(url)
