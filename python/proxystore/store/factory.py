"""The factories in a store's proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar

from proxystore import _core
from proxystore.store.types import ConnectorT

if TYPE_CHECKING:
    from proxystore.store.base import Store
    from proxystore.store.config import StoreConfig
    from proxystore.store.types import ConnectorKeyT
    from proxystore.store.types import DeserializerT

__all__ = ['StoreFactory', 'T']

T = TypeVar('T')


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
