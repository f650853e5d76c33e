"""The store's operations for asyncio.

Blocking calls run in a few threads. Where the connector moves a batch in
fewer round trips than its objects one by one, calls of tasks that run side by
side are gathered: everything that is asked for in one turn of the event loop
goes out as one batch, from one thread.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar

from proxystore import _core
from proxystore._offload import offload
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store.factory import StoreFactory

if TYPE_CHECKING:
    from proxystore.store._coroutines import StoreCoroutines

T = TypeVar('T')
Asked = TypeVar('Asked')

_LARGEST_BATCH = 128
"""So that the first of many need not wait for the last."""


class _Gathering(Generic[Asked]):
    """Gathers what is asked for in one turn of an event loop."""

    def __init__(self, answer: Callable[[list[Asked]], list[Any]]) -> None:
        self._answer = answer
        self._asked: list[tuple[Asked, asyncio.Future[Any]]] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def ask(self, question: Asked) -> Any:
        loop = asyncio.get_running_loop()
        if not self._asked:
            loop.call_soon(self._send)
        future = loop.create_future()
        self._asked.append((question, future))
        return await future

    def _send(self) -> None:
        asked, self._asked = self._asked, []
        for start in range(0, len(asked), _LARGEST_BATCH):
            task = asyncio.ensure_future(
                self._serve(asked[start : start + _LARGEST_BATCH])
            )
            self._tasks.add(task)  # a loop alone does not keep its tasks alive
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, asked: list[tuple[Asked, asyncio.Future[Any]]]) -> None:
        # Those who were cancelled meanwhile need no answer.
        asked = [(question, future) for question, future in asked if not future.done()]
        if not asked:
            return
        answers: list[Any]
        try:
            answers = await offload(self._answer, [question for question, _ in asked])
        except Exception as error:
            if len(asked) > 1:
                # One of them may be at fault: each gets its own answer.
                for one in asked:
                    await self._serve([one])
                return
            answers = [error]
        except BaseException:
            for _, future in asked:
                future.cancel()
            raise
        for (_, future), answer in zip(asked, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer)
            else:
                future.set_result(answer)


class _Batches:
    """The gatherings of one store in one event loop."""

    def __init__(self, store: StoreCoroutines) -> None:
        # The loop that keeps this must not keep the store alive for it.
        reference = weakref.ref(store)

        def own() -> StoreCoroutines:
            found = reference()
            if found is None:
                raise RuntimeError('the store of this call is gone')
            return found

        self.gets = _Gathering[Any](lambda keys: _core.get_many(own(), keys))
        self.puts = _Gathering[Any](lambda objs: own().put_batch(objs))


_batches: weakref.WeakKeyDictionary[Any, weakref.WeakKeyDictionary[Any, _Batches]] = (
    weakref.WeakKeyDictionary()
)


def _batches_of(store: StoreCoroutines) -> _Batches | None:
    """Return the gatherings of a store, if its connector is good at batches."""
    if not store._gathers:
        return None
    of_loop = _batches.setdefault(
        asyncio.get_running_loop(), weakref.WeakKeyDictionary()
    )
    batches = of_loop.get(store)
    if batches is None:
        batches = of_loop[store] = _Batches(store)
    return batches


async def aget(
    store: StoreCoroutines,
    key: Any,
    *,
    deserializer: Any = None,
    default: Any = None,
    access: Any = None,
) -> Any:
    """As `Store.get`."""
    if deserializer is None and access in (None, 'auto'):
        if store.is_cached(key):
            # Another thread may have it dropped meanwhile: then this waits.
            return store.get(key, default=default)
        batches = _batches_of(store)
        if batches is not None:
            found = await batches.gets.ask(key)
            return default if found is None else found[0]
    return await offload(
        store.get, key, deserializer=deserializer, default=default, access=access
    )


async def aput(
    store: StoreCoroutines,
    obj: Any,
    *,
    lifetime: Any = None,
    serializer: Any = None,
    snapshot: bool = False,
    **kwargs: Any,
) -> Any:
    """As `Store.put`."""
    if lifetime is None and serializer is None and not snapshot and not kwargs:
        batches = _batches_of(store)
        if batches is not None:
            return await batches.puts.ask(obj)
    return await offload(
        store.put,
        obj,
        lifetime=lifetime,
        serializer=serializer,
        snapshot=snapshot,
        **kwargs,
    )


async def aresolve(proxy: Proxy[T]) -> T:
    """Resolve a proxy without holding up the event loop.

    Fetching and decoding run in one of a few threads; proxies of one Redis
    store that are awaited side by side are fetched in one round trip.

    Args:
        proxy: The proxy. Afterwards it holds its target.

    Returns:
        The target.

    Raises:
        ProxyResolveError: The factory failed.

    Example:
        >>> import asyncio
        >>> from proxystore import aresolve
        >>> from proxystore.proxy import Proxy
        >>> asyncio.run(aresolve(Proxy(lambda: 'hello')))
        'hello'
    """
    if is_resolved(proxy):
        return extract(proxy)
    factory: Any = get_factory(proxy)
    # Only where nobody's own `resolve` is passed over.
    if type(proxy) is Proxy and type(factory) is StoreFactory:
        gathered = not factory._is_pending and factory.deserializer is None
        store = _core._registry.get(factory._recipe[0]) if gathered else None
        batches = None if store is None else _batches_of(store)
        if store is not None and batches is not None:
            found = await batches.gets.ask(factory.key)
            if found is not None and not is_resolved(proxy):
                if factory.evict:
                    await offload(store.evict, factory.key)
                proxy.__proxy_wrapped__ = found[0]
                return extract(proxy)
    target: T = await offload(lambda: extract(proxy))
    return target
