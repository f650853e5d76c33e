"""The contract suite over every connector as Python sees it, a user-written one included."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.file import FileKey
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.local import LocalKey
from proxystore.connectors.object_store import ObjectStoreConnector
from proxystore.connectors.object_store import ObjectStoreKey
from proxystore.connectors.redis import RedisConnector
from proxystore.connectors.redis import RedisKey
from proxystore.connectors.shared_memory import SharedMemoryConnector
from proxystore.connectors.shared_memory import SharedMemoryKey

from ..conftest import RedisAddress
from ..store.conftest import NoteConnector
from ..store.conftest import NoteKey
from . import contract

# What each must be able to do: one that declared less would lose trials silently.
CAPABILITIES: dict[str, set[str]] = {
    'local': {'deferred_set'},
    'local with a dictionary': {'deferred_set'},
    'file': {'deferred_set', 'cross_process'},
    'shared memory': {'deferred_set', 'cross_process'},
    'object store': {'deferred_set', 'batch', 'cross_process', 'cross_host'},
    'redis': {'deferred_set', 'batch', 'cross_process', 'cross_host'},
    'written in Python': {'deferred_set'},
}


def make(name: str, folder: Path, redis: RedisAddress, s3: str) -> tuple[Any, Any]:
    """A fresh connector, and what makes one of its keys of a name."""
    if name == 'local':
        return LocalConnector(), LocalKey
    if name == 'local with a dictionary':
        return LocalConnector({}), LocalKey
    if name == 'file':
        return FileConnector(str(folder)), FileKey
    if name == 'shared memory':
        return SharedMemoryConnector(), SharedMemoryKey
    if name == 'object store':
        options = {'endpoint': s3, 'username': 'me', 'password': 'anything'}
        # Nobody else's objects are near.
        namespace = uuid.uuid4().hex
        url = 's3://bucket/contract'
        connector = ObjectStoreConnector(url, namespace=namespace, **options)
        return connector, ObjectStoreKey
    if name == 'redis':
        return RedisConnector(redis.host, redis.port), RedisKey
    return NoteConnector(uuid.uuid4().hex), lambda text: NoteKey(7, text)


@pytest.mark.parametrize('name', CAPABILITIES)
def test_capabilities_are_what_they_must_be(
    name: str, store_dir: Path, redis_server: RedisAddress, s3_server: str
) -> None:
    connector, _ = make(name, store_dir, redis_server, s3_server)
    native = getattr(connector, '_native', None)
    if native is not None and getattr(connector, '_is_native', True):
        declared = {
            capability for capability, can in native.capability().items() if can is True
        }
        assert CAPABILITIES[name] <= declared
    connector.close()


# A minute, since the server is a Python program; `make test` runs the suite on it from Rust.
SLOW = {'object store'}


@pytest.mark.parametrize(
    'name',
    [
        pytest.param(name, marks=pytest.mark.integration if name in SLOW else ())
        for name in CAPABILITIES
    ],
)
@pytest.mark.timeout(600)
def test_contract(
    name: str,
    tmp_path: Path,
    redis_server: RedisAddress,
    s3_server: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    capabilities = CAPABILITIES[name]
    names = contract.trials(capabilities)
    assert len(names) >= 15, names
    failed = {}
    for number, trial in enumerate(names):
        connector, key_of = make(name, tmp_path / str(number), redis_server, s3_server)
        complaint = contract.run_trial(trial, connector, key_of, capabilities)
        if complaint:
            failed[trial] = complaint
        connector.close(clear=True)
    with capsys.disabled():
        print(f'\ncontract, {name}: {len(names) - len(failed)} of {len(names)} trials')
    assert not failed, failed
