"""Streams over ZeroMQ sockets on the loopback interface."""

from __future__ import annotations

import multiprocessing
import socket
from typing import Any

import pytest
import zmq
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.protocols import MessagePublisher
from proxystore.stream.protocols import MessageSubscriber
from proxystore.stream.shims.zmq import ZeroMQPublisher
from proxystore.stream.shims.zmq import ZeroMQSubscriber

SPAWN = multiprocessing.get_context('spawn')
HOST = '127.0.0.1'


@pytest.fixture
def publisher() -> Any:
    while True:
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port = probe.getsockname()[1]
        try:
            publisher = ZeroMQPublisher(HOST, port)
        except zmq.ZMQError:  # another program was quicker
            continue
        publisher.port = port  # type: ignore[attr-defined]
        yield publisher
        publisher.close()
        return


def consume(port: int, results: Any) -> None:
    with StreamConsumer[Any](ZeroMQSubscriber(HOST, port)) as consumer:
        results.put([sum(obj) for obj in consumer])


def test_objects_reach_other_processes(publisher: Any, store_dir: Any) -> None:
    results = SPAWN.Queue()
    consumers = [
        SPAWN.Process(target=consume, args=(publisher.port, results)) for _ in range(2)
    ]
    for consumer in consumers:
        consumer.start()
    publisher.wait_for_subscribers(2, timeout=60)
    with (
        Store('zmq', FileConnector(str(store_dir)), register=True) as store,
        StreamProducer[Any](publisher, default_store=store) as producer,
    ):
        for size in (1, 2, 3):
            producer.send('t', [1] * size, evict=False)
        producer.close_topics('t')
        for _ in consumers:
            assert results.get(timeout=60) == [1, 2, 3]
    for consumer in consumers:
        consumer.join(60)
        assert consumer.exitcode == 0


def test_a_topic_is_chosen_by_its_beginning(publisher: Any) -> None:
    everything = ZeroMQSubscriber(HOST, publisher.port)
    some = ZeroMQSubscriber(HOST, publisher.port, topic='ab')
    assert isinstance(publisher, MessagePublisher)
    assert isinstance(some, MessageSubscriber)
    publisher.wait_for_subscribers(2, timeout=30)
    for topic in ('a', 'ab', 'abc'):
        publisher.send_message(topic, topic.encode())
    assert [everything.next_message() for _ in range(3)] == [b'a', b'ab', b'abc']
    assert next(iter(some)) == b'ab'
    assert next(some) == b'abc'
    some.close()
    everything.close()


def test_waiting_for_nobody_ends(publisher: Any) -> None:
    with pytest.raises(TimeoutError, match='0 of 1 subscribers within'):
        publisher.wait_for_subscribers(timeout=0.05)
    subscriber = ZeroMQSubscriber(HOST, publisher.port)
    publisher.wait_for_subscribers()
    publisher.wait_for_subscribers(1, timeout=0)
    subscriber.close()


def test_a_taken_port_is_refused(publisher: Any) -> None:
    with pytest.raises(zmq.ZMQError):
        ZeroMQPublisher(HOST, publisher.port)


def test_a_slow_subscriber_misses_nothing(publisher: Any) -> None:
    """No high-water mark: what it has not received yet waits in memory."""
    subscriber = ZeroMQSubscriber(HOST, publisher.port)
    publisher.wait_for_subscribers(timeout=30)
    count = 20_000  # twenty times the library's own mark, and more than sockets hold
    for i in range(count):
        publisher.send_message('t', b'%d' % i + bytes(1000))
    got = (int(subscriber.next_message().rstrip(b'\0')) for _ in range(count))
    assert list(got) == [*range(count)]
    subscriber.close()


def test_a_subscriber_that_is_gone_keeps_nothing_in_memory(publisher: Any) -> None:
    subscriber = ZeroMQSubscriber(HOST, publisher.port)
    publisher.wait_for_subscribers(timeout=30)
    subscriber.close()
    publisher.wait_for_subscribers(0)
    for _ in range(1000):
        publisher.send_message('t', bytes(1000))
    other = ZeroMQSubscriber(HOST, publisher.port)
    publisher.wait_for_subscribers(timeout=30)
    publisher.send_message('t', b'new')
    assert other.next_message() == b'new'
    other.close()
