"""Streams of objects: events travel through a broker, objects through stores.

A [`StreamProducer`][proxystore.stream.StreamProducer] puts each object into
the store of its topic and publishes an event with its key; a
[`StreamConsumer`][proxystore.stream.StreamConsumer] yields a proxy for each
event. So a broker that is good at small messages carries objects of any size,
and a consumer that only looks at metadata never fetches the objects. The
brokers are behind shims, see `proxystore.stream.shims`.

Example:
    >>> from queue import Queue
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> from proxystore.stream import StreamConsumer, StreamProducer
    >>> from proxystore.stream.shims.queue import QueuePublisher
    >>> from proxystore.stream.shims.queue import QueueSubscriber
    >>> store = Store('stream-example', LocalConnector(), register=True)
    >>> queue = Queue()
    >>> producer = StreamProducer(
    ...     QueuePublisher({'numbers': queue}), default_store=store
    ... )
    >>> consumer = StreamConsumer(QueueSubscriber(queue))
    >>> for part in ([1, 2], [3, 4]):
    ...     producer.send('numbers', part, metadata={'parts': len(part)})
    >>> producer.close(topics=['numbers'])
    >>> [sum(numbers) for numbers in consumer]
    [3, 7]
    >>> store.close()
"""

from __future__ import annotations

from proxystore.stream._consumer import StreamConsumer
from proxystore.stream._producer import INLINE_BELOW
from proxystore.stream._producer import StreamProducer

__all__ = ['INLINE_BELOW', 'StreamConsumer', 'StreamProducer']
