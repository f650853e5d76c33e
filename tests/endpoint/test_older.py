"""A folder that ProxyStore 1.1 has written, and what programs of 1.1 expect.

`older_home` is what its `proxystore-endpoint` left behind: `configure plain` with
everything at its default, `configure local --no-relay-server --persist --port 18765
--peer-channels 2`, and a start, a put and a stop of the latter. Only the user's home
has another name.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from pathlib import Path

import pytest
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.connectors.endpoint import EndpointConnectorError
from proxystore.connectors.endpoint import EndpointKey
from proxystore.endpoint import exceptions
from proxystore.endpoint.commands import EndpointStatus
from proxystore.endpoint.commands import get_status
from proxystore.endpoint.config import get_configs
from proxystore.exceptions import ConnectorError
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import ObjectTooLargeError
from proxystore.store import Store

from .conftest import Site

OLDER = Path(__file__).parent / 'older_home'
UUIDS = {
    'plain': '6f4c2887-184b-472d-935e-5915851134f2',
    'local': 'f03c36df-c771-4f7b-808f-f07bb39a5534',
}


@pytest.fixture
def older(site: Site) -> Site:
    shutil.copytree(OLDER, site.home, dirs_exist_ok=True)
    config = site.home / 'local' / 'config.toml'
    text = config.read_text()
    assert '/home/me/.local/share/proxystore' in text
    text = text.replace('/home/me/.local/share/proxystore', str(site.home))
    # The tests' ports are free ones.
    config.write_text(text.replace('port = 18765', 'port = 0'))
    plain = site.home / 'plain' / 'config.toml'
    plain.write_text(plain.read_text().replace('port = 14462', 'port = 0'))
    return site


def test_a_folder_of_1_1_is_read_as_it_is(older: Site) -> None:
    home = str(older.home)
    assert {config.name: config.uuid for config in get_configs(home)} == UUIDS
    listed = {line.split()[0]: line.split() for line in older.say('list').splitlines()}
    assert listed['plain'][1:3] == ['STOPPED', UUIDS['plain']]
    before = (older.home / 'local' / 'blobs.db').read_bytes()
    assert before.startswith(b'SQLite format 3')
    for name in ('plain', 'local'):
        older.restart(name)
        assert get_status(name, home) is EndpointStatus.RUNNING
        # By its name and by the UUID that it had.
        for word in (name, UUIDS[name]):
            connector = EndpointConnector([word])
            assert connector.endpoint_uuid == UUIDS[name]
            key = connector.put(b'hello')
            assert key.endpoint_id == UUIDS[name]
            assert connector.get(key) == b'hello'
    # The database of 1.1 is left alone, and objects persist in ours.
    assert 'blobs.redb' in older.said('local')
    older.kill('local')
    older.restart('local')
    assert EndpointConnector(['local']).get(key) == b'hello'
    assert (older.home / 'local' / 'blobs.db').read_bytes() == before
    # Nobody asks the public relay of 1.1.
    assert 'does not serve this endpoint' in older.said('plain')
    assert 'relay ' not in older.say('status', 'plain')


def test_uuids_of_1_1_stand_for_keys(older: Site) -> None:
    for name in ('plain', 'local'):
        older.restart(name)
    key = EndpointConnector(['local']).put(b'far away')
    added = older.say('peer', 'add', 'local', older.key('plain'))
    # What the owner of the other endpoint is to type, which makes the UUID known there.
    assert added.strip().endswith(f'{older.key("local")} --uuid {UUIDS["local"]}')
    words = added.strip().partition('proxystore-endpoint ')[2].split()
    words[words.index('<endpoint>')] = 'plain'
    older.say(
        *words, '--address', older.field('local', 'tcp').replace('0.0.0.0', '127.0.0.1')
    )
    plain = EndpointConnector(['plain'])
    assert plain.get(key) == b'far away'
    assert plain.exists(EndpointKey(key.object_id, UUIDS['local']))


def test_options_of_1_1(site: Site) -> None:
    site.say(
        *('configure', 'left', '--host', 'ip', '--port', '0', '--no-relay-auth'),
        *('--no-relay-server', '--peer-channels', '4', '--no-persist'),
    )
    site.say('--log-level', 'debug', 'start', 'left', '--detach')
    line = site.say('test', 'left', 'put', 'hello')
    key = line.split()[-1]
    assert 'hello' in site.say('test', 'left', 'get', key)
    site.say('test', 'left', 'exists', key)
    site.say('test', 'left', 'evict', key)
    for words in (['list'], ['version'], ['help'], ['check-nat'], ['stop', 'left']):
        site.say(*words)
    site.say('remove', 'left')


def test_programs_of_1_1_catch_what_goes_wrong(site: Site) -> None:
    site.start('left', '--max-object-size', '1000')
    connector = EndpointConnector(['left'])
    with pytest.raises(EndpointConnectorError) as caught:
        connector.put(bytes(1001))
    assert isinstance(caught.value, ObjectTooLargeError)
    assert isinstance(caught.value, exceptions.ObjectSizeExceededError)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), str(again)) == (type(caught.value), str(caught.value))
    with Store('older-errors', connector) as store:
        with pytest.raises(EndpointConnectorError):
            store.put(bytes(1001))
        key = store.put(b'x')
        with pytest.raises(EndpointConnectorError) as unknown:
            connector.get(EndpointKey('x', UUIDS['plain']))
        assert isinstance(unknown.value, exceptions.EndpointConfigError)
        site.kill('left')
        store.cache.evict(key)
        with pytest.raises(EndpointConnectorError) as gone:
            store.get(key)
    assert isinstance(gone.value, ConnectorUnreachableError)
    assert isinstance(gone.value, ConnectionError)
    for name in exceptions.__all__:
        one = getattr(exceptions, name)
        if name.startswith('Endpoint'):
            assert issubclass(one, EndpointConnectorError), name
            assert issubclass(one, ConnectorError), name


def test_an_old_and_a_new_daemon_do_not_share_a_port(older: Site) -> None:
    """Whoever holds the port, the start says so instead of hanging."""
    older.restart('plain')
    run = (older.home / 'plain' / 'daemon.run').read_text()
    port = run.partition('address=')[2].split()[0].rpartition(':')[2]
    config = older.home / 'local' / 'config.toml'
    config.write_text(config.read_text().replace('port = 0', f'port = {port}'))
    taken = subprocess.run(
        [*older.program(), 'start', 'local'],
        env={**os.environ, 'PROXYSTORE_HOME': str(older.home)},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert taken.returncode == 1
    assert f'port {port}' in taken.stderr
