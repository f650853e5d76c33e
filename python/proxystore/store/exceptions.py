"""Errors of stores.

Example:
    >>> from proxystore.store import Store
    >>> with Store('example') as store:
    ...     store.proxy(None)
    Traceback (most recent call last):
    ...
    proxystore.store.exceptions.NonProxiableTypeError: ...
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

from proxystore.exceptions import ProxyStoreError

if TYPE_CHECKING:
    from proxystore.store.base import Store

__all__ = [
    'NonProxiableTypeError',
    'ProxyResolveMissingKeyError',
    'ProxyStoreFactoryError',
    'StoreError',
    'StoreExistsError',
]


class StoreError(ProxyStoreError):
    """Base of the errors of stores."""


class StoreExistsError(StoreError):
    """A store of this name is registered already."""


class ProxyStoreFactoryError(StoreError):
    """A proxy was not made by a store."""


class NonProxiableTypeError(ProxyStoreError):
    """An object cannot be proxied: `None`, `True` and `False`.

    Programs compare these with `is`, which no stand-in can satisfy.
    """


class ProxyResolveMissingKeyError(ProxyStoreError):
    """A proxy's object is not in its store.

    Attributes:
        key: The key.
        store_type: Class of the store.
        store_name: Name of the store.
    """

    def __init__(
        self,
        key: tuple[Any, ...],
        store_type: type[Store[Any]],
        store_name: str,
    ) -> None:
        self.key = key
        self.store_type = store_type
        self.store_name = store_name
        super().__init__(
            f'There is no object with the key {key} in '
            f'{store_type.__name__} {store_name!r}. It was evicted (by '
            'evict=True, a lifetime or a call), its store was closed, or it '
            'was put into another store of that name.'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.key, self.store_type, self.store_name)
