"""Stores by name, and stores made from a configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store
from proxystore.store import get_or_create_store
from proxystore.store import get_store
from proxystore.store import register_store
from proxystore.store import store_registration
from proxystore.store import unregister_store
from proxystore.store.config import ConnectorConfig
from proxystore.store.config import StoreConfig
from proxystore.store.exceptions import StoreExistsError


def test_registry() -> None:
    store = Store('registered', LocalConnector())
    assert get_store('registered') is None
    register_store(store)
    assert get_store('registered') is store
    with pytest.raises(StoreExistsError, match='registered'):
        register_store(store)
    other = Store('registered', LocalConnector())
    with pytest.raises(StoreExistsError, match='exist_ok'):
        register_store(other)
    register_store(other, exist_ok=True)
    assert get_store('registered') is other
    unregister_store('registered')
    unregister_store('registered')
    assert get_store('registered') is None
    with store_registration(store, Store('second', LocalConnector())):
        assert get_store('registered') is store
        unregister_store(store)
        assert get_store('registered') is None
        assert get_store('second') is not None
    assert get_store('second') is None


def test_name_taken_twice_by_register() -> None:
    with Store('twice', LocalConnector(), register=True):
        with pytest.raises(StoreExistsError):
            Store('twice', LocalConnector(), register=True)
    assert get_store('twice') is None


def test_close_unregisters_only_itself() -> None:
    first = Store('closing', LocalConnector())
    second = Store('closing', LocalConnector(), register=True)
    first.close()
    assert get_store('closing') is second
    second.close()
    assert get_store('closing') is None


def test_configuration_makes_an_equal_store(connector: Any) -> None:
    with Store('configured', connector, cache_size=3, populate_target=False) as store:
        config = store.config()
        assert config.name == 'configured'
        assert config.cache_size == 3
        assert StoreConfig.model_validate(config.model_dump()) == config
        again = Store.from_config(config)
        assert again.config() == config
        assert repr(again).startswith('Store(name=configured, connector=')
        if not isinstance(store.connector, LocalConnector):
            assert again.get(store.put([1])) == [1]


def test_get_or_create_store() -> None:
    config = StoreConfig(name='created', connector=ConnectorConfig(kind='local'))
    store = get_or_create_store(config)
    assert get_store('created') is store
    assert get_or_create_store(config) is store
    unregister_store(store)
    other = get_or_create_store(config, register=False)
    assert get_store('created') is None
    assert other.config() == store.config()


def test_context_manager_closes_and_unregisters(store_dir: Path) -> None:
    with Store('within', FileConnector(str(store_dir)), register=True) as store:
        store.put(1)
        assert store_dir.exists()
    assert not store_dir.exists()
    store.close()  # a second close does no harm


def test_close_passes_its_arguments_on(store_dir: Path) -> None:
    store = Store('kept', FileConnector(str(store_dir)))
    key = store.put(1)
    store.close(clear=False)
    assert Store('kept', FileConnector(str(store_dir))).get(key) == 1


@pytest.mark.parametrize(
    'kind',
    ['local', 'LOCAL', 'LocalConnector', 'proxystore.connectors.local.LocalConnector'],
)
def test_kinds_of_connectors(kind: str) -> None:
    config = ConnectorConfig(kind=kind)
    assert config.get_connector_type() is LocalConnector
    assert isinstance(config.get_connector(), LocalConnector)


def test_unknown_kind_is_refused_when_it_is_opened() -> None:
    config = ConnectorConfig(kind='reddis')
    with pytest.raises(ValueError, match="Did you mean 'redis'"):
        config.get_connector()
    with pytest.raises(ValueError, match='Known kinds: .*file'):
        ConnectorConfig(kind='zzz').get_connector_type()


def test_configuration_in_a_file(tmp_path: Path) -> None:
    config = StoreConfig(
        name='filed',
        connector=ConnectorConfig(kind='file', options={'store_dir': 'x'}),
        cache_size=2,
    )
    path = tmp_path / 'deep' / 'store.toml'
    config.write_toml(path)
    assert StoreConfig.from_toml(path) == config
