"""Streams through Kafka: librdkafka's own mock cluster, on the loopback interface."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import confluent_kafka
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.protocols import MessagePublisher
from proxystore.stream.protocols import MessageSubscriber
from proxystore.stream.shims.kafka import KafkaPublisher
from proxystore.stream.shims.kafka import KafkaSubscriber

SPAWN = multiprocessing.get_context('spawn')


@pytest.fixture(scope='module')
def servers() -> Iterator[str]:
    """Brokers that live as long as the client that was told to mock them."""
    client = confluent_kafka.Producer({'test.mock.num.brokers': 1})
    brokers = client.list_topics(timeout=30).brokers.values()
    yield ','.join(f'{broker.host}:{broker.port}' for broker in brokers)
    client.flush(1)


@pytest.fixture
def topic() -> str:
    return f'topic-{uuid.uuid4().hex}'


def publisher(servers: str, **options: Any) -> KafkaPublisher:
    # All into one partition: only there does Kafka keep the order.
    settings = {'bootstrap.servers': servers, 'partitioner': 'consistent', **options}
    return KafkaPublisher(confluent_kafka.Producer(settings))


def subscriber(servers: str, topic: str, **options: Any) -> KafkaSubscriber:
    client = confluent_kafka.Consumer(
        {
            'bootstrap.servers': servers,
            'group.id': uuid.uuid4().hex,
            'auto.offset.reset': 'earliest',
            'enable.partition.eof': True,
            **options,
        }
    )
    client.subscribe([topic])
    return KafkaSubscriber(client)


def test_objects_of_a_stream(servers: str, topic: str) -> None:
    with (
        Store(topic, LocalConnector(), register=True) as store,
        StreamProducer[Any](
            publisher(servers), default_store=store, batch_size=2
        ) as producer,
    ):
        for i in range(5):
            producer.send(topic, [i], metadata={'i': i})
        producer.close(topics=[topic], publisher=False)
        with StreamConsumer[Any](subscriber(servers, topic)) as consumer:
            got = list(consumer.iter_objects_with_metadata())
        # They are replayed to another group, but were evicted.
        with StreamConsumer[Any](subscriber(servers, topic)) as consumer:
            assert consumer.next_with_metadata()[0] == {'i': 0}
    assert got == [({'i': i}, [i]) for i in range(5)]


def test_messages(servers: str, topic: str) -> None:
    sender = publisher(servers)
    receiver = subscriber(servers, topic)
    assert isinstance(sender, MessagePublisher)
    assert isinstance(receiver, MessageSubscriber)
    for i in range(10):
        sender.send_message(topic, b'%d' % i)
    sender.close()
    assert receiver.next_message() == b'0'
    assert [next(receiver) for _ in range(9)] == [b'%d' % i for i in range(1, 10)]
    receiver.close()


def test_more_messages_than_the_client_holds(servers: str, topic: str) -> None:
    sender = publisher(servers, **{'queue.buffering.max.messages': 10})
    for i in range(200):
        sender.send_message(topic, b'%d' % i)
    sender.close()
    receiver = subscriber(servers, topic)
    assert [next(receiver) for _ in range(200)] == [b'%d' % i for i in range(200)]
    receiver.close()


def test_a_message_that_cannot_be_delivered_raises(topic: str) -> None:
    sender = publisher('127.0.0.1:9', **{'message.timeout.ms': 100})
    sender.send_message(topic, b'lost')
    with pytest.raises(confluent_kafka.KafkaException, match='_MSG_TIMED_OUT'):
        sender.close()


def test_an_error_of_the_consumer_raises(servers: str, topic: str) -> None:
    receiver = subscriber(servers, topic)
    receiver.close()
    with pytest.raises(RuntimeError):
        receiver.next_message()


def in_group(topic: str) -> dict[str, Any]:
    return {
        'group.id': f'group-{topic}',
        'enable.auto.offset.store': False,
        'auto.commit.interval.ms': 50,
        # The cluster takes 3 s to let a group's first members in.
        'session.timeout.ms': 4500,
        'heartbeat.interval.ms': 200,
    }


def work_until_killed(servers: str, topic: str, results: Any) -> None:
    consumer = StreamConsumer[Any](subscriber(servers, topic, **in_group(topic)))
    results.put([consumer.next_object() for _ in range(3)])
    time.sleep(600)


def committed(servers: str, topic: str) -> int:
    client = confluent_kafka.Consumer(
        {'bootstrap.servers': servers, 'group.id': in_group(topic)['group.id']}
    )
    try:
        partitions = client.list_topics(topic, timeout=30).topics[topic].partitions
        asked = [confluent_kafka.TopicPartition(topic, one) for one in partitions]
        found: int = max(one.offset for one in client.committed(asked, timeout=30))
        return found
    finally:
        client.close()


def test_a_killed_consumer_loses_nothing(servers: str, topic: str) -> None:
    with StreamProducer[Any](publisher(servers)) as producer:
        for i in range(6):
            producer.send(topic, i)
        producer.close_topics(topic)
    results = SPAWN.Queue()
    lost = SPAWN.Process(target=work_until_killed, args=(servers, topic, results))
    lost.start()
    assert results.get(timeout=60) == [0, 1, 2]
    deadline = time.monotonic() + 60
    # Two are finished, and one is being worked on.
    while committed(servers, topic) != 2:
        assert time.monotonic() < deadline
    assert lost.pid is not None
    os.kill(lost.pid, signal.SIGKILL)
    lost.join()
    heir = subscriber(servers, topic, **in_group(topic))
    with StreamConsumer[Any](heir) as consumer:
        assert list(consumer) == [2, 3, 4, 5]
    assert committed(servers, topic) == 7  # the end was finished too


BATCH = 5


def send_until_killed(servers: str, topic: str, folder: str) -> None:
    producer = StreamProducer[Any](
        publisher(servers),
        default_store=Store(topic, FileConnector(folder), register=True),
        batch_size=BATCH,
        inline_below=0,
    )
    for i in range(60_000):  # a minute at the most, if nobody kills it
        producer.send(topic, i)
        time.sleep(0.001)  # a group takes seconds to let its first member in


def delivered(servers: str, topic: str) -> int:
    """How many messages the brokers have, and so batches."""
    client = confluent_kafka.Consumer(
        {'bootstrap.servers': servers, 'group.id': uuid.uuid4().hex}
    )
    try:
        partitions = client.list_topics(topic, timeout=30).topics[topic].partitions
        places = [confluent_kafka.TopicPartition(topic, one) for one in partitions]
        return sum(client.get_watermark_offsets(one, timeout=30)[1] for one in places)
    finally:
        client.close()


def test_the_batches_of_a_killed_producer_are_whole(
    servers: str, topic: str, store_dir: Path
) -> None:
    killed = SPAWN.Process(
        target=send_until_killed, args=(servers, topic, str(store_dir)), daemon=True
    )
    killed.start()
    with StreamConsumer[Any](subscriber(servers, topic)) as consumer:
        got = [consumer.next_object() for _ in range(2 * BATCH)]
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        stored = [*store_dir.iterdir()]
        count = delivered(servers, topic)
        got += [consumer.next_object() for _ in range(count * BATCH - len(got))]
    assert got == [*range(count * BATCH)]
    # The client sends behind the producer: what it had not sent stays in the
    # store, put but never announced, and nothing else does.
    left = [*store_dir.iterdir()]
    assert len(left) == len(stored) - (count - 2) * BATCH


def test_a_client_that_counts_what_was_received(servers: str, topic: str) -> None:
    """As it is configured if nothing is said: what the lost one had is lost."""
    options = {**in_group(topic), 'enable.auto.offset.store': True}
    sender = publisher(servers)
    for i in range(3):
        sender.send_message(topic, b'%d' % i)
    sender.close()
    lost = subscriber(servers, topic, **options)
    assert [lost.next_message(), lost.next_message()] == [b'0', b'1']
    lost.client.close()  # as if it died once it had told
    heir = subscriber(servers, topic, **options)
    assert heir.next_message() == b'2'
    heir.close()


def test_a_slow_consumer_comes_back(servers: str, topic: str) -> None:
    sender = publisher(servers)
    for i in range(3):
        sender.send_message(topic, b'%d' % i)
    sender.close()
    slow = subscriber(
        servers, topic, **in_group(topic), **{'max.poll.interval.ms': 5000}
    )
    assert slow.next_message() == b'0'
    time.sleep(6.5)  # its place in the group is lost, and so is that it finished
    assert [slow.next_message() for _ in range(3)] == [b'0', b'1', b'2']
    slow.close()
