"""The sending end of a stream."""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import NamedTuple
from typing import TypeVar

from proxystore import _core
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import Event
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import event_to_bytes
from proxystore.stream.events import key_path
from proxystore.stream.exceptions import TopicClosedError
from proxystore.stream.filters import NullFilter

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


class _Item(NamedTuple):
    obj: Any
    evict: bool
    metadata: dict[str, Any]


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
        self._send_batch = _sender_of(publisher)
        self._aggregator = aggregator
        self._batch_size = batch_size
        self._default_store = default_store
        self._filter: Filter = NullFilter() if filter_ is None else filter_
        self._stores = dict(stores or {})
        self._inline_kept_too = inline_below is not None
        default: int = getattr(publisher, 'inline_below', 0)
        self._inline_below = default if inline_below is None else inline_below
        self._waiting: dict[str, list[_Item]] = {}
        self._closed_topics: set[str] = set()
        self._recipes: dict[str, tuple[Any, ...]] = {}
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
                if topic not in self._closed_topics:
                    self._flush(topic, end=True)
                    self._closed_topics.add(topic)

    def flush(self) -> None:
        """Send what waits in all topics, as batches that are not full."""
        with self._lock:
            for topic in [*self._waiting]:
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
            if topic in self._closed_topics:
                raise TopicClosedError(
                    f'the topic {topic!r} was closed by this producer: nothing '
                    'can be sent to it any more'
                )
            if self._filter(metadata):
                return
            item = _Item(obj, evict, metadata)
            if self._batch_size <= 1 and topic not in self._waiting:
                self._publish(topic, [item])
                return
            waiting = self._waiting.setdefault(topic, [])
            waiting.append(item)
            if len(waiting) >= self._batch_size:
                try:
                    self._flush(topic)
                except BaseException:
                    # The caller knows of this one.
                    self._waiting[topic] = [w for w in waiting if w is not item]
                    raise

    def _flush(self, topic: str, *, end: bool = False) -> None:
        items = self._waiting.pop(topic, [])
        if not items and not end:
            return
        try:
            self._publish(topic, items, end=end)
        except BaseException:
            if items:
                # What an aggregator has sent meanwhile comes after them.
                self._waiting[topic] = items + self._waiting.get(topic, [])
            raise

    def _publish(self, topic: str, items: list[_Item], *, end: bool = False) -> None:
        """Send a batch; if that fails, nothing of it stays."""
        if items and self._aggregator is not None:
            items = [_aggregate(self._aggregator, items)]
        store = self._stores.get(topic, self._default_store)
        events = self._events_of(topic, items, store) if items else []
        if end:
            events.append(EndOfStreamEvent(topic))
        try:
            self._send_batch(EventBatch(topic, events))
        except BaseException:
            if store is not None:
                for event in events:
                    if isinstance(event, NewObjectKeyEvent):
                        store.evict(event.get_key())
            raise

    def _events_of(
        self, topic: str, items: list[_Item], store: Store[Any] | None
    ) -> list[Event]:
        if store is None:
            return [NewObjectEvent(topic, item.obj, item.metadata) for item in items]
        recipe = self._recipes.get(store.name)
        if recipe is None:
            recipe = self._recipes[store.name] = store._make_recipe()
        results = _core.put_or_frame(
            store,
            [item.obj for item in items],
            [item.evict for item in items],
            self._inline_below,
            self._inline_kept_too,
        )
        events: list[Event] = []
        for item, result in zip(items, results, strict=True):
            if type(result) is bytes:
                event: Event = InlineObjectEvent(topic, result, item.metadata, recipe)
            else:
                event = NewObjectKeyEvent(
                    topic,
                    key_path(type(result)),
                    list(result),
                    item.evict,
                    item.metadata,
                    recipe,
                )
            events.append(event)
        return events


def _sender_of(publisher: Any) -> Callable[[EventBatch], None]:
    send_events: Any = getattr(publisher, 'send_events', None)
    if send_events is not None:
        send: Callable[[EventBatch], None] = send_events
        return send
    send_message: Any = getattr(publisher, 'send_message', None)
    if send_message is None:
        raise TypeError(
            f'{type(publisher).__name__} is no publisher: it has neither '
            'send_events() nor send_message(). See proxystore.stream.protocols.'
        )

    def send_bytes(events: EventBatch) -> None:
        publisher.send_message(events.topic, event_to_bytes(events))

    return send_bytes


def _aggregate(aggregator: Callable[[list[Any]], Any], items: list[_Item]) -> _Item:
    metadata: dict[str, Any] = {}
    for item in items:
        metadata.update(item.metadata)
    obj = aggregator([item.obj for item in items])
    return _Item(obj, any(item.evict for item in items), metadata)
