"""The factories in a store's proxies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar

from proxystore import _core
from proxystore.connectors.protocols import Connector
from proxystore.store.exceptions import ProxyResolveMissingKeyError

if TYPE_CHECKING:
    import sys

    from proxystore.store.base import Store
    from proxystore.store.config import StoreConfig
    from proxystore.store.types import ConnectorKeyT
    from proxystore.store.types import DeserializerT

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['PollingStoreFactory', 'StoreFactory', 'T']

T = TypeVar('T')
ConnectorT = TypeVar('ConnectorT', bound=Connector[Any])


class StoreFactory(_core.StoreFactoryBase, Generic[ConnectorT, T]):
    """Resolves to the object of a key in a store.

    Where the store is not registered, it is opened from the configuration
    and registered.

    Args:
        key: Key of the object.
        store_config: Configuration of its store.
        evict: Whether the object is evicted once it is resolved.
        deserializer: Used instead of the store's.

    Attributes:
        key: Key of the object.
        evict: Whether the object is evicted once it is resolved.
        deserializer: Used instead of the store's, or None.

    Example:
        >>> from proxystore.connectors.local import LocalConnector
        >>> from proxystore.store import Store
        >>> with Store('example', LocalConnector(), register=True) as store:
        ...     factory = StoreFactory(store.put('hello'), store.config())
        ...     factory()
        'hello'
    """

    def __init__(
        self,
        key: ConnectorKeyT,
        store_config: StoreConfig,
        *,
        evict: bool = False,
        deserializer: DeserializerT | None = None,
    ) -> None:
        # Everything is set by __new__, which the core calls without this.
        super().__init__()

    @property
    def store_config(self) -> StoreConfig:
        """Configuration of the store."""
        from proxystore.store.config import StoreConfig

        return StoreConfig._from_recipe(self._recipe)

    def get_store(self) -> Store[ConnectorT]:
        """Return the store, opened and registered if need be."""
        store: Store[ConnectorT] = super().get_store()
        return store

    def resolve(self) -> T:
        """Return the object.

        Raises:
            ProxyResolveMissingKeyError: If the store does not have it.
        """
        obj: T = super().resolve()
        return obj

    def resolve_async(self) -> None:
        """Begin to fetch and decode the object in another thread.

        The next `resolve` waits for it. An error is raised there.
        """
        if self._is_pending:
            return
        from proxystore.store._pending import Pending

        self._set_pending(Pending(self._fetch))

    def __getstate__(self) -> dict[str, Any]:
        """Return the parts, by ProxyStore 1.x's names."""
        return {
            'key': self.key,
            'store_config': self.store_config,
            'evict': self.evict,
            'deserializer': self.deserializer,
        }


_MISSING = object()

# With `polling_interval=0` the store is asked this often, in seconds.
_SHORTEST_INTERVAL = 0.001


class PollingStoreFactory(StoreFactory[ConnectorT, T]):
    """Resolves to the object of a key that is set later: it waits for it.

    Where the connector can tell that an object was set, the wait ends at
    once; elsewhere the store is asked again and again.

    Args:
        key: Key of the object.
        store_config: Configuration of its store.
        deserializer: Used instead of the store's.
        evict: Whether the object is evicted once it is resolved.
        polling_interval: Seconds until the store is asked again.
        polling_backoff_factor: What the interval is multiplied by each time.
        polling_interval_limit: Longest interval in seconds; no limit if not
            given.
        polling_timeout: Most seconds to wait; no limit if not given.

    Raises:
        ValueError: If one of the numbers is negative.
    """

    def __new__(
        cls,
        key: ConnectorKeyT,
        store_config: StoreConfig,
        *,
        deserializer: DeserializerT | None = None,
        evict: bool = False,
        polling_interval: float = 1,
        polling_backoff_factor: float = 1,
        polling_interval_limit: float | None = None,
        polling_timeout: float | None = None,
    ) -> Self:
        """Make one that `__init__` completes."""
        # Keywords of our own: the core's __new__ is given the others.
        return super().__new__(cls, key, store_config, evict, deserializer)

    def __init__(
        self,
        key: ConnectorKeyT,
        store_config: StoreConfig,
        *,
        deserializer: DeserializerT | None = None,
        evict: bool = False,
        polling_interval: float = 1,
        polling_backoff_factor: float = 1,
        polling_interval_limit: float | None = None,
        polling_timeout: float | None = None,
    ) -> None:
        super().__init__(key, store_config, evict=evict, deserializer=deserializer)
        for name, value in (
            ('polling_interval', polling_interval),
            ('polling_backoff_factor', polling_backoff_factor),
            ('polling_interval_limit', polling_interval_limit),
            ('polling_timeout', polling_timeout),
        ):
            if value is not None and not value >= 0:
                raise ValueError(f'{name}={value} must not be negative')
        self._polling_interval = polling_interval
        self._polling_backoff_factor = polling_backoff_factor
        self._polling_interval_limit = polling_interval_limit
        self._polling_timeout = polling_timeout

    def __reduce__(self) -> tuple[Any, ...]:
        plain = _core.store_factory(
            self.key, self._recipe, self.evict, self.deserializer
        )
        return _polling_store_factory, (
            plain,
            self._polling_interval,
            self._polling_backoff_factor,
            self._polling_interval_limit,
            self._polling_timeout,
        )

    def resolve(self) -> T:
        """Wait for the object and return it.

        Raises:
            ProxyResolveMissingKeyError: If `polling_timeout` has passed.
            Exception: What was set by `Future.set_exception`.
        """
        if self._is_pending:
            return super().resolve()
        return self._wait_for(None)

    def _fetch(self) -> T:
        return self._wait_for(None)

    def _wait_for(self, timeout: float | None) -> T:
        start = time.perf_counter()
        key = self.key
        limits = [each for each in (timeout, self._polling_timeout) if each is not None]
        deadline = start + min(limits) if limits else None
        longest = self._polling_interval_limit
        interval = self._polling_interval
        store = self.get_store()
        deserializer = _or_failure(self.deserializer or store.deserializer)
        while True:
            obj = store.get(key, deserializer=deserializer, default=_MISSING)
            if obj is not _MISSING:
                break
            if longest is not None:
                interval = min(interval, longest)
            pause = max(interval, _SHORTEST_INTERVAL)
            interval *= self._polling_backoff_factor
            left = None if deadline is None else deadline - time.perf_counter()
            if left is not None and left <= 0:
                self._give_up(store, timeout)
            if not store._wait(key, pause, left):
                time.sleep(pause if left is None else min(pause, left))
        if self.evict:
            store.evict(key)
        if store.metrics is not None:
            elapsed_ms = (time.perf_counter() - start) * 1e3
            store.metrics.add_time('factory.polling_resolve', key, elapsed_ms)
        if type(obj) is _Failure:
            raise obj.exception()
        result: Any = obj
        return result  # type: ignore[no-any-return]

    def _give_up(self, store: Store[Any], timeout: float | None) -> None:
        polling_timeout = self._polling_timeout
        if timeout is not None and (
            polling_timeout is None or timeout < polling_timeout
        ):
            raise TimeoutError(
                f'There is no result with the key {self.key} after {timeout} s.'
            )
        raise ProxyResolveMissingKeyError(self.key, type(store), store.name)


def _polling_store_factory(
    plain: Any,
    polling_interval: float,
    polling_backoff_factor: float,
    polling_interval_limit: float | None,
    polling_timeout: float | None,
) -> PollingStoreFactory[Any, Any]:
    """Make a factory of its pickle; the name and arguments are wire format."""
    return PollingStoreFactory(
        plain.key,
        plain._recipe,
        deserializer=plain.deserializer,
        evict=plain.evict,
        polling_interval=polling_interval,
        polling_backoff_factor=polling_backoff_factor,
        polling_interval_limit=polling_interval_limit,
        polling_timeout=polling_timeout,
    )


class _Failure:
    """What lies in a store where an exception was set instead of a result.

    The exception stays pickled until it is raised: each waiter gets one of
    its own.
    """

    def __init__(self, pickled: bytes, text: str) -> None:
        self._pickled = pickled
        self._text = text

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._pickled, self._text)

    @classmethod
    def of(cls, exception: BaseException) -> Self:
        import pickle
        import traceback

        text = ''.join(traceback.format_exception(exception))
        try:
            pickled = pickle.dumps(exception)
            pickle.loads(pickled)  # some exceptions can only be pickled
        except Exception:
            message = f'{type(exception).__name__}: {exception}'
            pickled = pickle.dumps(RuntimeError(message))
        return cls(pickled, text)

    def to_bytes(self) -> bytes:
        """Return the frame, which no serializer of the user's has a part in."""
        return _core.serialize(self)

    def exception(self) -> BaseException:
        """Return the exception; its cause shows the producer's traceback."""
        import pickle

        exception: BaseException = pickle.loads(self._pickled)
        exception.__cause__ = _ProducerTraceback(self._text)
        return exception


class _ProducerTraceback(Exception):
    """Shows where the producer of a result failed."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def _or_failure(deserializer: DeserializerT | None) -> DeserializerT | None:
    """Let a user's deserializer see results only, and never a failure."""
    if deserializer is None:
        return None

    def _deserialize(data: Any) -> Any:
        if bytes(data[:4]) == b'PXF1':
            found = _core.deserialize(data)
            if type(found) is _Failure:
                return found
        return deserializer(data)

    return _deserialize
