"""The sending end of a stream."""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar

from proxystore import _core
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import Event
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import key_path

if TYPE_CHECKING:
    import sys
    from types import TracebackType

    from proxystore.store.base import Store
    from proxystore.stream.protocols import Filter
    from proxystore.stream.protocols import Publisher

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['INLINE_BELOW', 'StreamProducer']

T = TypeVar('T')

INLINE_BELOW = 32 * 1024
"""A good `inline_below` for brokers of which nothing more is known."""


_Item = tuple[Any, bool, dict[str, Any]]
"""An object, whether it is evicted once it was resolved, and its metadata."""


class StreamProducer(Generic[T]):
    """Sends objects to topics.

    The objects of a topic go into its store and their keys into the events
    that are published; a topic without a store has its objects in the events.
    A producer may be used by several threads; the objects that one thread
    sends to one topic arrive in order.

    Args:
        publisher: Publishes the events, see `proxystore.stream.shims`.
        aggregator: Makes one object of the objects of a batch, which is sent
            in their place. Its metadata are those of all of them, the later
            winning.
        batch_size: How many objects of a topic make a batch, which is put at
            once and published as one message.
        default_store: Store of the topics that `stores` does not name; None
            for objects in the events.
        filter_: Drops the objects for whose metadata it returns True.
        stores: Store of each topic; None for objects in the events.
        inline_below: Objects of topics with a store that are smaller than
            this many bytes, once serialized, travel in the event instead,
            which spares them the way through the store. A consumer gets a
            proxy all the same, as of an object that was resolved and
            evicted. 0 puts every object. If not given, it is the
            `inline_below` of the publisher (0 if it has none), and objects
            that are sent with `evict=False` go into their store at any size.

    Attributes:
        publisher: The publisher.

    Raises:
        TypeError: If `publisher` is none.
        ValueError: If `inline_below` is negative.

    Example:
        >>> from queue import Queue
        >>> from proxystore.stream.shims.queue import QueuePublisher
        >>> queue = Queue()
        >>> with StreamProducer(QueuePublisher({'topic': queue})) as producer:
        ...     producer.send('topic', 'hello')
        >>> queue.qsize()
        1
    """

    def __init__(
        self,
        publisher: Publisher,
        *,
        aggregator: Callable[[list[T]], T] | None = None,
        batch_size: int = 1,
        default_store: Store[Any] | None = None,
        filter_: Filter | None = None,
        stores: Mapping[str, Store[Any] | None] | None = None,
        inline_below: int | None = None,
    ) -> None:
        if inline_below is not None and inline_below < 0:
            raise ValueError(
                f'inline_below={inline_below} cannot be negative: use 0 to put '
                'every object into its store'
            )
        self.publisher = publisher
        self._send_message, self._send_events = _senders_of(publisher)
        self._aggregator = aggregator
        self._default_store = default_store
        self._filter = filter_
        self._stores = dict(stores or {})
        self._inline_kept_too = inline_below is not None
        default: int = getattr(publisher, 'inline_below', 0)
        self._inline_below = default if inline_below is None else inline_below
        self._batches = _core.Batches(batch_size)
        self._recipes: dict[str, tuple[Any, ...]] = {}
        self._places: dict[str, tuple[bytes, type[Any] | None]] = {}
        # Held while a batch is sent: order is kept, and the sockets of some
        # brokers are not for several threads. An aggregator may send, too.
        self._lock = threading.RLock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(
        self,
        *,
        topics: Iterable[str] = (),
        publisher: bool = True,
        stores: bool = False,
    ) -> None:
        """Send what waits, and close.

        Args:
            topics: Topics to close first, see `close_topics`.
            publisher: Whether the publisher is closed.
            stores: Whether the stores of the topics are closed. Proxies that
                were not resolved yet may not be resolvable any more.
        """
        self.close_topics(*topics)
        self.flush()
        if publisher:
            self.publisher.close()
        if stores:
            used = (self._default_store, *self._stores.values())
            for store in {id(s): s for s in used if s is not None}.values():
                store.close()

    def close_topics(self, *topics: str) -> None:
        """Send what waits in these topics, and tell consumers of their end.

        Args:
            topics: The topics. One that is closed already stays closed.
        """
        with self._lock:
            for topic in topics:
                if not self._batches.is_closed(topic):
                    self._flush(topic, end=True)
                    self._batches.close(topic)

    def flush(self) -> None:
        """Send what waits in all topics, as batches that are not full."""
        with self._lock:
            for topic in self._batches.topics():
                self._flush(topic)

    def flush_topic(self, topic: str) -> None:
        """Send what waits in a topic, as a batch that is not full.

        Args:
            topic: The topic.
        """
        with self._lock:
            self._flush(topic)

    def send(
        self,
        topic: str,
        obj: T,
        *,
        evict: bool = True,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Send an object, once its batch is full.

        If sending fails, nothing of the batch was published, and the objects
        that earlier calls left in it wait for the next attempt.

        Args:
            topic: Topic of the object.
            obj: The object. It is serialized when its batch is sent.
            evict: Whether the object is evicted once a consumer resolved it,
                or dropped it by its filter. False if several consumers of
                the topic are to resolve it.
            metadata: Sent along: consumers see it without resolving.

        Raises:
            TopicClosedError: If the topic was closed.
        """
        metadata = {} if metadata is None else metadata
        with self._lock:
            if self._filter is not None:
                self._batches.check(topic)
                if self._filter(metadata):
                    return
            batch = self._batches.push(topic, (obj, evict, metadata))
            if batch is None:
                return
            try:
                self._publish(topic, batch)
            except BaseException:
                # The caller knows of this one.
                self._batches.restore(topic, batch[:-1])
                raise

    def _flush(self, topic: str, *, end: bool = False) -> None:
        items = self._batches.take(topic)
        if not items and not end:
            return
        try:
            self._publish(topic, items, end=end)
        except BaseException:
            self._batches.restore(topic, items)
            raise

    def _publish(self, topic: str, items: list[_Item], *, end: bool = False) -> None:
        """Send a batch; if that fails, nothing of it stays."""
        if items and self._aggregator is not None:
            items = [_aggregate(self._aggregator, items)]
        store = self._stores.get(topic, self._default_store)
        if self._send_message is None:
            self._publish_events(topic, items, store, end)
            return
        message, keys = _core.put_message(
            topic,
            items,
            end,
            None if store is None else (store, *self._place_of(store)),
            self._inline_below,
            self._inline_kept_too,
        )
        try:
            self._send_message(topic, message)
        except BaseException:
            if store is not None:
                for key in keys:
                    store.evict(key)
            raise

    def _publish_events(
        self, topic: str, items: list[_Item], store: Store[Any] | None, end: bool
    ) -> None:
        events = self._events_of(topic, items, store)
        if end:
            events.append(EndOfStreamEvent(topic))
        try:
            self._send_events(EventBatch(topic, events))
        except BaseException:
            if store is not None:
                for event in events:
                    if isinstance(event, NewObjectKeyEvent):
                        store.evict(event.get_key())
            raise

    def _recipe_of(self, store: Store[Any]) -> tuple[Any, ...]:
        recipe = self._recipes.get(store.name)
        if recipe is None:
            recipe = self._recipes[store.name] = store._make_recipe()
        return recipe

    def _place_of(self, store: Store[Any]) -> tuple[bytes, type[Any] | None]:
        """Return how a store stands in messages, and the class of its keys."""
        place = self._places.get(store.name)
        if place is None:
            from proxystore.stream._wire import own_key_class
            from proxystore.stream._wire import pack_store

            recipe = self._recipe_of(store)
            place = pack_store(recipe), own_key_class(recipe[1])
            self._places[store.name] = place
        return place

    def _events_of(
        self, topic: str, items: list[_Item], store: Store[Any] | None
    ) -> list[Event]:
        if store is None:
            return [NewObjectEvent(topic, obj, metadata) for obj, _, metadata in items]
        recipe = self._recipe_of(store)
        results = _core.put_or_frame(
            store, items, self._inline_below, self._inline_kept_too
        )
        events: list[Event] = []
        for (_, evict, metadata), result in zip(items, results, strict=True):
            if type(result) is bytes:
                event: Event = InlineObjectEvent(topic, result, metadata, recipe)
            else:
                path = key_path(type(result))
                event = NewObjectKeyEvent(
                    topic, path, list(result), evict, metadata, recipe
                )
            events.append(event)
        return events


def _senders_of(publisher: Any) -> tuple[Any, Any]:
    """Return what sends messages and, if there is no such, what sends events."""
    send_events: Any = getattr(publisher, 'send_events', None)
    if send_events is not None:
        return None, send_events
    send_message: Any = getattr(publisher, 'send_message', None)
    if send_message is None:
        raise TypeError(
            f'{type(publisher).__name__} is no publisher: it has neither '
            'send_events() nor send_message(). See proxystore.stream.protocols.'
        )
    return send_message, None


def _aggregate(aggregator: Callable[[list[Any]], Any], items: list[_Item]) -> _Item:
    together: dict[str, Any] = {}
    for _, _, metadata in items:
        together.update(metadata)
    obj = aggregator([obj for obj, _, _ in items])
    return obj, any(evict for _, evict, _ in items), together
