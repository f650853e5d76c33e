"""Streams through a real Redis server."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from proxystore.connectors.file import FileConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.protocols import MessagePublisher
from proxystore.stream.protocols import MessageSubscriber
from proxystore.stream.shims.redis import RedisPublisher
from proxystore.stream.shims.redis import RedisQueuePublisher
from proxystore.stream.shims.redis import RedisQueueSubscriber
from proxystore.stream.shims.redis import RedisSubscriber
from proxystore.stream.shims.redis_streams import RedisStreamPublisher
from proxystore.stream.shims.redis_streams import RedisStreamSubscriber

from ..conftest import RedisAddress

SPAWN = multiprocessing.get_context('spawn')


@pytest.fixture
def topic() -> str:
    return f'topic-{uuid.uuid4().hex}'


@pytest.fixture
def client(redis_server: RedisAddress) -> Iterator[Any]:
    with redis.Redis(*redis_server) as client:
        yield client


def consume(kind: type[Any], address: RedisAddress, topic: str, results: Any) -> None:
    subscriber = kind(*address, topic)
    results.put('listening')
    with StreamConsumer[Any](subscriber) as consumer:
        results.put([(m, sum(obj)) for m, obj in consumer.iter_with_metadata()])
        consumer.close(stores=True, subscriber=False)


@pytest.mark.parametrize(
    ('publisher_kind', 'subscriber_kind'),
    [
        (RedisPublisher, RedisSubscriber),
        (RedisQueuePublisher, RedisQueueSubscriber),
        (RedisStreamPublisher, RedisStreamSubscriber),
    ],
)
def test_objects_reach_another_process(
    redis_server: RedisAddress, topic: str, publisher_kind: Any, subscriber_kind: Any
) -> None:
    results = SPAWN.Queue()
    consumer = SPAWN.Process(
        target=consume, args=(subscriber_kind, redis_server, topic, results)
    )
    consumer.start()
    assert results.get(timeout=60) == 'listening'
    publisher = publisher_kind(*redis_server)
    assert isinstance(publisher, MessagePublisher)
    with (
        Store(topic, RedisConnector(*redis_server), register=True) as store,
        StreamProducer[Any](
            publisher, default_store=store, batch_size=2, inline_below=500
        ) as producer,
    ):
        for size in (1, 1000, 2):
            producer.send(topic, [1] * size, metadata={'size': size})
        producer.close_topics(topic)
        assert results.get(timeout=60) == [
            ({'size': size}, size) for size in (1, 1000, 2)
        ]
    consumer.join(60)
    assert consumer.exitcode == 0


def test_a_subscriber_listens_from_when_it_was_made(
    redis_server: RedisAddress, topic: str, client: Any
) -> None:
    topics = [f'{topic}-{i}' for i in range(3)]
    for several in (topics, topics[0]):
        subscriber = RedisSubscriber(*redis_server, several)
        assert isinstance(subscriber, MessageSubscriber)
        publisher = RedisPublisher(*redis_server)
        publisher.send_message('another', b'no')
        for name in topics:
            publisher.send_message(name, name.encode())
        expected = topics if several is topics else topics[:1]
        assert [subscriber.next_message().decode() for _ in expected] == expected
        publisher.send_message(topics[0], b'last')
        assert next(iter(subscriber)) == b'last'
        subscriber.close()
        publisher.close()
        assert client.pubsub_numsub(*topics) == [(t.encode(), 0) for t in topics]


def test_messages_of_a_queue_wait(redis_server: RedisAddress, topic: str) -> None:
    publisher = RedisQueuePublisher(*redis_server)
    publisher.send_message(topic, b'1')
    publisher.send_message(topic, b'2')
    publisher.close()
    first = RedisQueueSubscriber(*redis_server, topic, timeout=1)
    second = RedisQueueSubscriber(*redis_server, topic, timeout=1)
    assert isinstance(first, MessageSubscriber)
    assert first.next_message() == b'1'
    assert next(iter(second)) == b'2'
    with pytest.raises(TimeoutError, match='within 1 s'):
        first.next_message()
    first.close()
    second.close()


def test_options_reach_the_client(redis_server: RedisAddress, topic: str) -> None:
    publisher = RedisQueuePublisher(*redis_server, db=3)
    publisher.send_message(topic, b'1')
    with redis.Redis(*redis_server, db=3) as client:
        assert client.lpop(topic) == b'1'
    publisher.close()


def stream(address: RedisAddress, topic: str, **kwargs: Any) -> RedisStreamSubscriber:
    return RedisStreamSubscriber(*address, topic, timeout=0.05, **kwargs)


def everything(subscriber: RedisStreamSubscriber) -> list[bytes]:
    found = []
    with pytest.raises(TimeoutError, match='no message in the stream'):
        while True:
            found.append(subscriber.next_message())
    return found


def test_a_stream_is_replayed(
    redis_server: RedisAddress, topic: str, client: Any
) -> None:
    publisher = RedisStreamPublisher(*redis_server)
    assert isinstance(publisher, MessagePublisher)
    messages = [str(i).encode() for i in range(100)]
    for message in messages:
        publisher.send_message(topic, message)
    first, late = (stream(redis_server, topic) for _ in range(2))
    assert isinstance(first, MessageSubscriber)
    assert everything(first) == messages
    newest = stream(redis_server, topic, start='$')
    publisher.send_message(topic, b'new')
    assert everything(newest) == [b'new']
    assert everything(first) == [b'new']
    assert next(iter(late)) == b'0'
    resumed = stream(redis_server, topic, start=late.last_id)
    assert everything(resumed) == [*messages[1:], b'new']
    for one in (first, late, newest, resumed, publisher):
        one.close()


def test_a_stream_that_does_not_exist_yet(
    redis_server: RedisAddress, topic: str
) -> None:
    newest = stream(redis_server, topic, start='$')
    group = stream(redis_server, topic, group='g')
    assert everything(newest) == []
    publisher = RedisStreamPublisher(*redis_server)
    publisher.send_message(topic, b'1')
    assert everything(newest) == [b'1']
    assert everything(group) == [b'1']
    for one in (newest, group, publisher):
        one.close()


def test_the_length_of_a_stream_is_bounded(
    redis_server: RedisAddress, topic: str, client: Any
) -> None:
    publisher = RedisStreamPublisher(*redis_server, max_length=10)
    for i in range(1000):
        publisher.send_message(topic, b'%d' % i)
    assert client.xlen(topic) < 500
    publisher.close()


def test_a_group_shares_messages_out(redis_server: RedisAddress, topic: str) -> None:
    publisher = RedisStreamPublisher(*redis_server)
    for i in range(10):
        publisher.send_message(topic, b'%d' % i)
    a, b = (stream(redis_server, topic, group='g', name=name) for name in 'ab')
    got = [one.next_message() for _ in range(5) for one in (a, b)]
    assert sorted(got) == [b'%d' % i for i in range(10)]
    other = stream(redis_server, topic, group='another')
    assert len(everything(other)) == 10
    for one in (a, b, other, publisher):
        one.close()


def test_what_was_not_finished_is_delivered_again(
    redis_server: RedisAddress, topic: str, client: Any
) -> None:
    publisher = RedisStreamPublisher(*redis_server)
    for i in range(4):
        publisher.send_message(topic, b'%d' % i)
    lost = stream(redis_server, topic, group='g', name='a')
    assert [lost.next_message(), lost.next_message()] == [b'0', b'1']
    # As if its process died: 0 was finished when 1 was asked for.
    lost._client.close()
    again = stream(redis_server, topic, group='g', name='a')
    assert [again.next_message(), again.next_message()] == [b'1', b'2']
    again._client.close()
    patient = stream(redis_server, topic, group='g', name='b')
    assert everything(patient) == [b'3']
    heir = stream(redis_server, topic, group='g', name='c', claim_after=0.01)
    assert everything(heir) == [b'2']
    heir.close()
    patient.close()
    assert client.xpending(topic, 'g')['pending'] == 0
    publisher.close()


def work_until_killed(address: RedisAddress, topic: str, results: Any) -> None:
    subscriber = RedisStreamSubscriber(*address, topic, group='g', name='lost')
    consumer = StreamConsumer[Any](subscriber)
    done, held = consumer.next_object(), consumer.next()
    results.put((done, type(held).__name__))
    time.sleep(600)


@pytest.mark.parametrize('inline_below', [0, 100_000])
def test_a_killed_consumer_loses_and_leaks_nothing(
    redis_server: RedisAddress, topic: str, store_dir: Path, inline_below: int
) -> None:
    with Store(topic, FileConnector(str(store_dir)), register=True) as store:
        producer = StreamProducer[Any](
            RedisStreamPublisher(*redis_server),
            default_store=store,
            inline_below=inline_below,
        )
        for i in range(6):
            producer.send(topic, [i] * 1000, metadata={'i': i})
        producer.close(topics=[topic])
        results = SPAWN.Queue()
        lost = SPAWN.Process(
            target=work_until_killed, args=(redis_server, topic, results)
        )
        lost.start()
        assert results.get(timeout=60) == ([0] * 1000, 'Proxy')
        assert lost.pid is not None
        os.kill(lost.pid, signal.SIGKILL)
        lost.join()
        heir = RedisStreamSubscriber(
            *redis_server, topic, group='g', name='heir', claim_after=0.1, timeout=10
        )
        with StreamConsumer[Any](heir) as consumer:
            got = sorted(m['i'] for m, _ in consumer.iter_objects_with_metadata())
            if len(got) < 5:  # the end came before what was taken over
                got += [m['i'] for m, _ in [consumer.next_object_with_metadata()]]
        assert sorted(got) == [1, 2, 3, 4, 5]
        assert [*store_dir.iterdir()] == []


def test_a_slow_consumer_misses_nothing(redis_server: RedisAddress, topic: str) -> None:
    subscriber = RedisSubscriber(*redis_server, topic)
    with (
        Store(topic, RedisConnector(*redis_server), register=True) as store,
        StreamProducer[Any](
            RedisPublisher(*redis_server), default_store=store
        ) as producer,
    ):
        for i in range(200):
            producer.send(topic, [i] * 100)
        producer.close_topics(topic)
        with StreamConsumer[Any](subscriber) as consumer:
            slowly = []
            for obj in consumer.iter_objects():
                slowly.append(obj[0])
                time.sleep(0.001)
        assert slowly == [*range(200)]


def test_the_newer_protocol_of_redis(redis_server: RedisAddress, topic: str) -> None:
    publisher = RedisStreamPublisher(*redis_server, protocol=3)
    publisher.send_message(topic, b'1')
    for group in (None, 'g'):
        subscriber = stream(redis_server, topic, group=group, protocol=3)
        assert everything(subscriber) == [b'1']
        subscriber.close()
    publisher.close()
