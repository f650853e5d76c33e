"""Object stores from Python: URLs, keywords, proxies, credentials that stay where they are."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from proxystore.connectors.object_store import ObjectStoreConnector
from proxystore.connectors.object_store import ObjectStoreKey
from proxystore.exceptions import ConnectorClosedError
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorPermissionError
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import InlineSecretError
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.config import ConnectorConfig

SECRET = 'hunter2/and:more@all'


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AWS_ACCESS_KEY_ID', 'of the environment')
    monkeypatch.setenv('AWS_SECRET_ACCESS_KEY', SECRET)


def resolve_elsewhere(data: bytes, **environment: str) -> str:
    """What a fresh process prints of a pickled proxy."""
    code = 'import pickle, sys; print(pickle.loads(bytes.fromhex(sys.argv[1])))'
    ended = subprocess.run(
        [sys.executable, '-c', code, data.hex()],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.stdout.strip() or ended.stderr


def test_a_store_by_url(s3_server: str) -> None:
    url = f's3://bucket/by-url?endpoint={s3_server}&clear=true'
    array = np.arange(3_000_000, dtype='f8')  # 24 MB: in parts, and in ranges
    with Store.from_url(url, name='by-url', register=True) as store:
        assert repr(store.connector).startswith('ObjectStoreConnector(s3://bucket/by-')
        p = store.proxy(array, populate_target=False)
        data = pickle.dumps(p)
        assert len(data) < 300
        assert b'hunter2' not in data
        np.testing.assert_array_equal(p, array)
        p[0] = 7
        assert p.ctypes.data % 64 == 0
        key = store.put('small')
        assert isinstance(key, ObjectStoreKey)
        assert store.exists(key)
        assert store.get(key) == 'small'
        assert resolve_elsewhere(pickle.dumps(store.proxy('elsewhere'))) == 'elsewhere'
        keys = store.put_batch([1, 'two', [3]])
        assert [store.get(each) for each in keys] == [1, 'two', [3]]
        store.evict(key)
        assert store.get(key) is None
    assert get_store('by-url') is None
    # A URL that says `clear` owns the objects; who opens it elsewhere does not.
    with Store.from_url(f's3://bucket/by-url?endpoint={s3_server}') as store:
        assert not any(store.exists(each) for each in keys)


def test_keywords_and_configuration(s3_server: str) -> None:
    connector = ObjectStoreConnector(
        's3://bucket/keywords',
        endpoint=s3_server,
        region='eu-west-1',
        namespace='team',
        timeout=7,
        leases=False,
    )
    key = connector.put(b'x')
    anonymous = ObjectStoreConnector(
        's3://bucket/keywords', endpoint=s3_server, namespace='team', anonymous=True
    )
    with pytest.raises(ConnectorPermissionError, match='refuses access'):
        anonymous.get(key)
    config = connector.config()
    assert set(config) == {'url', 'clear'}
    again = ObjectStoreConnector.from_config(config)
    assert again.get(key) == b'x'
    by_kind = ConnectorConfig(kind='objects', options=config).get_connector()
    assert by_kind.exists(key)
    connector.close(clear=True)
    assert not again.exists(key)
    with pytest.raises(ConnectorClosedError):
        connector.get(key)


def test_what_is_wrong_is_named(s3_server: str) -> None:
    for url, words in (
        ('s3://bucket?endpiont=x', 'endpoint'),
        ('s3://', 'bucket'),
        (f's3://bukcet?endpoint={s3_server}', 'no such bucket'),
        ('s4://bucket', 's3://'),
        ('gs://bucket?region=x', 'region'),
    ):
        with pytest.raises(ConnectorConfigError, match=words):
            Store.from_url(url)
    with pytest.raises(ConnectorConfigError, match='did you mean|Did you mean'):
        options = {'url': 's3://bucket', 'regoin': 'x'}
        ConnectorConfig(kind='objects', options=options).get_connector()
    with pytest.raises(ConnectorUnreachableError, match='127.0.0.1:1'):
        ObjectStoreConnector('s3://bucket', endpoint='http://127.0.0.1:1', retries=0)


def test_secrets_stay_here(s3_server: str) -> None:
    connector = ObjectStoreConnector(
        's3://bucket/secrets', endpoint=s3_server, username='me', password=SECRET
    )
    with Store('secret', connector, register=True) as store:
        p = store.proxy('hello', populate_target=False)
        assert p == 'hello'
        with pytest.raises(InlineSecretError, match='MY_SECRET_KEY') as raised:
            pickle.dumps(store.proxy('x'))
        assert 's3+profile://' in str(raised.value)
        shown = [repr(connector), str(connector), repr(store), str(raised.value)]
        shown += [repr(store.config()), repr(connector.config())]
        assert not any('hunter2' in text for text in shown), shown


def test_a_reference_travels_in_place_of_the_secret(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('OUR_SECRET', SECRET)
    options = {'endpoint': s3_server, 'username': 'me', 'namespace': 'references'}
    by_variable = ObjectStoreConnector(
        's3://bucket', password='${OUR_SECRET}', **options
    )
    with Store('referring', by_variable, register=True) as store:
        data = pickle.dumps(store.proxy('by variable'))
        assert b'hunter2' not in data
        assert resolve_elsewhere(data) == 'by variable'
        monkeypatch.delenv('OUR_SECRET')
        assert 'OUR_SECRET' in resolve_elsewhere(data)
    monkeypatch.setenv('PROXYSTORE_HOME', str(tmp_path))
    profiles = tmp_path / 'profiles'
    profiles.write_text(f'lab = s3://me:hunter2@bucket?endpoint={s3_server}\n')
    profiles.chmod(0o600)
    with Store.from_url('s3+profile://lab', name='named', register=True) as store:
        data = pickle.dumps(store.proxy('by profile'))
        assert b'hunter2' not in data
        assert resolve_elsewhere(data) == 'by profile'
    told = ObjectStoreConnector(
        's3://bucket', password=SECRET, allow_secret=True, **options
    )
    with Store('telling', told, register=True) as store:
        assert 'hunter2' not in repr(store)
        assert resolve_elsewhere(pickle.dumps(store.proxy('told'))) == 'told'


def test_keys_of_an_aws_profile(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('AWS_ACCESS_KEY_ID')
    monkeypatch.delenv('AWS_SECRET_ACCESS_KEY')
    file = tmp_path / 'credentials'
    file.write_text('[lab]\naws_access_key_id=A\naws_secret_access_key=S\n')
    monkeypatch.setenv('AWS_SHARED_CREDENTIALS_FILE', str(file))
    connector = ObjectStoreConnector(
        's3://bucket/profile', endpoint=s3_server, aws_profile='lab'
    )
    key = connector.put(b'x')
    assert connector.get(key) == b'x'
    connector.close(clear=True)
    with pytest.raises(ConnectorConfigError, match='lba'):
        ObjectStoreConnector('s3://bucket', endpoint=s3_server, aws_profile='lba')


def test_a_lease_ends_with_its_process(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('PROXYSTORE_PROCESS_LEASE', '1.5')
    url = f's3://bucket/process?endpoint={s3_server}'
    code = f"""
import os, sys
from proxystore.store import Store
store = Store.from_url({url!r}, name='bound', lifetime='process')
print(store.put('temporary').object_key, flush=True)
sys.stdin.read()
"""
    child = subprocess.Popen(
        [sys.executable, '-c', code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    key = ObjectStoreKey(child.stdout.readline().strip())
    with Store.from_url(url, name='watching') as store:
        time.sleep(3)  # two leases: it is renewed
        assert store.exists(key)
        child.kill()
        child.wait()
        child.stdout.close()
        assert child.stdin is not None
        child.stdin.close()
        until = time.monotonic() + 30
        while store.exists(key):
            assert time.monotonic() < until
            time.sleep(0.1)
        store.connector.close(clear=True)


def test_ctrl_c_ends_a_call() -> None:
    """A service that accepts and never answers."""
    import socket

    with socket.create_server(('127.0.0.1', 0)) as silent:
        code = f"""
from proxystore.connectors.object_store import ObjectStoreConnector
print('ready', flush=True)
ObjectStoreConnector('s3://bucket', endpoint='http://127.0.0.1:{silent.getsockname()[1]}')
"""
        child = subprocess.Popen(
            [sys.executable, '-c', code],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        assert child.stdout.readline() == 'ready\n'
        connection, _ = silent.accept()  # it is waiting by now
        child.send_signal(signal.SIGINT)
        _, complaint = child.communicate(timeout=20)
        connection.close()
    assert 'KeyboardInterrupt' in complaint
