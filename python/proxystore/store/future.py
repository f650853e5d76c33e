"""Futures that travel: one program sets the result, another one waits for it.

Example:
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> with Store('example', LocalConnector(), register=True) as store:
    ...     future = store.future()
    ...     p = future.proxy()  # give it to a consumer
    ...     future.set_result('hello')
    ...     print(p.upper())
    HELLO
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.store.factory import PollingStoreFactory
from proxystore.store.factory import _Failure
from proxystore.store.types import ConnectorT

if TYPE_CHECKING:
    from proxystore.store.base import Store
    from proxystore.store.types import SerializerT

__all__ = ['Future', 'T']

T = TypeVar('T')


class Future(Generic[T]):
    """The result of work that is not done yet. It can be pickled.

    `Store.future` makes one.

    Args:
        factory: Waits for the result.
        serializer: Used for the result instead of the store's.
    """

    def __init__(
        self,
        factory: PollingStoreFactory[ConnectorT, T],
        *,
        serializer: SerializerT | None = None,
    ) -> None:
        self._factory: PollingStoreFactory[Any, T] = factory
        self._serializer = serializer

    def __repr__(self) -> str:
        return f'{type(self).__name__}(key={self._factory.key})'

    def done(self) -> bool:
        """Tell whether there is a result or an exception.

        With `evict=True` it is false again once the result was taken.
        """
        return self._factory.get_store().exists(self._factory.key)

    def proxy(self) -> Proxy[T]:
        """Return a proxy of the result; its first use waits for the result.

        If an exception was set instead, the use raises a `ProxyResolveError`
        with that exception as its cause.
        """
        return Proxy(self._factory)

    def result(self, timeout: float | None = None) -> T:
        """Wait for the result and return it.

        Args:
            timeout: Most seconds to wait. If it is not given, the wait ends
                after the future's `polling_timeout`, if that is set.

        Raises:
            ProxyResolveMissingKeyError: If `polling_timeout` has passed.
            TimeoutError: If `timeout` has passed.
            Exception: What was set by `set_exception`.
        """
        return self._factory._wait_for(timeout)

    def set_result(self, obj: T, *, snapshot: bool = False) -> None:
        """Set the result, which wakes those who wait for it.

        Args:
            obj: The result.
            snapshot: Whether the result's buffers are copied first, see
                `Store.put`.
        """
        self._factory.get_store()._set(
            self._factory.key, obj, serializer=self._serializer, snapshot=snapshot
        )

    def set_exception(self, exception: BaseException) -> None:
        """Set an exception, which is raised where the result is used.

        Args:
            exception: The exception. One that cannot be pickled is stood for
                by a `RuntimeError` with its text.

        Raises:
            TypeError: If it is no exception.

        Example:
            >>> from proxystore.connectors.local import LocalConnector
            >>> from proxystore.store import Store
            >>> with Store('example', LocalConnector(), register=True) as store:
            ...     future = store.future()
            ...     future.set_exception(ValueError('no such file'))
            ...     future.result()
            Traceback (most recent call last):
            ValueError: no such file
        """
        if not isinstance(exception, BaseException):
            raise TypeError(
                f'set_exception() takes an exception, not a {type(exception).__name__}'
            )
        store, key = self._factory.get_store(), self._factory.key
        _core.set_frame(store, key, _Failure.of(exception).to_bytes())


def _announce(
    store: Store[Any],
    *,
    serializer: SerializerT | None,
    **options: Any,
) -> Future[Any]:
    """Make a key, and the future of the object that it will have."""
    start = time.perf_counter()
    connector: Any = store.connector
    for name in ('new_key', 'set'):
        if not callable(getattr(connector, name, None)):
            raise NotImplementedError(
                f'{type(connector).__name__} has no {name}(): a future needs a '
                'connector that makes a key first and takes its object later, '
                'see proxystore.connectors.protocols.DeferrableConnector.'
            )
    key = connector.new_key()
    connector_ms = (time.perf_counter() - start) * 1e3
    recipe: Any = store._make_recipe()
    factory: PollingStoreFactory[Any, Any] = PollingStoreFactory(key, recipe, **options)
    if store.metrics is not None:
        store.metrics.add_time('store.future.connector', key, connector_ms)
        elapsed_ms = (time.perf_counter() - start) * 1e3
        store.metrics.add_time('store.future', key, elapsed_ms)
    return Future(factory, serializer=serializer)
