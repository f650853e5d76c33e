"""Queues of threads and processes, and packages that are not installed."""

from __future__ import annotations

import multiprocessing
import queue
import subprocess
import sys
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.protocols import EventPublisher
from proxystore.stream.protocols import EventSubscriber
from proxystore.stream.protocols import Filter
from proxystore.stream.protocols import MessagePublisher
from proxystore.stream.protocols import MessageSubscriber
from proxystore.stream.protocols import Publisher
from proxystore.stream.protocols import Subscriber
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber

SPAWN = multiprocessing.get_context('spawn')


def test_protocols() -> None:
    publisher, subscriber = QueuePublisher({}), QueueSubscriber(queue.Queue())
    assert isinstance(publisher, MessagePublisher)
    assert not isinstance(publisher, EventPublisher)
    assert isinstance(subscriber, MessageSubscriber)
    assert not isinstance(subscriber, EventSubscriber)
    assert isinstance(publisher, Publisher.__args__)  # type: ignore[attr-defined]
    assert isinstance(subscriber, Subscriber.__args__)  # type: ignore[attr-defined]
    assert getattr(Filter, '_is_protocol', False)


def test_queues_of_threads() -> None:
    line: queue.Queue[bytes] = queue.Queue(1)
    publisher = QueuePublisher({'t': line}, block=False)
    publisher.send_message('t', b'1')
    with pytest.raises(queue.Full):
        publisher.send_message('t', b'2')
    with pytest.raises(queue.Full):
        QueuePublisher({'t': line}, timeout=0.01).send_message('t', b'2')
    with pytest.raises(ValueError, match="the topic 'u' has no queue"):
        publisher.send_message('u', b'1')
    assert QueueSubscriber(line, block=False).next_message() == b'1'
    with pytest.raises(queue.Empty):
        QueueSubscriber(line, block=False).next_message()
    with pytest.raises(queue.Empty):
        next(iter(QueueSubscriber(line, timeout=0.01)))
    publisher.close()
    QueueSubscriber(line).close()


def consume(line: Any, results: Any) -> None:
    with StreamConsumer[Any](QueueSubscriber(line)) as consumer:
        results.put(list(consumer.iter_objects()))


def test_queues_of_processes(store_dir: Any) -> None:
    line, results = SPAWN.Queue(), SPAWN.Queue()
    consumer = SPAWN.Process(target=consume, args=(line, results))
    consumer.start()
    with (
        Store('queues', FileConnector(str(store_dir)), register=True) as store,
        StreamProducer[Any](
            QueuePublisher({'t': line}), default_store=store
        ) as producer,
    ):
        for i in range(3):
            producer.send('t', {'i': i})
        producer.close(topics=['t'])
        assert results.get(timeout=60) == [{'i': i} for i in range(3)]
    consumer.join(60)
    assert consumer.exitcode == 0
    with pytest.raises(ValueError, match='closed'):
        line.put(b'')


@pytest.mark.parametrize(
    ('package', 'extra', 'use'),
    [
        (
            'redis',
            'redis',
            'from proxystore.stream.shims.redis import *;'
            'RedisPublisher("localhost", 1)',
        ),
        (
            'redis',
            'redis',
            'from proxystore.stream.shims.redis_streams import *;'
            'RedisStreamSubscriber("localhost", 1, "t")',
        ),
        (
            'zmq',
            'zmq',
            'from proxystore.stream.shims.zmq import *;ZeroMQPublisher("*", 1)',
        ),
        (
            'nats',
            'nats',
            'from proxystore.stream.shims.nats import *;NatsPublisher("nats://x")',
        ),
    ],
)
def test_a_missing_package_is_named_when_it_is_needed(
    package: str, extra: str, use: str
) -> None:
    imports, _, call = use.rpartition(';')
    program = (
        f'import sys; sys.modules[{package!r}] = None\n{imports}\n'
        f'try: {call}\n'
        'except ModuleNotFoundError as error: print(error)\n'
    )
    ran = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert f"pip install 'proxystore[{extra}]'" in ran.stdout


def test_importing_streams_imports_no_client_package() -> None:
    program = (
        'import sys, proxystore.stream, proxystore.stream.shims.kafka,'
        'proxystore.stream.shims.redis, proxystore.stream.shims.redis_streams,'
        'proxystore.stream.shims.zmq, proxystore.stream.shims.queue,'
        'proxystore.stream.shims.nats\n'
        'print([m for m in ("redis", "zmq", "nats", "confluent_kafka", "pydantic", "asyncio",'
        '"numpy") if m in sys.modules])'
    )
    ran = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == '[]'
