"""The names from before 1.0."""

from __future__ import annotations

from pathlib import Path

import proxystore as ps
import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.file import FileStore
from proxystore.store.local import LocalStore
from proxystore.store.redis import RedisStore

from ..conftest import RedisAddress


@pytest.mark.parametrize('kind', ['local', 'LOCAL', ps.store.STORES.LOCAL, LocalStore])
def test_kinds_of_stores(
    kind: str | ps.store.STORES | type[Store[LocalConnector]],
) -> None:
    store = ps.store.init_store(kind, name='older')
    assert type(store) is LocalStore
    assert get_store('older') is store
    assert store.get(store.set([1, 2])) == [1, 2]
    store.close()
    assert get_store('older') is None


def test_a_store_of_the_same_name_is_replaced() -> None:
    first = ps.store.init_store('local', 'same')
    second = ps.store.init_store('local', 'same', cache_size=3)
    assert get_store('same') is second
    assert second.cache.maxsize == 3
    first.close()
    second.close()


@pytest.mark.parametrize('kind', ['reddis', 'zzz', 7, None, int])
def test_unknown_kind_lists_the_known_ones(kind: object) -> None:
    with pytest.raises(ValueError, match='Known kinds: local, file, redis') as caught:
        ps.store.init_store(kind, name='unknown')  # type: ignore[arg-type]
    assert repr(kind) in str(caught.value)
    if kind == 'reddis':
        assert "Did you mean 'redis'" in str(caught.value)
    assert get_store('unknown') is None


def test_file_store_keeps_its_files(store_dir: Path) -> None:
    store = FileStore('files', store_dir=str(store_dir), cache_size=16)
    key = store.set('kept')
    store.close()
    again = FileStore('files', store_dir=str(store_dir))
    assert again.get(key) == 'kept'
    again.close(clear=True)
    assert not store_dir.exists()


def test_redis_store(redis_server: RedisAddress) -> None:
    store = RedisStore('redis', redis_server.host, redis_server.port, cache_size=2)
    assert store.cache.maxsize == 2
    key = store.set({'a': 1})
    other = ps.store.init_store(
        'redis', name='redis', hostname=redis_server.host, port=redis_server.port
    )
    assert other.get(key) == {'a': 1}
    store.evict(key)
    store.close()
    other.close()


def test_configuration_of_an_older_store_opens_a_plain_one(store_dir: Path) -> None:
    store = FileStore('plain', store_dir=str(store_dir))
    key = store.set(1)
    again = FileStore.from_config(store.config())
    assert type(again) is Store
    assert again.get(key) == 1
