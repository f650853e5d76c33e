"""Stores, and the registry that proxies find them in.

Example:
    >>> from proxystore.store import Store, get_store
    >>> with Store('example', register=True) as store:
    ...     get_store('example') is store
    True
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeVar
from typing import cast
from typing import overload

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.proxy import get_factory
from proxystore.store.base import Store
from proxystore.store.exceptions import ProxyStoreFactoryError
from proxystore.store.exceptions import StoreExistsError
from proxystore.store.factory import StoreFactory

if TYPE_CHECKING:
    from proxystore.store.config import StoreConfig
    from proxystore.store.older import STORES
    from proxystore.store.older import init_store

__all__ = [
    'STORES',
    'Store',
    'StoreConfig',
    'StoreFactory',
    'T',
    'get_or_create_store',
    'get_store',
    'init_store',
    'register_store',
    'store_registration',
    'unregister_store',
]

T = TypeVar('T')

_LAZY = {
    'StoreConfig': 'proxystore.store.config',
    'STORES': 'proxystore.store.older',
    'init_store': 'proxystore.store.older',
}
_SUBMODULES = frozenset(
    {
        'cache',
        'config',
        'exceptions',
        'executor',
        'factory',
        'file',
        'future',
        'lifetimes',
        'local',
        'metrics',
        'redis',
        'ref',
        'scopes',
        'types',
        'utils',
    }
)


def __getattr__(name: str) -> Any:
    # pydantic takes 100 ms to import: only who asks for it pays.
    if name in _LAZY:
        found = getattr(importlib.import_module(_LAZY[name]), name)
        globals()[name] = found
        return found
    if name in _SUBMODULES:
        return importlib.import_module(f'{__name__}.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY, *_SUBMODULES})


class _Whole(ModuleType):
    """This module: `vars()` of it has what is made late, too."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        for name in _LAZY:
            getattr(self, name)
        return globals()


sys.modules[__name__].__class__ = _Whole


def register_store(store: Store[Any], exist_ok: bool = False) -> None:
    """Let proxies find a store by its name, in this process.

    Args:
        store: The store.
        exist_ok: Whether a store that is registered under this name already
            is replaced instead of raising.

    Raises:
        StoreExistsError: If the name is taken and `exist_ok` is not set.
    """
    taken = store.name in _core._registry
    first = _core._registry.setdefault(store.name, store)
    if exist_ok:
        _core._registry[store.name] = store
    elif taken or first is not store:
        raise StoreExistsError(
            f'A store named {store.name!r} is registered already. Choose '
            'another name, unregister_store() the other one, or pass '
            'exist_ok=True to replace it.'
        )


def unregister_store(name_or_store: str | Store[Any]) -> None:
    """Make proxies of this process forget a store; it stays open.

    Args:
        name_or_store: The store or its name. A name that is not registered
            does no harm.
    """
    name = name_or_store.name if isinstance(name_or_store, Store) else name_or_store
    _core._registry.pop(name, None)


@contextmanager
def store_registration(
    *stores: Store[Any], exist_ok: bool = False
) -> Generator[None, None, None]:
    """Register stores for the time of a `with` block.

    Args:
        stores: The stores.
        exist_ok: As for `register_store`.

    Example:
        >>> from proxystore.connectors.local import LocalConnector
        >>> store = Store('example', LocalConnector())
        >>> with store_registration(store):
        ...     get_store('example') is store
        True
        >>> get_store('example') is None
        True
    """
    for store in stores:
        register_store(store, exist_ok=exist_ok)
    try:
        yield
    finally:
        for store in stores:
            unregister_store(store)


@overload
def get_store(val: Proxy[Any]) -> Store[Any]: ...
@overload
def get_store(val: str) -> Store[Any] | None: ...
def get_store(val: str | Proxy[T]) -> Store[Any] | None:
    """Return a registered store by its name, or the store of a proxy.

    Args:
        val: A name, or a proxy that a store made; its store is opened and
            registered if need be. The proxy is not resolved.

    Returns:
        The store, or None if no store of that name is registered.

    Raises:
        ProxyStoreFactoryError: If no store made the proxy.
    """
    # A proxy of a string is an instance of str: only its type tells.
    if issubclass(type(val), Proxy):
        factory = get_factory(cast('Proxy[T]', val))
        if not isinstance(factory, _core.StoreFactoryBase):
            raise ProxyStoreFactoryError(
                'This proxy was not made by a store: its factory is a '
                f'{type(factory).__name__}, not a StoreFactory.'
            )
        store: Store[Any] = factory.get_store()
        return store
    return _core._registry.get(cast(str, val))


def get_or_create_store(
    store_config: StoreConfig, *, register: bool = True
) -> Store[Any]:
    """Return the registered store of a configuration's name, or open one.

    Args:
        store_config: Configuration of the store.
        register: Whether a store that is opened is registered.
    """
    return _reopen(store_config._to_recipe(), register=register)


def _reopen(recipe: tuple[Any, ...], *, register: bool = True) -> Store[Any]:
    """Return the registered store of a recipe's name, or open one."""
    name, kind, options, settings = recipe
    store: Store[Any] | None = _core._registry.get(name)
    if store is not None:
        return store
    settings = dict(settings or ())
    auto_register = settings.pop('auto_register', False)
    opened: Store[Any] = Store(name, _reopen_connector(kind, options), **settings)
    opened._register = auto_register
    if not register and not auto_register:
        return opened
    # Two threads may have opened one each: both use the one registered first.
    first: Store[Any] = _core._registry.setdefault(name, opened)
    return first


def _reopen_connector(kind: str, options: Any) -> Any:
    builtin = _CONNECTORS.get(kind)
    if builtin is not None and isinstance(options, tuple):
        module, name = builtin
        connector_class = getattr(importlib.import_module(module), name)
        return connector_class._from_wire(options)
    from proxystore.store.config import ConnectorConfig

    return ConnectorConfig(kind=kind, options=options).get_connector()


_CONNECTORS = {
    'endpoint': ('proxystore.connectors.endpoint', 'EndpointConnector'),
    'file': ('proxystore.connectors.file', 'FileConnector'),
    'local': ('proxystore.connectors.local', 'LocalConnector'),
    'objects': ('proxystore.connectors.object_store', 'ObjectStoreConnector'),
    'redis': ('proxystore.connectors.redis', 'RedisConnector'),
    'shm': ('proxystore.connectors.shared_memory', 'SharedMemoryConnector'),
}


def _key_class(kind: str) -> type[tuple[str]]:
    """Return the class of the keys of one of our connectors."""
    module, name = _CONNECTORS[kind]
    key_class: type[tuple[str]] = getattr(
        importlib.import_module(module), name
    )._key_class
    return key_class
