"""Lifetimes: groups of objects that are evicted together.

A lifetime is given to `Store.put`, `Store.proxy` and the like; when it ends,
its objects are evicted, in one batch for each store.

Example:
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> with Store('example', LocalConnector()) as store:
    ...     with ContextLifetime(store) as lifetime:
    ...         key = store.put('hello', lifetime=lifetime)
    ...     store.exists(key)
    False
"""

from __future__ import annotations

import atexit
import os
import threading
import time
import uuid
from collections.abc import Callable
from datetime import datetime
from datetime import timedelta
from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol
from typing import TypeVar
from typing import runtime_checkable

from typing_extensions import ParamSpec

from proxystore.proxy import Proxy
from proxystore.store.utils import _store_factory

if TYPE_CHECKING:
    import sys
    from types import TracebackType

    from proxystore.store.base import Store
    from proxystore.store.types import ConnectorKeyT

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = [
    'ContextLifetime',
    'LeaseLifetime',
    'Lifetime',
    'LifetimeT',
    'P',
    'StaticLifetime',
    'T',
    'register_lifetime_atexit',
]

T = TypeVar('T')
P = ParamSpec('P')
LifetimeT = TypeVar('LifetimeT', bound='Lifetime')


@runtime_checkable
class Lifetime(Protocol):
    """What is told the keys of objects, and evicts them when it ends."""

    def add_key(self, *keys: ConnectorKeyT, store: Store[Any] | None = None) -> None:
        """Add objects by their keys.

        Args:
            keys: The keys.
            store: The store that they are in.

        Raises:
            RuntimeError: If the lifetime has ended.
        """
        ...

    def add_proxy(self, *proxies: Proxy[Any]) -> None:
        """Add the objects of proxies.

        Args:
            proxies: Proxies that a store made. They are not resolved.

        Raises:
            ProxyStoreFactoryError: If no store made one of them.
            RuntimeError: If the lifetime has ended.
        """
        ...

    def close(self, *, close_stores: bool = False) -> None:
        """End the lifetime: evict its objects.

        Args:
            close_stores: Whether the stores are closed as well.
        """
        ...

    def done(self) -> bool:
        """Tell whether the lifetime has ended."""
        ...


class _Members:
    """The keys of a lifetime, by store."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stores: dict[int, tuple[Store[Any], dict[ConnectorKeyT, None]]] = {}
        self._done = False

    def add(self, store: Store[Any], keys: tuple[ConnectorKeyT, ...]) -> None:
        with self._lock:
            self.refuse_if_done()
            _, known = self._stores.setdefault(id(store), (store, {}))
            known.update(dict.fromkeys(keys))

    def refuse_if_done(self) -> None:
        if self._done:
            raise RuntimeError(
                'This lifetime has ended, and its objects are evicted: nothing '
                'can be added to it.'
            )

    def stores(self) -> list[tuple[Store[Any], list[ConnectorKeyT]]]:
        """Return the keys of each store."""
        with self._lock:
            return [(store, list(keys)) for store, keys in self._stores.values()]

    def end(self) -> list[Store[Any]] | None:
        """Evict everything; None if that was done before."""
        with self._lock:
            if self._done:
                return None
            self._done = True
            stores = list(self._stores.values())
            self._stores.clear()
        for store, keys in stores:
            if keys:
                store._evict_batch(list(keys))
        return [store for store, _ in stores]

    @property
    def done(self) -> bool:
        return self._done


def _by_store(
    proxies: tuple[Proxy[Any], ...],
) -> list[tuple[Store[Any], list[ConnectorKeyT]]]:
    groups: dict[int, tuple[Store[Any], list[ConnectorKeyT]]] = {}
    for factory in [_store_factory(proxy) for proxy in proxies]:
        store = factory.get_store()
        groups.setdefault(id(store), (store, []))[1].append(factory.key)
    return list(groups.values())


class ContextLifetime:
    """Lasts for a `with` block, or until it is closed.

    Args:
        store: Store of the objects that are added without one.
        name: Name for messages; a random one if not given.

    Attributes:
        name: Its name.
        store: Its store.
    """

    def __init__(self, store: Store[Any], *, name: str | None = None) -> None:
        self.store = store
        self.name = str(uuid.uuid4()) if name is None else name
        self._members = _Members()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'{type(self).__name__}(name={self.name!r}, store={self.store.name!r})'

    def add_key(self, *keys: ConnectorKeyT, store: Store[Any] | None = None) -> None:
        """Add objects by their keys.

        Args:
            keys: The keys.
            store: The store that they are in; the lifetime's own if not
                given.

        Raises:
            RuntimeError: If the lifetime has ended.
        """
        self._members.add(self.store if store is None else store, keys)

    def add_proxy(self, *proxies: Proxy[Any]) -> None:
        """Add the objects of proxies, which may be of several stores.

        Args:
            proxies: Proxies that a store made. They are not resolved.

        Raises:
            ProxyStoreFactoryError: If no store made one of them.
            RuntimeError: If the lifetime has ended.
        """
        self._members.refuse_if_done()
        for store, keys in _by_store(proxies):
            self.add_key(*keys, store=store)

    def close(self, *, close_stores: bool = False) -> None:
        """End the lifetime: evict its objects. Again, it does no harm.

        Args:
            close_stores: Whether the lifetime's store is closed as well.
        """
        if self._members.end() is not None and close_stores:
            self.store.close()

    def done(self) -> bool:
        """Tell whether the lifetime has ended."""
        return self._members.done


class LeaseLifetime(ContextLifetime):
    """Lasts for a time, which may be extended.

    A thread of this process evicts the objects at the end, so the program
    stays until its leases have ended; `close` ends one sooner. Where the
    connector keeps leases itself (Redis, files, shared memory), the objects
    go at the end even if the process was killed before.

    Args:
        store: Store of the objects that are added without one.
        expiry: When it ends: a point in time, a duration, or seconds from
            now. One that has passed ends the lease at once.
        name: Name for messages; a random one if not given.

    Example:
        >>> from proxystore.connectors.local import LocalConnector
        >>> from proxystore.store import Store
        >>> with Store('example', LocalConnector()) as store:
        ...     lease = LeaseLifetime(store, 3600)
        ...     key = store.put('hello', lifetime=lease)
        ...     lease.extend(60)
        ...     lease.close()
        ...     store.exists(key)
        False
    """

    def __init__(
        self,
        store: Store[Any],
        expiry: datetime | timedelta | float,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(store, name=name)
        self._ends_at = time.monotonic() + _seconds_from_now(expiry)
        self._changed = threading.Condition()
        self._process = os.getpid()
        self._thread = threading.Thread(
            target=self._wait_for_end, name=f'proxystore-lease-{self.name}'
        )
        self._thread.start()

    def _wait_for_end(self) -> None:
        with self._changed:
            while not self.done() and (left := self._left()) > 0:
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
        self.close()

    def _left(self) -> float:
        return self._ends_at - time.monotonic()

    def _lease_left(self) -> float | None:
        """Return what an object put now gets, from a connector with leases."""
        if type(self).add_key is not LeaseLifetime.add_key:
            return None  # a subclass that wants to see every key
        self._members.refuse_if_done()
        return self._left()

    def _add_leased(self, key: ConnectorKeyT, store: Store[Any]) -> None:
        self._members.add(store, (key,))

    def add_key(self, *keys: ConnectorKeyT, store: Store[Any] | None = None) -> None:
        """Add objects by their keys.

        Args:
            keys: The keys.
            store: The store that they are in; the lifetime's own if not
                given.

        Raises:
            RuntimeError: If the lifetime has ended.
        """
        super().add_key(*keys, store=store)
        (self.store if store is None else store)._touch(list(keys), self._left())

    def extend(self, expiry: datetime | timedelta | float) -> None:
        """Let the lease end later.

        Args:
            expiry: A new point in time, or a duration or seconds that are
                added to the present one.

        Raises:
            RuntimeError: If the lease has ended.
        """
        with self._changed:
            self._members.refuse_if_done()
            if isinstance(expiry, datetime):
                self._ends_at = time.monotonic() + _seconds_from_now(expiry)
            else:
                self._ends_at += _seconds_from_now(expiry)
            self._changed.notify_all()
            left = self._left()
        for store, keys in self._members.stores():
            store._touch(keys, left)

    def close(self, *, close_stores: bool = False) -> None:
        """End the lease now: evict its objects. Again, it does no harm.

        Args:
            close_stores: Whether the lease's store is closed as well.
        """
        super().close(close_stores=close_stores)
        with self._changed:
            self._changed.notify_all()
        if self._thread is not threading.current_thread() and (
            self._process == os.getpid()  # the thread is not in a forked child
        ):
            self._thread.join()


def _seconds_from_now(expiry: datetime | timedelta | float) -> float:
    if isinstance(expiry, datetime):
        return (expiry - datetime.now(expiry.tzinfo)).total_seconds()
    if isinstance(expiry, timedelta):
        return expiry.total_seconds()
    if isinstance(expiry, (int, float)) and not isinstance(expiry, bool):
        if expiry != expiry:
            raise ValueError('expiry is not a number (nan)')
        return expiry
    raise TypeError(
        'expiry is a datetime, a timedelta or a number of seconds, not '
        f'{type(expiry).__name__}'
    )


class StaticLifetime:
    """Lasts for the rest of the program; there is one of it in a process.

    Objects that are never to be evicted while the program runs are added to
    it. They are evicted at the interpreter's exit.

    Attributes:
        name: `'static'`.

    Example:
        >>> StaticLifetime() is StaticLifetime()
        True
    """

    name = 'static'
    _only: StaticLifetime | None = None
    _members: _Members

    def __new__(cls) -> StaticLifetime:
        """Return the one that there is."""
        if cls._only is None:
            with _STATIC:
                if cls._only is None:
                    only = super().__new__(cls)
                    only._members = _Members()
                    register_lifetime_atexit(only, close_stores=False)
                    cls._only = only
        return cls._only

    def __repr__(self) -> str:
        return f'{type(self).__name__}()'

    def add_key(self, *keys: ConnectorKeyT, store: Store[Any] | None = None) -> None:
        """Add objects by their keys.

        Args:
            keys: The keys.
            store: The store that they are in.

        Raises:
            RuntimeError: If the lifetime has ended.
            ValueError: If no store is given.
        """
        if store is None:
            raise ValueError("StaticLifetime.add_key() needs store=, the keys' store")
        self._members.add(store, keys)

    def add_proxy(self, *proxies: Proxy[Any]) -> None:
        """Add the objects of proxies.

        Args:
            proxies: Proxies that a store made. They are not resolved.

        Raises:
            ProxyStoreFactoryError: If no store made one of them.
            RuntimeError: If the lifetime has ended.
        """
        self._members.refuse_if_done()
        for store, keys in _by_store(proxies):
            self.add_key(*keys, store=store)

    def close(self, *, close_stores: bool = False) -> None:
        """End the lifetime, for good. Not to be called but at exit.

        Args:
            close_stores: Whether the stores of its objects are closed too.
        """
        stores = self._members.end()
        if close_stores:
            for store in stores or ():
                store.close()

    def done(self) -> bool:
        """Tell whether the lifetime has ended."""
        return self._members.done


_STATIC = threading.RLock()


def register_lifetime_atexit(
    lifetime: Lifetime, close_stores: bool = True
) -> Callable[[], None]:
    """Close a lifetime when the interpreter exits.

    A forked child that exits leaves it alone: its objects belong to the
    process that registered it. A process that is killed runs no such
    callbacks.

    Args:
        lifetime: The lifetime.
        close_stores: Whether its stores are closed as well.

    Returns:
        What is called at exit; `atexit.unregister` takes it.

    Example:
        >>> from proxystore.connectors.local import LocalConnector
        >>> from proxystore.store import Store
        >>> store = Store('example', LocalConnector())
        >>> lifetime = ContextLifetime(store)
        >>> callback = register_lifetime_atexit(lifetime)
        >>> callback()
        >>> lifetime.done()
        True
    """
    process = os.getpid()

    def _close_at_exit() -> None:
        if os.getpid() == process:
            lifetime.close(close_stores=close_stores)

    atexit.register(_close_at_exit)
    return _close_at_exit
