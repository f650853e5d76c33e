"""The older names of stores, as before ProxyStore 0.5.

One implementation serves both generations: these are doors to
[`Store`][proxystore.store.base.Store].
"""

from __future__ import annotations

import enum
from typing import Any

from proxystore._nearest import did_you_mean
from proxystore.store import register_store
from proxystore.store.base import Store
from proxystore.store.file import FileStore
from proxystore.store.local import LocalStore
from proxystore.store.redis import RedisStore

__all__ = ['STORES', 'init_store']


class STORES(enum.Enum):
    """The kinds of stores that `init_store` knows by name."""

    LOCAL = LocalStore
    FILE = FileStore
    REDIS = RedisStore


def init_store(
    kind: str | STORES | type[Store[Any]], name: str, **kwargs: Any
) -> Store[Any]:
    """Open a store and register it, replacing a store of that name.

    Args:
        kind: `'local'`, `'file'` or `'redis'` in any case, a member of
            `STORES`, or a subclass of `Store`.
        name: Name of the store.
        kwargs: The other arguments of the kind's class.

    Raises:
        ValueError: If there is no such kind; the message lists those that
            there are.

    Example:
        >>> import proxystore as ps
        >>> store = ps.store.init_store('local', name='example')
        >>> ps.store.get_store('example') is store
        True
        >>> store.close()
    """
    store: Store[Any] = _class_of(kind)(name, **kwargs)
    register_store(store, exist_ok=True)
    return store


def _class_of(kind: str | STORES | type[Store[Any]]) -> Any:
    if isinstance(kind, STORES):
        return kind.value
    if isinstance(kind, type) and issubclass(kind, Store):
        return kind
    name = str(kind)
    if name.upper() in STORES.__members__:
        return STORES[name.upper()].value
    known = [member.name.lower() for member in STORES]
    hint = did_you_mean(name.lower(), known)
    raise ValueError(
        f'Unknown kind of store {kind!r}.{hint} Known kinds: '
        f'{", ".join(known)}; or give a member of STORES or a subclass of '
        'Store.'
    )
