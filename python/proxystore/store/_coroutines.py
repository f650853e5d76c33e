"""What a store has for asynchronous programs."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeVar

from proxystore import _core
from proxystore.store._connector import native_of

if TYPE_CHECKING:
    from typing import Literal

    from proxystore.proxy import Proxy
    from proxystore.store.lifetimes import Lifetime
    from proxystore.store.types import ConnectorKeyT
    from proxystore.store.types import DeserializerT
    from proxystore.store.types import SerializerT

    _Access = Literal['auto', 'copy', 'cow', 'view']

T = TypeVar('T')


class StoreCoroutines(_core.StoreBase):
    """`put`, `get` and `proxy` that do not hold up an event loop."""

    _metrics: Any

    @functools.cached_property
    def _gathers(self) -> bool:
        """Whether calls of tasks that run side by side become batches."""
        native = native_of(self.connector)
        return (
            self._metrics is None
            and native is not None
            and bool(native.capability()['batch'])
        )

    async def aget(
        self,
        key: ConnectorKeyT,
        *,
        deserializer: DeserializerT | None = None,
        default: object | None = None,
        access: _Access | None = None,
    ) -> Any | None:
        """Return the object of a key, without holding up the event loop.

        The arguments are those of `get`. From connectors that are good at
        batches, such as Redis, what several tasks ask for side by side is
        fetched in one round trip.

        Example:
            >>> import asyncio
            >>> async def main(store):
            ...     key = await store.aput('hello')
            ...     return await store.aget(key)
            >>> from proxystore.store import Store
            >>> with Store('example') as store:
            ...     asyncio.run(main(store))
            'hello'
        """
        from proxystore.store._asynchronous import aget

        return await aget(
            self, key, deserializer=deserializer, default=default, access=access
        )

    async def aput(
        self,
        obj: Any,
        *,
        lifetime: Lifetime | None = None,
        serializer: SerializerT | None = None,
        snapshot: bool = False,
        **kwargs: Any,
    ) -> ConnectorKeyT:
        """Put an object, without holding up the event loop.

        The arguments are those of `put`. The object must not change until
        this has returned, also with `snapshot`, which is taken when a thread
        comes to it. Into connectors that are good at batches, such as
        Redis, what several tasks put side by side goes in one round trip.
        """
        from proxystore.store._asynchronous import aput

        key: ConnectorKeyT = await aput(
            self,
            obj,
            lifetime=lifetime,
            serializer=serializer,
            snapshot=snapshot,
            **kwargs,
        )
        return key

    async def aproxy(
        self,
        obj: T,
        *,
        evict: bool = False,
        lifetime: Lifetime | None = None,
        serializer: SerializerT | None = None,
        deserializer: DeserializerT | None = None,
        populate_target: bool | None = None,
        skip_nonproxiable: bool = False,
        snapshot: bool = False,
        **kwargs: Any,
    ) -> Proxy[T]:
        """Put an object and return a proxy, without holding up the event loop.

        The arguments are those of `proxy`. `await proxystore.aresolve(p)`
        resolves it elsewhere in the same manner.

        Raises:
            NonProxiableTypeError: For `None`, `True` or `False`.
        """
        if obj is None or isinstance(obj, bool) or (evict and lifetime is not None):
            # It is returned or refused, and nothing is put.
            return self.proxy(
                obj,
                evict=evict,
                lifetime=lifetime,
                skip_nonproxiable=skip_nonproxiable,
            )
        populate = self._populate_target if populate_target is None else populate_target
        key = await self.aput(
            obj,
            lifetime=lifetime,
            serializer=serializer,
            snapshot=snapshot,
            **kwargs,
        )
        return self._proxy_of(key, evict, deserializer, obj if populate else None)
