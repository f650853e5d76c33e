"""Producers and consumers, over queues."""

from __future__ import annotations

import queue
import threading
import uuid
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.exceptions import ProxyStoreError
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store import unregister_store
from proxystore.store.utils import get_key
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import EventBatch
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.exceptions import TopicClosedError
from proxystore.stream.filters import NullFilter
from proxystore.stream.filters import SamplingFilter
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber

from .ends import Counting
from .ends import Recorder
from .ends import pair


class Player:
    """Receives the events of a list."""

    def __init__(self, batches: list[EventBatch]) -> None:
        self.batches = iter(batches)
        self.closed = False

    def __iter__(self) -> Player:
        return self

    def __next__(self) -> EventBatch:
        return self.next_events()

    def next_events(self) -> EventBatch:
        return next(self.batches)

    def close(self) -> None:
        self.closed = True


def test_proxies_of_a_topic_with_a_store(store: Store[Any], line: Any) -> None:
    producer, consumer = pair(line, default_store=store)
    producer.send('t', [1, 2], metadata={'n': 2})
    metadata, proxy = consumer.next_with_metadata()
    assert metadata == {'n': 2}
    assert type(proxy) is Proxy
    assert not is_resolved(proxy)
    key = get_key(proxy)
    assert store.exists(key)
    assert proxy == [1, 2]
    assert not store.exists(key)  # evicted once it is resolved


def test_objects_of_a_topic_without_a_store(line: Any) -> None:
    producer, consumer = pair(line, stores={'t': None})
    for obj in (None, True, {'a': {1, 2}}, threading.Lock):
        producer.send('t', obj)
    assert consumer.next() is None
    assert consumer.next_object() is True
    assert next(consumer) == {'a': {1, 2}}
    assert consumer.next_object_with_metadata() == ({}, threading.Lock)


def test_a_store_of_each_topic_wins_over_the_default(store: Store[Any]) -> None:
    lines = {'with': queue.Queue(), 'without': queue.Queue(), 'default': queue.Queue()}
    other = Store(f'other-{uuid.uuid4().hex}', LocalConnector(), register=True)
    producer = StreamProducer[Any](
        QueuePublisher(lines),
        default_store=store,
        stores={'with': other, 'without': None},
    )
    for topic in lines:
        producer.send(topic, 'x')
    got = {
        topic: StreamConsumer[Any](QueueSubscriber(line)).next()
        for topic, line in lines.items()
    }
    assert type(got['without']) is str
    assert get_store(got['with']) is other
    assert get_store(got['default']) is store
    producer.close(stores=True)
    assert get_store(other.name) is None
    assert get_store(store.name) is None


def test_a_missing_store_is_opened_and_registered_at_the_first_next(
    line: Any, store_dir: Any
) -> None:
    store = Store('stream-reopened', FileConnector(str(store_dir)), register=True)
    for inline_below in (0, 1000):
        producer, consumer = pair(line, default_store=store, inline_below=inline_below)
        producer.send('t', 'x', evict=False)
        unregister_store(store)
        proxy = consumer.next()
        opened = get_store('stream-reopened')
        assert opened is not None
        assert opened is not store
        assert opened.connector.store_dir == store.connector.store_dir
        assert proxy == 'x'
        opened_again = consumer._stores['stream-reopened']
        assert opened_again is opened
        unregister_store(opened)
        consumer.close(stores=False)
    store.close()


def test_closing_the_stores_of_a_consumer(line: Any, store: Store[Any]) -> None:
    producer, consumer = pair(line, default_store=store)
    producer.send('t', 'x')
    proxy = consumer.next()
    assert proxy == 'x'
    consumer.close(stores=True, subscriber=False)
    assert get_store(store.name) is None


def test_end_of_stream(line: Any, store: Store[Any]) -> None:
    producer, consumer = pair(line, default_store=store)
    producer.send('t', 1)
    producer.close_topics('t')
    producer.close_topics('t')  # does no harm, and sends nothing
    assert line.qsize() == 2
    with pytest.raises(TopicClosedError, match='was closed by this producer'):
        producer.send('t', 2)
    assert issubclass(TopicClosedError, ProxyStoreError)
    assert consumer.next_object() == 1
    with pytest.raises(StopIteration):
        consumer.next()
    for ended in (
        consumer.iter_objects,
        consumer.iter_with_metadata,
        consumer.iter_objects_with_metadata,
    ):
        StreamProducer[Any](QueuePublisher({'t': line})).close(topics=['t'])
        assert list(ended()) == []


def test_iteration(line: Any, store: Store[Any]) -> None:
    for name, expected in (
        ('iter_objects', [0, 1, 2]),
        ('iter_with_metadata', [({'i': i}, i) for i in range(3)]),
        ('iter_objects_with_metadata', [({'i': i}, i) for i in range(3)]),
        ('__iter__', [0, 1, 2]),
    ):
        producer, consumer = pair(line, default_store=store)
        with producer:
            for i in range(3):
                producer.send('t', i, metadata={'i': i})
            producer.close_topics('t')
        assert list(getattr(consumer, name)()) == expected
        if name in ('iter_with_metadata', '__iter__'):
            assert store.exists  # proxies, equal to their targets


def test_a_batch_is_one_put_and_one_message(line: Any) -> None:
    connector = Counting()
    with Store('stream-batches', connector, register=True) as store:
        producer, consumer = pair(line, default_store=store, batch_size=3)
        producer.send('t', 1)
        producer.send('t', 2)
        assert line.qsize() == 0
        producer.send('t', 3)
        assert line.qsize() == 1
        producer.send('t', 4)
        producer.flush_topic('t')
        producer.flush_topic('t')
        producer.flush_topic('never seen')
        producer.send('t', 5)
        producer.send('t', 6)
        producer.flush()
        assert line.qsize() == 3
        producer.send('t', 7)
        producer.close(topics=['t'])
        assert line.qsize() == 4  # the last object and the end in one
        assert connector.puts == [3, 1, 2, 1]
        assert list(consumer.iter_objects()) == [1, 2, 3, 4, 5, 6, 7]


def test_close_sends_what_waits(line: Any) -> None:
    producer, consumer = pair(line, batch_size=2)
    with producer:
        producer.send('t', 1)
    assert consumer.next() == 1


def test_aggregation(line: Any, store: Store[Any]) -> None:
    producer, consumer = pair(line, default_store=store, aggregator=sum, batch_size=2)
    producer.send('t', 5, metadata={'i': 1, 'z': 1}, evict=False)
    producer.send('t', 6, metadata={'i': 2}, evict=True)
    producer.send('t', 7, evict=False)
    producer.flush()
    metadata, proxy = consumer.next_with_metadata()
    assert metadata == {'i': 2, 'z': 1}
    assert get_factory(proxy).evict
    assert proxy == 11
    proxy = consumer.next()
    assert not get_factory(proxy).evict
    assert proxy == 7


def test_an_aggregator_may_send(line: Any) -> None:
    def total(parts: list[int]) -> int:
        if len(parts) > 1:
            producer.send('t', -len(parts))
        return sum(parts)

    producer, consumer = pair(line, aggregator=total, batch_size=2)
    producer.send('t', 1)
    producer.send('t', 2)
    producer.close(topics=['t'])
    assert list(consumer) == [3, -2]


def test_a_filter_of_the_producer_keeps_objects_from_being_put(line: Any) -> None:
    connector = Counting()
    with Store('stream-filter', connector, register=True) as store:
        producer, consumer = pair(
            line, default_store=store, filter_=lambda m: m.get('drop', False)
        )
        producer.send('t', 1, metadata={'drop': True})
        producer.send('t', 2)
        assert connector.puts == [1]
        assert consumer.next_object() == 2


def test_a_filter_of_the_consumer_evicts_what_it_drops(
    line: Any, store: Store[Any]
) -> None:
    seen = []

    def drop(metadata: dict[str, Any]) -> bool:
        seen.append(metadata['i'])
        return bool(metadata['i'] < 2)

    producer, consumer = pair(line, default_store=store, consumer_filter=drop)
    plain = StreamConsumer[Any](QueueSubscriber(line))
    producer.send('t', 'kept', metadata={'i': 0})
    kept = plain.next()
    producer.send('t', 'dropped', metadata={'i': 0})
    producer.send('t', 'dropped', metadata={'i': 1}, evict=False)
    producer.send('t', 'seen', metadata={'i': 2})
    assert consumer.next() == 'seen'
    assert seen == [0, 1, 2]
    assert kept == 'kept'
    assert store.connector._native is not None


def test_what_a_filter_drops_is_evicted(line: Any, store_dir: Any) -> None:
    with Store('stream-drop', FileConnector(str(store_dir)), register=True) as store:
        producer, consumer = pair(
            line, default_store=store, consumer_filter=lambda m: not m
        )
        producer.send('t', 1)
        producer.send('t', 2, evict=False)
        producer.send('t', 3, metadata={'keep': 1})
        assert len(list(store_dir.iterdir())) == 3
        assert consumer.next_object() == 3
        assert len(list(store_dir.iterdir())) == 1


def test_filters() -> None:
    assert NullFilter()({}) is False
    assert SamplingFilter(1)({}) is True
    assert SamplingFilter(0)({}) is False
    some = [SamplingFilter(0.5)({}) for _ in range(1000)]
    assert 300 < sum(some) < 700
    for p in (-0.1, 1.1):
        with pytest.raises(ValueError, match='no probability'):
            SamplingFilter(p)


def test_events_instead_of_bytes(store: Store[Any]) -> None:
    publisher = Recorder()
    with StreamProducer[Any](publisher, default_store=store, batch_size=2) as producer:
        producer.send('t', 'a', metadata={'n': 1})
        producer.send('t', 'b', evict=False)
        producer.close_topics('t')
    assert publisher.closed
    first, last = publisher.batches
    assert first.topic == 't'
    a, b = first.events
    assert isinstance(a, NewObjectKeyEvent)
    assert isinstance(b, NewObjectKeyEvent)
    assert (a.evict, a.metadata, b.evict, b.metadata) == (True, {'n': 1}, False, {})
    assert a.store_config == store.config()
    assert store.get(a.get_key()) == 'a'
    assert last.events == [EndOfStreamEvent('t')]
    subscriber = Player(publisher.batches)
    with StreamConsumer[Any](subscriber) as consumer:
        assert list(consumer.iter_objects()) == ['a', 'b']
    assert subscriber.closed


def test_single_events_are_taken_as_well() -> None:
    events = [NewObjectEvent('t', 1, {}), EndOfStreamEvent('t')]
    assert list(StreamConsumer[Any](Player(events))) == [1]  # type: ignore[arg-type]


def test_what_is_no_publisher_or_subscriber_is_refused() -> None:
    with pytest.raises(TypeError, match='int is no publisher'):
        StreamProducer(5)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match='int is no subscriber'):
        StreamConsumer(5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match='inline_below=-1'):
        StreamProducer(Recorder(), inline_below=-1)


class Unreachable(Recorder):
    """Publishes only if it is told that it can."""

    reachable = False

    def send_events(self, events: EventBatch) -> None:
        if not self.reachable:
            raise ConnectionError('no broker')
        super().send_events(events)


def test_a_failed_batch_leaves_no_objects_and_can_be_sent_again(store_dir: Any) -> None:
    publisher = Unreachable()
    with Store('stream-failing', FileConnector(str(store_dir)), register=True) as store:
        producer = StreamProducer[Any](publisher, default_store=store, batch_size=3)
        producer.send('t', 1)
        producer.send('t', 2)
        with pytest.raises(ConnectionError):
            producer.send('t', 3)
        assert list(store_dir.iterdir()) == []
        publisher.reachable = True
        producer.send('t', 3)  # as the caller does who saw it fail
        consumer = StreamConsumer[Any](Player(publisher.batches))
        assert [consumer.next_object() for _ in range(3)] == [1, 2, 3]
        publisher.reachable = False
        producer.send('t', 4)
        with pytest.raises(ConnectionError):
            producer.close_topics('t')
        publisher.reachable = True
        producer.close_topics('t')
        assert len(publisher.batches[-1].events) == 2


def test_an_object_that_is_gone(line: Any, store: Store[Any]) -> None:
    producer, consumer = pair(line, default_store=store)
    producer.send('t', 1)
    line.queue.append(line.queue[0])
    assert consumer.next_object() == 1
    with pytest.raises(ProxyResolveError):
        consumer.next_object()


def test_threads_share_a_producer(line: Any, store: Store[Any]) -> None:
    producer, consumer = pair(line, default_store=store, batch_size=7, inline_below=100)

    def send(worker: int) -> None:
        for i in range(200):
            producer.send('t', (worker, i))

    threads = [threading.Thread(target=send, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    producer.close(topics=['t'])
    got = list(consumer.iter_objects())
    assert len(got) == 800
    for worker in range(4):
        assert [i for w, i in got if w == worker] == list(range(200))
