"""Objects by the client for Google Cloud Storage, against a server of its XML requests.

No server that speaks all of Google's protocol can be had here. This tries our use of the client and
those of its requests that are S3's as well: not the removal of many at once, and not the service.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from proxystore.connectors.object_store import ObjectStoreConnector
from proxystore.store import Store

from ..conftest import free_port

pytestmark = pytest.mark.integration


@pytest.fixture(scope='module')
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A file that says where such a server is, with a bucket `bucket`, and asks for no token."""
    folder = tmp_path_factory.mktemp('google')
    port = free_port()
    program = Path(__file__).with_name('google_server.py')
    with (folder / 'log').open('w') as log:
        server = subprocess.Popen(
            [sys.executable, str(program), str(port)], stdout=log, stderr=log
        )
    until = time.monotonic() + 60
    while True:
        connection = HTTPConnection('127.0.0.1', port, timeout=30)
        try:
            connection.request('PUT', '/bucket')
            assert connection.getresponse().status == 200
            break
        except ConnectionError:
            assert server.poll() is None, (folder / 'log').read_text()
            assert time.monotonic() < until
            time.sleep(0.1)
        finally:
            connection.close()
    account = {
        'gcs_base_url': f'http://127.0.0.1:{port}',
        'disable_oauth': True,
        'client_email': '',
        'private_key': '',
        'private_key_id': '',
    }
    (folder / 'account.json').write_text(json.dumps(account))
    yield str(folder / 'account.json')
    server.terminate()
    server.wait(20)


def connect(account: str, namespace: str) -> ObjectStoreConnector:
    where = json.loads(Path(account).read_text())['gcs_base_url']
    return ObjectStoreConnector(
        'gs://bucket/prefix',
        endpoint=where,
        namespace=namespace,
        service_account=account,
    )


def test_objects_small_and_in_parts(google: str) -> None:
    where = json.loads(Path(google).read_text())['gcs_base_url']
    connector = ObjectStoreConnector(
        'gs://bucket/prefix', endpoint=where, service_account=google
    )
    array = np.arange(5_000_000, dtype='f8')  # 40 MB, in parts and ranges
    with Store('google', connector, cache_size=0) as store:
        keys = [store.put(obj) for obj in ('small', array)]
        assert store.get(keys[0]) == 'small'
        np.testing.assert_array_equal(store.get(keys[1]), array)
        future = store.future()
        assert not store.exists(future._factory.key)
        future.set_result('later')
        assert future.result() == 'later'
        for key in (*keys, future._factory.key):
            store.evict(key)
            assert not store.exists(key)
            assert store.get(key) is None
