"""Functions over the proxies of stores.

Example:
    >>> import pickle
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> with Store('example', LocalConnector(), register=True) as store:
    ...     p = pickle.loads(pickle.dumps(store.proxy([1, 2, 3])))
    ...     store.exists(get_key(p))
    ...     resolve_async(p)
    ...     sum(p)
    True
    6
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import TypeVar

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store.exceptions import ProxyStoreFactoryError
from proxystore.store.reference import get_reference
from proxystore.store.reference import proxy_from_reference

if TYPE_CHECKING:
    from proxystore.store.types import ConnectorKeyT

__all__ = ['T', 'get_key', 'get_reference', 'proxy_from_reference', 'resolve_async']

T = TypeVar('T')


def _store_factory(proxy: Proxy[T]) -> Any:
    factory = get_factory(proxy)
    if not isinstance(factory, _core.StoreFactoryBase):
        raise ProxyStoreFactoryError(
            'This proxy was not made by a store: its factory is a '
            f'{type(factory).__name__}, not a StoreFactory.'
        )
    return factory


def get_key(proxy: Proxy[T]) -> ConnectorKeyT:
    """Return the key of a proxy's object, without resolving the proxy.

    Args:
        proxy: A proxy that a store made.

    Raises:
        ProxyStoreFactoryError: If no store made it.
    """
    key: ConnectorKeyT = _store_factory(proxy).key
    return key


def resolve_async(proxy: Proxy[T]) -> None:
    """Begin to fetch a proxy's object while the caller goes on.

    Fetching and decoding run in another thread; the first use of the proxy
    waits for what is left of them. A resolved proxy is left as it is.

    Args:
        proxy: A proxy that a store made.

    Raises:
        ProxyStoreFactoryError: If no store made it.
    """
    if not is_resolved(proxy):
        _store_factory(proxy).resolve_async()
