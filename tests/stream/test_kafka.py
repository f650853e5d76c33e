"""Streams through Kafka: librdkafka's own mock cluster, on the loopback interface."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import confluent_kafka
import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.protocols import MessagePublisher
from proxystore.stream.protocols import MessageSubscriber
from proxystore.stream.shims.kafka import KafkaPublisher
from proxystore.stream.shims.kafka import KafkaSubscriber


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


def subscriber(servers: str, topic: str) -> KafkaSubscriber:
    client = confluent_kafka.Consumer(
        {
            'bootstrap.servers': servers,
            'group.id': uuid.uuid4().hex,
            'auto.offset.reset': 'earliest',
            'enable.partition.eof': True,
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
