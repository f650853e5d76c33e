"""Objects at an endpoint, as Python programs put and fetch them."""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.connectors.endpoint import EndpointConnectorError
from proxystore.connectors.endpoint import EndpointKey
from proxystore.endpoint import client
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import ObjectTooLargeError
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store.config import ConnectorConfig

from ..connectors import contract
from .conftest import Site

CAPABILITIES = {'deferred_set', 'batch', 'cross_process', 'cross_host'}


@pytest.mark.timeout(300)
def test_contract(site: Site) -> None:
    site.start('left')
    failed = {}
    names = contract.trials(CAPABILITIES)
    assert len(names) >= 15, names
    for trial in names:
        connector = EndpointConnector(['left'])
        complaint = contract.run_trial(
            trial, connector, lambda text: EndpointKey(text, None), CAPABILITIES
        )
        if complaint:
            failed[trial] = complaint
        connector.close(clear=True)
    assert not failed, failed


def test_keys_and_configuration(site: Site) -> None:
    site.start('left')
    with EndpointConnector(['left']) as connector:
        key = connector.put(b'hello')
        assert isinstance(key, EndpointKey)
        assert key.endpoint_id == connector.endpoint_uuid
        assert uuid.UUID(key.endpoint_id).version == 8
        assert connector.endpoint_port > 0
        assert connector.config() == {'endpoints': ['left'], 'proxystore_dir': None}
        other = EndpointConnector.from_config(connector.config())
        assert other.get(key) == b'hello'
        assert other.get_batch([key, EndpointKey('no', None)]) == [b'hello', None]
        by_uuid = EndpointConnector([uuid.UUID(connector.endpoint_uuid)])
        assert by_uuid.exists(key)
        by_uuid.evict(key)
        assert not other.exists(key)
        config = ConnectorConfig(kind='endpoint', options=connector.config())
        assert isinstance(config.get_connector(), EndpointConnector)


@pytest.mark.parametrize('shape', [(10,), (1000, 2000)])
def test_store(site: Site, shape: tuple[int, ...]) -> None:
    site.start('left')
    array = np.random.default_rng(1).random(shape)
    with Store.from_url('endpoint://left', name='endpoint-store') as store:
        key = store.put(array)
        assert isinstance(key, EndpointKey)
        found = store.get(key)
        assert np.array_equal(found, array)
        found[...] = 0  # its own
        store.cache.evict(key)
        assert np.array_equal(store.get(key), array)
        proxy: Any = store.proxy(array)
        text = pickle.dumps(proxy)
        code = (
            'import pickle, sys\n'
            'proxy = pickle.load(sys.stdin.buffer)\n'
            'print(float(proxy.sum()))'
        )
        output = subprocess.run(
            [sys.executable, '-c', code], input=text, stdout=subprocess.PIPE, check=True
        ).stdout
        assert float(output) == pytest.approx(float(array.sum()))
        assert type(proxy) is Proxy


def resolve(connection: Any, key: EndpointKey, connector: EndpointConnector) -> None:
    connection.send(connector.get(key))


def test_after_a_fork(site: Site) -> None:
    site.start('left')
    connector = EndpointConnector(['left'])
    key = connector.put(b'x' * 3_000_000)
    context = multiprocessing.get_context('fork')
    ours, theirs = context.Pipe()
    child = context.Process(target=resolve, args=(theirs, key, connector))
    child.start()
    assert ours.recv() == connector.get(key) == b'x' * 3_000_000
    child.join()
    assert child.exitcode == 0


def test_another_site(site: Site) -> None:
    for name in ('left', 'right'):
        site.start(name)
    lines = {line.split()[0]: line.split() for line in site.say('list').splitlines()}
    status = site.say('status', 'left')
    at = next(word for word in status.split() if word.startswith('127.0.0.1:'))
    site.say('peer', 'add', 'left', lines['right'][-1])
    site.say('peer', 'add', 'right', lines['left'][-1], '--address', at.strip(','))
    left, right = EndpointConnector(['left']), EndpointConnector(['right'])
    key = left.put(b'far away' * 500_000)
    assert right.get(key) == b'far away' * 500_000
    right.evict(key)
    assert not left.exists(key)
    unknown = EndpointKey('x', str(uuid.uuid4()))
    with pytest.raises(Exception, match='peer'):
        right.get(unknown)


def test_what_goes_wrong_is_said(site: Site, tmp_path: Path) -> None:
    with pytest.raises(EndpointConnectorError, match='configure'):
        EndpointConnector(['left'])
    site.start('left', '--max-object-size', '1000')
    connector = EndpointConnector(['left'])
    with pytest.raises(ObjectTooLargeError, match='max_object_size'):
        connector.put(b'x' * 1001)
    site.kill('left')
    with pytest.raises(ConnectorUnreachableError, match='proxystore-endpoint'):
        connector.put(b'x')
    with pytest.raises(EndpointConnectorError, match='start left --detach'):
        EndpointConnector(['left'])
    with pytest.raises(TypeError, match='list'):
        EndpointConnector('left')
    site.restart('left')
    assert connector.exists(connector.put(b'x')), 'the connector finds the new daemon'


def test_functions_of_the_older_client(site: Site) -> None:
    site.start('older')
    client.put('older', 'key', b'hello')
    assert client.exists('older', 'key')
    assert client.get('older', 'key') == b'hello'
    client.evict('older', 'key')
    assert client.get('older', 'key') is None
