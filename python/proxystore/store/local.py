"""The older name of a store of this process's memory."""

from __future__ import annotations

from typing import Any

from proxystore.connectors.local import LocalConnector
from proxystore.store.base import Store

__all__ = ['LocalStore']


class LocalStore(Store[LocalConnector]):
    """A store whose objects are in this process's memory.

    The same as `Store(name, LocalConnector())`.

    Args:
        name: Name of the store.
        cache_size: Most resolved objects that are kept for further use.
        kwargs: The other keyword arguments of `Store`.

    Example:
        >>> store = LocalStore('example')
        >>> store.get(store.set('hello'))
        'hello'
    """

    def __init__(self, name: str, *, cache_size: int = 16, **kwargs: Any) -> None:
        super().__init__(name, LocalConnector(), cache_size=cache_size, **kwargs)
