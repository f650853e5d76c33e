"""What of 1.1's names no other test has a reason to use."""

from __future__ import annotations

import typing
from importlib import metadata

import proxystore
from proxystore import proxy
from proxystore import serialize
from proxystore.connectors.globus import GlobusConnector
from proxystore.connectors.globus import GlobusEndpoint
from proxystore.connectors.globus import GlobusEndpoints
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.local import LocalKey
from proxystore.connectors.multi import MultiKey
from proxystore.connectors.redis import RedisKey
from proxystore.store import Store
from proxystore.store import exceptions
from proxystore.store import metrics
from proxystore.store import ref
from proxystore.store import types
from proxystore.store.config import StoreConfig
from proxystore.stream.events import NewObjectKeyEvent


def test_the_version_is_numbers() -> None:
    # Colmena takes it apart so.
    assert len([int(part) for part in proxystore.__version__.split('.')]) == 3
    assert metadata.version('proxystore') == proxystore.__version__


def test_types_can_be_annotated_with() -> None:
    def annotated(
        proxy_class: proxy.DefaultClassType,
        proxy_hash: proxy.DefaultHashType,
        factory: proxy.FactoryType[int],
        stored: ref.FactoryType[int],
        data: serialize.BytesLike,
        serializer: types.SerializerT,
        deserializer: types.DeserializerT,
        key: types.ConnectorKeyT,
        keys: metrics.KeyT,
        proxies: metrics.ProxyT,
    ) -> None: ...

    hints = typing.get_type_hints(annotated)
    assert len(hints) == 11
    assert typing.get_args(hints['proxy_class']) == (type, type(None))
    assert typing.get_args(hints['factory']) == ([], int)
    assert bytes in typing.get_args(hints['data'])


def test_errors_of_stores_have_a_common_base() -> None:
    for name in (
        'ProxyStoreFactoryError',
        'StoreExistsError',
    ):
        assert issubclass(getattr(exceptions, name), exceptions.StoreError)


def test_keys_by_their_fields() -> None:
    assert RedisKey('a').redis_key == 'a'
    key = MultiKey('name', LocalKey('a'))
    assert (key.connector_name, key.connector_key) == ('name', LocalKey('a'))


def test_an_event_of_a_key() -> None:
    config = StoreConfig(name='s', connector={'kind': 'local'})
    event = NewObjectKeyEvent.from_key(
        LocalKey('a'), evict=True, metadata={}, store_config=config, topic='topic'
    )
    assert event.key_type == 'proxystore.connectors.local.LocalKey'
    assert event.raw_key == ['a']
    assert event.get_key() == LocalKey('a')


def test_a_configuration_that_registers() -> None:
    config = StoreConfig(
        name='registers', connector={'kind': 'local'}, auto_register=True
    )
    with Store.from_config(config) as store:
        assert store.config().auto_register
        assert type(store.connector) is LocalConnector


def test_globus_endpoints_by_their_fields() -> None:
    endpoint = GlobusEndpoint(
        '8fc4e3c2-0000-4000-8000-000000000001', '/here', '/there', '.*'
    )
    assert (endpoint.endpoint_path, endpoint.host_regex) == ('/here', '.*')
    endpoints = GlobusEndpoints([endpoint])
    connector = GlobusConnector(endpoints, sync_level='checksum', clear=False)
    assert connector.endpoints is endpoints
    assert connector.config()['sync_level'] == connector.sync_level == 'checksum'
