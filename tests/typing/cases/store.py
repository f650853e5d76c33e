"""Stores, streams and asyncio, as a type checker sees them."""

from __future__ import annotations

import queue

from proxystore import aresolve
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber
from typing_extensions import reveal_type

store = Store('typing', LocalConnector())
reveal_type(store)
reveal_type(store.proxy([1, 2]))
reveal_type(store.put('x'))
reveal_type(get_store('typing'))

line: queue.Queue[bytes] = queue.Queue()
producer: StreamProducer[list[int]] = StreamProducer(
    QueuePublisher({'topic': line}), default_store=store
)
producer.send('topic', [1])
consumer: StreamConsumer[list[int]] = StreamConsumer(QueueSubscriber(line))
reveal_type(consumer.next())
reveal_type(consumer.next_object())
reveal_type(next(consumer.iter_objects_with_metadata()))


async def beside_a_loop(proxy: Proxy[str]) -> None:
    reveal_type(await aresolve(proxy))
    reveal_type(await store.aproxy([1.5]))
    key = await store.aput('x')
    reveal_type(key)
    reveal_type(await store.aget(key))
    async for item in consumer:
        reveal_type(item)
    reveal_type(await consumer.anext_object())
