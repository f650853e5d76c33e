"""Stores by URL."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.shared_memory import SharedMemoryConnector
from proxystore.exceptions import ConnectorConfigError
from proxystore.store import Store

from ..conftest import RedisAddress


def test_memory_and_shared_memory() -> None:
    assert isinstance(Store.from_url('memory://').connector, LocalConnector)
    with Store.from_url('shm://?limit=1000000', name='shared') as store:
        assert store.name == 'shared'
        assert isinstance(store.connector, SharedMemoryConnector)
        assert store.get(store.put([1])) == [1]


def test_a_directory_is_kept(tmp_path: Path) -> None:
    folder = tmp_path / 'with space'
    url = f'file://{str(folder).replace(" ", "%20")}'
    with Store.from_url(url) as store:
        key = store.put('kept')
    with Store.from_url(f'{url}?clear=true', cache_size=0) as store:
        assert store.get(key) == 'kept'
    assert not folder.exists()


def test_redis(redis_server: RedisAddress) -> None:
    url = f'redis://{redis_server.host}:{redis_server.port}'
    with Store.from_url(url, name='by-url') as store:
        key = store.put({'a': 1})
        assert store.get(key) == {'a': 1}
        store.evict(key)


@pytest.mark.parametrize(
    ('url', 'message'),
    [
        ('redisss://host', 'redis'),
        ('nonsense', 'Known: az://, .*endpoint://, file://'),
        ('file://relative/path', 'three slashes'),
        ('file:///tmp/x?cleer=1', "Did you mean 'clear'"),
        ('file:///tmp/x?clear=maybe', 'true or false'),
        ('shm://?limit=lots', 'limit'),
        ('memory://?a=1', 'Options: none'),
        ('redis://user@host', 'password'),
        ('redis://host:99999', '[Pp]ort'),
    ],
)
def test_what_is_wrong_with_a_url_is_named(url: str, message: str) -> None:
    with pytest.raises(ConnectorConfigError, match=message) as caught:
        Store.from_url(url)
    assert 'secret' not in str(caught.value)
