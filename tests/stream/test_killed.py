"""Producers that are killed in the middle of a batch."""

from __future__ import annotations

import multiprocessing
import os
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.shims.nats import NatsPublisher
from proxystore.stream.shims.nats import NatsSubscriber
from proxystore.stream.shims.redis import RedisQueuePublisher
from proxystore.stream.shims.redis import RedisQueueSubscriber
from proxystore.stream.shims.redis_streams import RedisStreamPublisher
from proxystore.stream.shims.redis_streams import RedisStreamSubscriber

from ..conftest import RedisAddress

SPAWN = multiprocessing.get_context('spawn')
BATCH = 5
BROKERS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    'queue': (RedisQueuePublisher, RedisQueueSubscriber),
    'stream': (RedisStreamPublisher, RedisStreamSubscriber),
    'nats': (NatsPublisher, NatsSubscriber),
}


def send_until_killed(broker: str, place: Any, topic: str, folder: str) -> None:
    store = Store(topic, FileConnector(folder), register=True)
    producer = StreamProducer[Any](
        BROKERS[broker][0](*place),
        default_store=store,
        batch_size=BATCH,
        inline_below=0,
    )
    for i in range(10_000_000):
        producer.send(topic, i)


@pytest.mark.parametrize('broker', BROKERS)
def test_batches_are_whole(
    redis_server: RedisAddress, nats_server: str, store_dir: Path, broker: str
) -> None:
    topic = f'topic-{uuid.uuid4().hex}'
    place = (nats_server,) if broker == 'nats' else tuple(redis_server)
    killed = SPAWN.Process(
        target=send_until_killed, args=(broker, place, topic, str(store_dir))
    )
    killed.start()
    subscriber = BROKERS[broker][1](*place, topic, timeout=60)
    with StreamConsumer[Any](subscriber) as consumer:
        got = [consumer.next_object() for _ in range(4 * BATCH)]
        assert killed.pid is not None
        os.kill(killed.pid, signal.SIGKILL)
        killed.join()
        subscriber._timeout = 1
        with pytest.raises(TimeoutError):
            while True:
                got.append(consumer.next_object())
    assert got == [*range(len(got))]
    assert len(got) % BATCH == 0
    # Put, perhaps, but never announced.
    assert len([*store_dir.iterdir()]) <= BATCH
