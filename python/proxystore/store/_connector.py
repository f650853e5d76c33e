"""The connector of a store: whether it is one, who does its work, and what reopens it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

from proxystore.connectors._native import NativeBase

if TYPE_CHECKING:
    from proxystore import _core
    from proxystore.store.base import Store

_DATA_METHODS = (
    'put',
    'put_batch',
    'new_key',
    'set',
    'get',
    'get_batch',
    'exists',
    'evict',
    'config',
)


def check_connector(connector: Any) -> None:
    """Refuse what is no connector, and name what it lacks."""
    missing = [
        name
        for name in ('put', 'get', 'exists', 'evict', 'config', 'close')
        if not callable(getattr(connector, name, None))
    ]
    if missing:
        raise TypeError(
            f'{type(connector).__name__} is no connector: it has no '
            f'{", ".join(f"{name}()" for name in missing)}. See '
            'proxystore.connectors.protocols.Connector.'
        )


def native_of(connector: Any) -> _core.NativeConnector | None:
    """Return the connector of the core inside, if it does all the work.

    A subclass that overrides one of the methods that move bytes wants to be
    asked, like any connector that a user wrote.
    """
    if not isinstance(connector, NativeBase):
        return None
    own: type[Any] = type(connector)
    ours = next((c for c in own.__mro__ if c.__module__.startswith('proxystore.')), own)
    if own is not ours and any(
        getattr(own, name) is not getattr(ours, name) for name in _DATA_METHODS
    ):
        return None
    if not getattr(connector, '_is_native', True):
        return None
    return connector._native


def make_recipe(store: Store[Any]) -> tuple[Any, ...]:
    """Return what a proxy carries to reopen a store; see `_make_recipe`."""
    connector = store.connector
    settings: dict[str, Any] = {}
    if store.serializer is not None:
        settings['serializer'] = store.serializer
    if store.deserializer is not None:
        settings['deserializer'] = store.deserializer
    if store.cache.maxsize != 16:
        settings['cache_size'] = store.cache.maxsize
    if store._metrics is not None:
        settings['metrics'] = True
    if not store._populate_target:
        settings['populate_target'] = False
    if store._register:
        settings['auto_register'] = True
    if store._cache_bytes is not None:
        settings['cache_bytes'] = store._cache_bytes
    if store._sealing is not None:
        settings.update(store._sealing)
    kind: str
    options: Any
    if native_of(connector) is not None:
        kind, options = connector._wire_kind, connector._wire_options()
    else:
        from proxystore.utils.imports import get_object_path

        kind, options = get_object_path(type(connector)), connector.config()
    return store.name, kind, options, settings or None
