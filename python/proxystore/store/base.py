"""The store: a codec, a cache and a connector under one name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import Literal
from typing import TypeVar
from typing import cast

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.store._batch import proxy_batch
from proxystore.store._connector import check_connector
from proxystore.store._connector import make_recipe
from proxystore.store._connector import native_of
from proxystore.store._coroutines import StoreCoroutines
from proxystore.store.cache import LRUCache
from proxystore.store.cache import machine_memory
from proxystore.store.types import ConnectorT

if TYPE_CHECKING:
    import sys
    from types import TracebackType

    from proxystore.store.config import StoreConfig
    from proxystore.store.future import Future
    from proxystore.store.lifetimes import Lifetime
    from proxystore.store.metrics import StoreMetrics
    from proxystore.store.ref import OwnedProxy
    from proxystore.store.types import ConnectorKeyT
    from proxystore.store.types import DeserializerT
    from proxystore.store.types import SerializerT

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['NonProxiableT', 'Store', 'T']

T = TypeVar('T')
NonProxiableT = TypeVar('NonProxiableT', bool, None)
"""What cannot be proxied: `True`, `False` and `None`."""


class Store(StoreCoroutines, Generic[ConnectorT]):
    """Puts objects into a connector and gets them back, by key or by proxy.

    What was put stays until it is evicted or its store's owner closes the
    store. Safe under threads, and in forked processes.

    Args:
        name: Name of the store; proxies find it by this name where it is
            registered.
        connector: Where the objects go. If none is given: this machine's
            shared memory, spilling to disk, for as long as a process of this
            program lives.
        serializer: Used instead of our own codecs; returns bytes.
        deserializer: Used instead of our own codecs; is given those bytes.
        cache_size: Most resolved objects that are kept for further use; 0
            turns the cache off.
        metrics: Whether times and sizes are recorded, see `metrics`.
        populate_target: Whether a new proxy holds its object already, in the
            process that made it.
        register: Whether the store is registered by its name at once.
        cache_bytes: Most bytes that the cache keeps; a quarter of the
            machine's memory if not given.
        lifetime: `'process'` for objects that go when the process that put
            them ends, however it ends: removed by the store that is opened
            next in that place (files, shared memory), or after a minute by
            the server (Redis). `close()` removes them, too. It holds for what
            this store puts, not for stores that its proxies open elsewhere.
        compression: `'zstd'` or `'lz4'` for objects that a trial says it makes
            shorter; `'auto'` to let the connector's speed decide as well.
        checksum: Whether every byte of an object is checked when it is read;
            its description always is.
        encryption: Names the key that objects are encrypted with,
            `'env:NAME'` or `'file:/path'`. Whoever opens this store, by its
            proxies too, refuses every object that was not.
        signing: As `encryption`, but objects are signed and stay readable.
        pickle: Whether objects may be pickled. Loading a pickle runs what it
            names; without, only data is put and taken.

    Raises:
        ConnectorConfigError: If `encryption` or `signing` names no sound key.
        ConnectorUnsupportedError: If `lifetime` is given and the connector
            cannot keep to it.
        StoreExistsError: If `register` and the name is taken.
        ValueError: If `cache_size` is negative.

    Example:
        >>> from proxystore.store import Store
        >>> with Store('example', register=True) as store:
        ...     p = store.proxy([1, 2, 3])
        ...     sum(p)
        6
    """

    def __init__(
        self,
        name: str,
        connector: ConnectorT | None = None,
        *,
        serializer: SerializerT | None = None,
        deserializer: DeserializerT | None = None,
        cache_size: int = 16,
        metrics: bool = False,
        populate_target: bool = True,
        register: bool = False,
        cache_bytes: int | None = None,
        lifetime: Literal['process'] | None = None,
        compression: Literal['auto', 'zstd', 'lz4'] | None = None,
        checksum: bool = False,
        encryption: str | None = None,
        signing: str | None = None,
        pickle: bool = True,
    ) -> None:
        super().__init__()
        if not isinstance(name, str):
            raise TypeError(
                f'the name of a store is a string, not {type(name).__name__}'
            )
        if cache_size < 0:
            raise ValueError(
                f'cache_size={cache_size} cannot be negative: use 0 to turn '
                'the cache off'
            )
        if connector is None:
            from proxystore.connectors.shared_memory import SharedMemoryConnector

            connector = cast(ConnectorT, SharedMemoryConnector())
        check_connector(connector)
        self._metrics: StoreMetrics | None = None
        self._bound: _core.NativeConnector | None = None
        if metrics:
            from proxystore.store.metrics import StoreMetrics

            self._metrics = StoreMetrics()
        self._register = register
        self._cache_bytes = cache_bytes
        self._sealing: dict[str, Any] | None = None
        seal: _core.Seal | None = None
        if not (
            compression is encryption is signing is None and pickle and not checksum
        ):
            from proxystore.store._sealing import make_seal

            seal, self._sealing = make_seal(
                compression, checksum, encryption, signing, pickle
            )
        native = native_of(connector)
        if lifetime is not None:
            from proxystore.store._process import bind

            native = self._bound = bind(connector, native, lifetime)
        self._open(
            name,
            connector,
            native,
            connector._key_class if native is not None else None,  # type: ignore[attr-defined]
            serializer,
            deserializer,
            LRUCache(
                cache_size,
                max_bytes=machine_memory() // 4 if cache_bytes is None else cache_bytes,
            ),
            populate_target,
            self._metrics,
            seal,
            checksum,
            pickle,
        )
        if register:
            from proxystore.store import register_store

            register_store(self)

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
        return (
            f'{type(self).__name__}(name={self.name}, '
            f'connector={self.connector!r}, '
            f'serializer={_name_of(self.serializer)}, '
            f'deserializer={_name_of(self.deserializer)}, '
            f'cache_size={self.cache.maxsize}, '
            f'metrics={self._metrics is not None}, '
            f'populate_target={self._populate_target}, '
            f'auto_register={self._register})'
        )

    @property
    def metrics(self) -> StoreMetrics | None:
        """Times and sizes of this store's operations, or None if off."""
        return self._metrics

    def _make_recipe(self) -> tuple[Any, ...]:
        """Return what a proxy carries to reopen this store elsewhere.

        It is `(name, kind, options, settings)`: plain values, so that
        reopening needs no pydantic. `kind` is a short name of a connector
        of ours, whose options are a tuple, or the path of a class, whose
        options are its `config()`.
        """
        return make_recipe(self)

    def config(self) -> StoreConfig:
        """Return what `from_config` needs to make an equal store."""
        from proxystore.store.config import StoreConfig

        return StoreConfig._from_recipe(self._make_recipe())

    @classmethod
    def from_url(
        cls, url: str, *, name: str | None = None, **kwargs: Any
    ) -> Store[Any]:
        """Open a store by the URL of its connector.

        Args:
            url: `shm://`, `memory://`, `file:///directory`,
                `redis://host:port`, `redis+unix:///socket`,
                `s3://bucket/prefix`, `gs://` or `az://`. A directory that is
                opened so is kept when the store is closed, unless
                `?clear=true` follows. `compression`, `checksum`, `encryption`,
                `signing` and `pickle` may follow, too.
            name: Name of the store; the URL if not given.
            kwargs: The other keyword arguments of `Store`.

        Raises:
            ConnectorConfigError: If the URL, or an option in it, is not
                known; the message names the nearest one.

        Example:
            >>> store = Store.from_url('memory://', name='example')
            >>> store.connector
            LocalConnector()
        """
        from proxystore.store._urls import open_connector
        from proxystore.store._urls import split_settings

        place, settings = split_settings(url)
        return Store(name or url, open_connector(place), **{**settings, **kwargs})

    @classmethod
    def from_config(cls, config: StoreConfig) -> Store[Any]:
        """Open a store by its configuration.

        Args:
            config: What `config()` of a store returned, or read from a file.
        """
        # A subclass whose arguments are its own cannot be called like this.
        opener: Any = cls if cls.__init__ is Store.__init__ else Store
        store: Store[Any] = opener(
            config.name,
            config.connector.get_connector(),
            serializer=config.serializer,
            deserializer=config.deserializer,
            cache_size=config.cache_size,
            metrics=config.metrics,
            populate_target=config.populate_target,
            register=config.auto_register,
            compression=config.compression,
            checksum=config.checksum,
            encryption=config.encryption,
            signing=config.signing,
            pickle=config.pickle,
        )
        return store

    def close(self, *args: Any, **kwargs: Any) -> None:
        """Unregister the store and close its connector.

        Call it when no proxy of this store will be resolved any more.

        Args:
            args: Passed on to the connector's `close`.
            kwargs: Passed on to the connector's `close`, such as `clear`.
        """
        if _core._registry.get(self.name) is self:
            del _core._registry[self.name]
        if self._bound is not None:
            self._bound.evict_bound()
        self.connector.close(*args, **kwargs)

    def set(
        self,
        obj: Any,
        *,
        serializer: SerializerT | None = None,
        **kwargs: Any,
    ) -> ConnectorKeyT:
        """Put an object: the older name of `put`.

        Args:
            obj: The object.
            serializer: Used instead of the store's.
            kwargs: Passed on to the connector.

        Returns:
            Its key.
        """
        key: ConnectorKeyT = self.put(obj, serializer=serializer, **kwargs)
        return key

    def proxy_batch(
        self,
        objs: Sequence[T],
        *,
        evict: bool = False,
        lifetime: Lifetime | None = None,
        serializer: SerializerT | None = None,
        deserializer: DeserializerT | None = None,
        populate_target: bool | None = None,
        skip_nonproxiable: bool = False,
        snapshot: bool = False,
        **kwargs: Any,
    ) -> list[Proxy[T]]:
        """Put several objects at once and return proxies of them.

        Args:
            objs: The objects.
            evict: Whether each proxy evicts its object when it is resolved.
            lifetime: Evicts the objects when it ends; excludes `evict`.
            serializer: Used instead of the store's.
            deserializer: Used by the proxies instead of the store's.
            populate_target: Whether the proxies hold their objects already.
            skip_nonproxiable: Whether `None`, `True` and `False` are
                returned as they are instead of raising.
            snapshot: Whether each object's buffers are copied first, see
                `put`.
            kwargs: Passed on to the connector.

        Returns:
            A proxy for each object, in order.

        Raises:
            NonProxiableTypeError: For `None`, `True` or `False`.
        """
        return proxy_batch(
            self,
            objs,
            evict=evict,
            lifetime=lifetime,
            serializer=serializer,
            deserializer=deserializer,
            populate_target=populate_target,
            skip_nonproxiable=skip_nonproxiable,
            snapshot=snapshot,
            **kwargs,
        )

    def locked_proxy(
        self,
        obj: T,
        *,
        evict: bool = False,
        lifetime: Lifetime | None = None,
        serializer: SerializerT | None = None,
        deserializer: DeserializerT | None = None,
        populate_target: bool | None = None,
        skip_nonproxiable: bool = True,
        snapshot: bool = False,
        **kwargs: Any,
    ) -> ProxyLocker[T]:
        """Put an object and return a proxy that cannot be resolved by accident.

        `unlock()` of what is returned gives the proxy. The arguments are
        those of `proxy`.
        """
        proxy: Any = self.proxy(
            obj,
            evict=evict,
            lifetime=lifetime,
            serializer=serializer,
            deserializer=deserializer,
            populate_target=populate_target,
            skip_nonproxiable=skip_nonproxiable,
            snapshot=snapshot,
            **kwargs,
        )
        if type(proxy) is not Proxy:  # what cannot be proxied comes back as it is
            return cast('ProxyLocker[T]', proxy)
        return ProxyLocker(cast('Proxy[T]', proxy))

    def owned_proxy(
        self,
        obj: T,
        *,
        serializer: SerializerT | None = None,
        deserializer: DeserializerT | None = None,
        populate_target: bool | None = None,
        skip_nonproxiable: bool = True,
        snapshot: bool = False,
        **kwargs: Any,
    ) -> OwnedProxy[T]:
        """Put an object and return its owner: it is evicted when that goes.

        See `proxystore.store.ref` for borrowing from it. The other arguments
        are those of `proxy`.

        Args:
            obj: The object.
            serializer: Used instead of the store's.
            deserializer: Used by the proxy instead of the store's.
            populate_target: Whether the proxy holds its object already.
            skip_nonproxiable: Whether `None`, `True` and `False` are
                returned as they are instead of raising.
            snapshot: Whether each object's buffers are copied first, see
                `put`.
            kwargs: Passed on to the connector.

        Raises:
            NonProxiableTypeError: For `None`, `True` or `False`.
        """
        proxy: Any = self.proxy(
            obj,
            serializer=serializer,
            deserializer=deserializer,
            populate_target=populate_target,
            skip_nonproxiable=skip_nonproxiable,
            snapshot=snapshot,
            **kwargs,
        )
        if type(proxy) is not Proxy:  # what cannot be proxied comes back as it is
            return cast('OwnedProxy[T]', proxy)
        from proxystore.store.ref import OwnedProxy

        factory: Any = proxy.__proxy_factory__
        owned: OwnedProxy[T] = _core._own(OwnedProxy, factory, proxy, True)
        owned.__proxy_store__ = self
        return owned

    def future(
        self,
        *,
        evict: bool = False,
        serializer: SerializerT | None = None,
        deserializer: DeserializerT | None = None,
        polling_interval: float = 1,
        polling_backoff_factor: float = 1,
        polling_interval_limit: float | None = None,
        polling_timeout: float | None = None,
    ) -> Future[T]:  # pyright: ignore[reportInvalidTypeVarUse]
        """Return a future whose result travels through this store.

        Args:
            evict: Whether the result is evicted once it is taken.
            serializer: Used for the result instead of the store's.
            deserializer: Used for the result instead of the store's.
            polling_interval: Seconds until the store is asked again for the
                result. Where the connector tells of it, waiting ends at once
                at any interval.
            polling_backoff_factor: What the interval is multiplied by each
                time.
            polling_interval_limit: Longest interval in seconds.
            polling_timeout: Most seconds to wait for the result.

        Raises:
            NotImplementedError: If the connector cannot make a key before
                its object is there.
        """
        from proxystore.store.future import _announce

        return _announce(
            self,
            evict=evict,
            serializer=serializer,
            deserializer=deserializer,
            polling_interval=polling_interval,
            polling_backoff_factor=polling_backoff_factor,
            polling_interval_limit=polling_interval_limit,
            polling_timeout=polling_timeout,
        )


def _name_of(function: Any) -> str:
    if function is None:
        return 'default'
    module = getattr(function, '__module__', '?')
    return f'{module}.{getattr(function, "__qualname__", repr(function))}'
