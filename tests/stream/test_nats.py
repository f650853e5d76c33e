"""Streams through a real NATS server with JetStream."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from pathlib import Path
from typing import Any

import nats.errors
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.protocols import MessagePublisher
from proxystore.stream.protocols import MessageSubscriber
from proxystore.stream.shims.nats import NatsPublisher
from proxystore.stream.shims.nats import NatsSubscriber

SPAWN = multiprocessing.get_context('spawn')


@pytest.fixture
def server(nats_server: str) -> str:
    """The URL of the session's server."""
    return nats_server


@pytest.fixture
def topic() -> str:
    return f'topic.{uuid.uuid4().hex}'


def subscriber(server: str, topic: str, **kwargs: Any) -> NatsSubscriber:
    return NatsSubscriber(server, topic, **{'timeout': 0.2, **kwargs})


def everything(subscriber: NatsSubscriber) -> list[bytes]:
    found = []
    with pytest.raises(TimeoutError, match='no message in the stream'):
        while True:
            found.append(subscriber.next_message())
    return found


def numbers(*ends: int) -> list[bytes]:
    return [b'%d' % i for i in range(*ends)]


def fill(server: str, topic: str, count: int, **kwargs: Any) -> None:
    publisher = NatsPublisher(server, **kwargs)
    assert isinstance(publisher, MessagePublisher)
    for message in numbers(count):
        publisher.send_message(topic, message)
    publisher.close()
    publisher.close()


def consume(server: str, topic: str, results: Any) -> None:
    with StreamConsumer[Any](NatsSubscriber(server, topic)) as consumer:
        results.put([(m, sum(obj)) for m, obj in consumer.iter_with_metadata()])
        consumer.close(stores=True, subscriber=False)


def test_objects_reach_another_process(
    server: str, topic: str, store_dir: Path
) -> None:
    results = SPAWN.Queue()
    consumer = SPAWN.Process(target=consume, args=(server, topic, results))
    consumer.start()
    with (
        Store(
            topic, FileConnector(str(store_dir), clear=False), register=True
        ) as store,
        StreamProducer[Any](
            NatsPublisher(server), default_store=store, batch_size=2
        ) as producer,
    ):
        for size in (1, 1_000_000, 2):
            producer.send(topic, [1] * size, metadata={'size': size})
        producer.close_topics(topic)
        expected = [({'size': size}, size) for size in (1, 1_000_000, 2)]
        assert results.get(timeout=60) == expected
        assert list(store_dir.iterdir()) == []
    consumer.join(60)
    assert consumer.exitcode == 0


def test_a_stream_is_replayed(server: str, topic: str) -> None:
    fill(server, topic, 100)
    first, late = (subscriber(server, topic) for _ in range(2))
    assert isinstance(first, MessageSubscriber)
    assert everything(first) == numbers(100)
    newest = subscriber(server, topic, start='$')
    fill(server, topic, 1)
    assert everything(newest) == everything(first) == [b'0']
    assert next(iter(late)) == b'0'
    resumed = subscriber(server, topic, start=late.last_id)
    assert everything(resumed) == [*numbers(1, 100), b'0']
    for one in (first, late, newest, resumed):
        one.close()
        one.close()


def test_the_length_of_a_stream_is_bounded(server: str, topic: str) -> None:
    fill(server, topic, 100, max_length=10)
    reader = subscriber(server, topic)
    assert everything(reader) == numbers(90, 100)
    reader.close()


def test_a_group_shares_messages_out(server: str, topic: str) -> None:
    fill(server, topic, 10)
    a, b = (subscriber(server, topic, group='g') for _ in range(2))
    got = [one.next_message() for _ in range(5) for one in (a, b)]
    assert sorted(got) == numbers(10)
    other = subscriber(server, topic, group='another')
    assert everything(other) == numbers(10)
    for one in (a, b, other):
        one.close()


def take_two(server: str, topic: str, results: Any) -> None:
    lost = subscriber(server, topic, group='g', claim_after=1.0)
    results.put([lost.next_message(), lost.next_message()])
    time.sleep(600)


def test_what_a_killed_consumer_did_not_finish_is_delivered_again(
    server: str, topic: str
) -> None:
    fill(server, topic, 4)
    results = SPAWN.Queue()
    lost = SPAWN.Process(target=take_two, args=(server, topic, results))
    lost.start()
    assert results.get(timeout=60) == [b'0', b'1']
    assert lost.pid is not None
    os.kill(lost.pid, signal.SIGKILL)
    lost.join()
    heir = subscriber(server, topic, group='g', timeout=10)
    # 0 was finished when 1 was asked for.
    assert sorted(heir.next_message() for _ in range(3)) == [b'1', b'2', b'3']
    heir.close()
    done = subscriber(server, topic, group='g')
    assert everything(done) == []
    done.close()


def test_a_slow_consumer_keeps_its_message(server: str, topic: str) -> None:
    fill(server, topic, 1)
    slow = subscriber(server, topic, group='g', claim_after=0.5)
    assert slow.next_message() == b'0'
    other = subscriber(server, topic, group='g', timeout=1.5)
    assert everything(other) == []
    slow.close()
    assert everything(other) == []
    other.close()


def test_topics_of_similar_names_stay_apart(server: str) -> None:
    mark = uuid.uuid4().hex
    topics = [f'{mark}.a', f'{mark}_a', f'{mark}-a']
    for topic in topics:
        fill(server, topic, topics.index(topic) + 1)
    for topic in topics:
        reader = subscriber(server, topic)
        assert len(everything(reader)) == topics.index(topic) + 1
        reader.close()


def test_failures_are_raised(server: str, topic: str) -> None:
    publisher = NatsPublisher(server)
    with pytest.raises(nats.errors.MaxPayloadError):
        publisher.send_message(topic, bytes(2_000_000))
    publisher.send_message(topic, b'1')
    publisher.close()
    with pytest.raises(RuntimeError, match='make a new one'):
        publisher.send_message(topic, b'2')
    with pytest.raises(nats.errors.NoServersError):
        NatsPublisher(
            'nats://127.0.0.1:9', max_reconnect_attempts=1, reconnect_time_wait=0.01
        )
