"""The receiving end of a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from collections.abc import Generator
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar
from typing import cast

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.store import _reopen
from proxystore.stream._wire import END
from proxystore.stream._wire import INLINE
from proxystore.stream._wire import KEY
from proxystore.stream._wire import VALUE
from proxystore.stream._wire import Row
from proxystore.stream._wire import key_of
from proxystore.stream._wire import read
from proxystore.stream._wire import row_of
from proxystore.stream.events import EventBatch

if TYPE_CHECKING:
    import sys
    from concurrent.futures import Future
    from types import TracebackType

    from proxystore.proxy import ProxyOr
    from proxystore.store.base import Store
    from proxystore.stream._worker import Worker
    from proxystore.stream.protocols import Filter
    from proxystore.stream.protocols import Subscriber

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['StreamConsumer']

T = TypeVar('T')


class StreamConsumer(Generic[T]):
    """Receives the objects of a stream: proxies, or the objects themselves.

    For a topic with a store, `next` and iteration yield proxies, and those
    methods that have `object` in their name resolve them. For a topic without
    one, both yield the objects. Iteration, `async for` as well, ends when the
    producer closes the topic. The store of a topic is opened and registered when its first event
    is received. A consumer is used by one thread at a time.

    Args:
        subscriber: Receives the events, see `proxystore.stream.shims`.
        filter_: Drops the objects for whose metadata it returns True; they
            are evicted if the producer asked for that.

    Attributes:
        subscriber: The subscriber.

    Raises:
        TypeError: If `subscriber` is none.

    Example:
        >>> from queue import Queue
        >>> from proxystore.stream import StreamProducer
        >>> from proxystore.stream.shims.queue import QueuePublisher
        >>> from proxystore.stream.shims.queue import QueueSubscriber
        >>> queue = Queue()
        >>> producer = StreamProducer(QueuePublisher({'topic': queue}))
        >>> producer.send('topic', 'hello', metadata={'number': 1})
        >>> producer.close(topics=['topic'])
        >>> with StreamConsumer(QueueSubscriber(queue)) as consumer:
        ...     list(consumer.iter_with_metadata())
        [({'number': 1}, 'hello')]
    """

    def __init__(
        self, subscriber: Subscriber, *, filter_: Filter | None = None
    ) -> None:
        self.subscriber = subscriber
        self._receive = _receiver_of(subscriber)
        self._filter = filter_
        self._rows: deque[Row] = deque()
        self._stores: dict[str, Store[Any]] = {}
        self._last_recipe: tuple[Any, ...] | None = None
        self._last_store: Store[Any] | None = None
        self._worker: Worker | None = None
        self._waiting: Future[tuple[dict[str, Any], ProxyOr[T]] | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ProxyOr[T]:
        return self.next()

    def close(self, *, stores: bool = False, subscriber: bool = True) -> None:
        """Close the subscriber.

        Args:
            stores: Whether the stores that events came from are closed and
                unregistered. Proxies of theirs that were not resolved yet may
                not be resolvable any more.
            subscriber: Whether the subscriber is closed.
        """
        if self._worker is not None:
            self._worker.stop()
            self._worker = self._waiting = None
        if stores:
            for store in self._stores.values():
                store.close()
            self._stores.clear()
            self._last_recipe = self._last_store = None
        if subscriber:
            self.subscriber.close()

    def iter_with_metadata(
        self,
    ) -> Generator[tuple[dict[str, Any], ProxyOr[T]], None, None]:
        """Iterate as `next_with_metadata`, until the end of the stream."""
        return _until_end(self.next_with_metadata)

    def iter_objects(self) -> Generator[T, None, None]:
        """Iterate as `next_object`, until the end of the stream."""
        return _until_end(self.next_object)

    def iter_objects_with_metadata(
        self,
    ) -> Generator[tuple[dict[str, Any], T], None, None]:
        """Iterate as `next_object_with_metadata`, until the end of the stream."""
        return _until_end(self.next_object_with_metadata)

    def next(self) -> ProxyOr[T]:
        """Wait for the next object.

        Returns:
            A proxy if its topic has a store, otherwise the object.

        Raises:
            StopIteration: If the producer closed the topic.
        """
        return self.next_with_metadata()[1]

    def next_with_metadata(self) -> tuple[dict[str, Any], ProxyOr[T]]:
        """Wait for the next object, and return what was sent along with it.

        Returns:
            The metadata; and a proxy if the topic has a store, otherwise the
            object.

        Raises:
            StopIteration: If the producer closed the topic.
        """
        row = self._next_row()
        kind, metadata, content, recipe, evict, _ = row
        if kind == INLINE:
            self._store_of(recipe)
            return metadata, _core.inline_proxy(content, recipe)
        if kind == KEY:
            store = self._store_of(recipe)
            return metadata, store.proxy_from_key(key_of(row), evict=evict)
        return metadata, content

    def next_object(self) -> T:
        """Wait for the next object and resolve it.

        Raises:
            ProxyResolveError: If its store does not have it any more.
            StopIteration: If the producer closed the topic.
        """
        return self.next_object_with_metadata()[1]

    def next_object_with_metadata(self) -> tuple[dict[str, Any], T]:
        """Wait for the next object, resolve it, and return its metadata too.

        Raises:
            ProxyResolveError: If its store does not have it any more.
            StopIteration: If the producer closed the topic.
        """
        metadata, obj = self.next_with_metadata()
        # A proxy is an instance of its target's class: only its type tells.
        if issubclass(type(obj), Proxy):
            return metadata, extract(cast('Proxy[T]', obj))
        return metadata, cast(T, obj)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ProxyOr[T]:
        return (await self.anext_with_metadata())[1]

    async def anext(self) -> ProxyOr[T]:
        """Wait for the next object, as `next`, beside an event loop.

        `async for` calls this. One thread of the consumer's own waits for
        messages, once for all objects of a batch. If a task that awaits is
        cancelled, the message that comes is for the next who asks. One task at
        a time may ask.

        Raises:
            StopAsyncIteration: If the producer closed the topic.
        """
        return (await self.anext_with_metadata())[1]

    async def anext_with_metadata(self) -> tuple[dict[str, Any], ProxyOr[T]]:
        """Wait for the next object and its metadata, beside an event loop.

        Raises:
            StopAsyncIteration: If the producer closed the topic.
        """
        if self._waiting is None and self._has_next():
            return self.next_with_metadata()
        import asyncio

        from proxystore.stream._worker import Worker

        if self._worker is None:
            self._worker = Worker()
        if self._waiting is None or self._waiting.cancelled():
            self._waiting = self._worker.call(self._next_or_end)
        try:
            found = await asyncio.wrap_future(self._waiting)
        except asyncio.CancelledError:
            raise  # what comes, or came at this moment, is for the next who asks
        except BaseException:
            self._waiting = None
            raise
        self._waiting = None
        if found is None:
            raise StopAsyncIteration
        return found

    async def anext_object(self) -> T:
        """Wait for the next object and resolve it, beside an event loop.

        Raises:
            ProxyResolveError: If its store does not have it any more.
            StopAsyncIteration: If the producer closed the topic.
        """
        return (await self.anext_object_with_metadata())[1]

    async def anext_object_with_metadata(self) -> tuple[dict[str, Any], T]:
        """Wait for the next object, resolve it, and return its metadata too.

        Raises:
            ProxyResolveError: If its store does not have it any more.
            StopAsyncIteration: If the producer closed the topic.
        """
        from proxystore.store._asynchronous import aresolve

        metadata, obj = await self.anext_with_metadata()
        if issubclass(type(obj), Proxy):
            return metadata, await aresolve(cast('Proxy[T]', obj))
        return metadata, cast(T, obj)

    def _has_next(self) -> bool:
        """Whether `next` returns what was received already, and waits for nothing.

        Such are the objects of a batch after the first one. A filter may
        evict, and a store that is not open yet may connect.
        """
        if not self._rows or self._filter is not None:
            return False
        kind, _, _, recipe, _, _ = self._rows[0]
        known = recipe is self._last_recipe or recipe == self._last_recipe
        return kind == VALUE or (kind != END and known)

    def _next_or_end(self) -> tuple[dict[str, Any], ProxyOr[T]] | None:
        # A future cannot hold a StopIteration.
        try:
            return self.next_with_metadata()
        except StopIteration:
            return None

    def _next_row(self) -> Row:
        """Return the next object that the filter keeps."""
        while True:
            while not self._rows:
                self._rows.extend(self._receive())
            row = self._rows.popleft()
            kind, metadata, _, recipe, evict, _ = row
            if kind == END:
                raise StopIteration
            if self._filter is None:
                return row
            store = None if kind == VALUE else self._store_of(recipe)
            if not self._filter(metadata):
                return row
            if kind == KEY and evict and store is not None:
                store.evict(key_of(row))

    def _store_of(self, recipe: tuple[Any, ...]) -> Store[Any]:
        store = self._last_store
        if store is None or (
            recipe is not self._last_recipe and recipe != self._last_recipe
        ):
            store = self._stores.get(recipe[0])
            if store is None:
                store = self._stores[recipe[0]] = _reopen(recipe)
            self._last_recipe, self._last_store = recipe, store
        return store


def _receiver_of(subscriber: Any) -> Callable[[], list[Row]]:
    next_events: Any = getattr(subscriber, 'next_events', None)
    if next_events is not None:
        return lambda: _rows_of(next_events())
    next_message: Any = getattr(subscriber, 'next_message', None)
    if next_message is None:
        raise TypeError(
            f'{type(subscriber).__name__} is no subscriber: it has neither '
            'next_events() nor next_message(). See proxystore.stream.protocols.'
        )
    return lambda: read(next_message())[2]


def _rows_of(received: Any) -> list[Row]:
    if isinstance(received, EventBatch):
        return [row_of(event) for event in received.events]
    return [row_of(received)]


def _until_end(following: Callable[[], Any]) -> Generator[Any, None, None]:
    while True:
        try:
            item = following()
        except StopIteration:
            return
        yield item
