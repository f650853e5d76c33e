"""The contract on Azure's own protocol, as Azurite speaks it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from proxystore.connectors.object_store import ObjectStoreConnector
from proxystore.connectors.object_store import ObjectStoreKey
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorPermissionError
from proxystore.store import Store

from ..conftest import free_port
from . import contract
from .test_contract import CAPABILITIES

pytestmark = pytest.mark.integration

ROOT = Path(__file__).resolve().parents[2]
ACCOUNT = 'devstoreaccount1'
# Azurite's well-known key: every copy of it has the same.
KEY = 'Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=='


def make_container(port: int, name: str) -> int:
    """Makes a container, in a request signed as Azure wants it."""
    date = formatdate(usegmt=True)
    path = f'/{ACCOUNT}/{name}'
    headers = f'x-ms-date:{date}\nx-ms-version:2021-12-02\n'
    signed = f'PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}/{ACCOUNT}{path}\nrestype:container'
    digest = hmac.digest(base64.b64decode(KEY), signed.encode(), hashlib.sha256)
    connection = HTTPConnection('127.0.0.1', port, timeout=30)
    connection.request(
        'PUT',
        f'{path}?restype=container',
        headers={
            'x-ms-date': date,
            'x-ms-version': '2021-12-02',
            'Content-Length': '0',
            'Authorization': f'SharedKey {ACCOUNT}:{base64.b64encode(digest).decode()}',
        },
    )
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.fixture(scope='module')
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an Azurite with a container `container`."""
    program = ROOT / '.build/azurite/node_modules/.bin/azurite-blob'
    if not program.exists() or shutil.which('node') is None:
        pytest.fail('Azurite is missing; scripts/install_azurite.sh installs it')
    folder = tmp_path_factory.mktemp('azurite')
    port = free_port()
    command = [str(program), '--blobPort', str(port)]
    command += ['--inMemoryPersistence', '--disableTelemetry', '--skipApiVersionCheck']
    server = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while True:
        try:
            assert make_container(port, 'container') == 201
            break
        except ConnectionError:
            assert server.poll() is None, 'Azurite ended'
            assert time.monotonic() < until
            time.sleep(0.1)
    yield f'http://127.0.0.1:{port}/{ACCOUNT}'
    server.terminate()
    server.wait(20)


def connect(endpoint: str, namespace: str, **options: str) -> ObjectStoreConnector:
    given = {'username': ACCOUNT, 'password': KEY, **options}
    return ObjectStoreConnector(
        'az://container/prefix', endpoint=endpoint, namespace=namespace, **given
    )


@pytest.mark.timeout(600)
def test_contract(azure: str, capsys: pytest.CaptureFixture[str]) -> None:
    capabilities = CAPABILITIES['object store']
    names = contract.trials(capabilities)
    failed = {}
    for trial in names:
        connector = connect(azure, uuid.uuid4().hex)
        complaint = contract.run_trial(trial, connector, ObjectStoreKey, capabilities)
        if complaint:
            failed[trial] = complaint
        connector.close(clear=True)
    with capsys.disabled():
        passed = len(names) - len(failed)
        print(f'\ncontract, Azure: {passed} of {len(names)} trials')
    assert not failed, failed


def test_large_objects_leases_and_clearing(azure: str) -> None:
    connector = connect(azure, 'store')
    array = np.arange(5_000_000, dtype='f8')  # 40 MB
    with Store('azure', connector) as store:
        key = store.put(array)
        np.testing.assert_array_equal(store.get(key), array)
        store.evict(key)
        assert store.get(key) is None
        keys = store.put_batch(list(range(300)))  # more than one request removes
        with Store('azure-process', connect(azure, 'store'), lifetime='process') as own:
            temporary = own.put('temporary')
            assert store.get(temporary) == 'temporary'
        assert not store.connector.exists(temporary)  # not what the store has cached
        store.connector.close(clear=True)
    again = connect(azure, 'store')
    assert not any(again.exists(key) for key in keys[:5])


def test_what_is_wrong_is_named(azure: str) -> None:
    wrong = base64.b64encode(b'another key of the account').decode()
    with pytest.raises(ConnectorPermissionError, match='refuses'):
        connect(azure, 'x', password=wrong)
    with pytest.raises(ConnectorConfigError, match='no such bucket'):
        ObjectStoreConnector(
            'az://nothing', endpoint=azure, username=ACCOUNT, password=KEY
        )
