"""One producer and one consumer process of one system; started by compare.py.

    python worker.py BROKER SYSTEM PLACE

For each line `{"size": ..., "count": ...}` it passes that many arrays on, and answers with the
seconds until the last one was used. It runs under ProxyStore 1.1 as well.
"""

from __future__ import annotations

import json
import multiprocessing
import pickle
import sys
import time
from typing import Any

import numpy as np

EVERYTHING = 1 << 40
INLINE = {'ours proxied': 0, 'ours inline': EVERYTHING}
"""`inline_below` of each system of ours; the default of the shim for those not named."""


def open_store(broker: str, system: str, place: str) -> Any:
    from proxystore.store import Store

    connector: Any
    if broker != 'queue':
        from proxystore.connectors.redis import RedisConnector

        connector = RedisConnector('127.0.0.1', int(place))
    else:
        from proxystore.connectors.file import FileConnector

        connector = FileConnector(f'{place}/{system.replace(" ", "-")}')
    return Store(f'bench-{broker}-{system}', connector, cache_size=0, register=True)


def use(array: Any, size: int) -> None:
    assert array.nbytes == size, array.nbytes
    assert array[-1] == size


class Plain:
    """The objects themselves through the broker, as programs without a store do it."""

    def __init__(self, broker: str, place: str, queue: Any, topic: str) -> None:
        self.broker, self.queue, self.topic = broker, queue, topic
        if broker != 'queue':
            import redis

            self.client = redis.Redis('127.0.0.1', int(place))

    def listen(self) -> None:
        if self.broker == 'channel':
            self.channel = self.client.pubsub()
            self.channel.subscribe(self.topic)
            self.channel.get_message(timeout=None)

    def send(self, array: Any) -> None:
        if self.broker == 'redis':
            self.client.rpush(self.topic, pickle.dumps(array, protocol=5))
        elif self.broker == 'channel':
            self.client.publish(self.topic, pickle.dumps(array, protocol=5))
        else:
            self.queue.put(array)

    def receive(self) -> Any:
        if self.broker == 'redis':
            return pickle.loads(self.client.blpop([self.topic])[1])
        if self.broker == 'channel':
            return pickle.loads(self.channel.get_message(timeout=None)['data'])
        return self.queue.get()


def subscriber_of(broker: str, place: str, queue: Any, topic: str) -> Any:
    if broker == 'redis':
        from proxystore.stream.shims.redis import RedisQueueSubscriber

        return RedisQueueSubscriber('127.0.0.1', int(place), topic)
    if broker == 'channel':
        from proxystore.stream.shims.redis import RedisSubscriber

        return RedisSubscriber('127.0.0.1', int(place), topic)
    from proxystore.stream.shims.queue import QueueSubscriber

    return QueueSubscriber(queue)


def publisher_of(broker: str, place: str, queue: Any, topic: str) -> Any:
    if broker == 'redis':
        from proxystore.stream.shims.redis import RedisQueuePublisher

        return RedisQueuePublisher('127.0.0.1', int(place))
    if broker == 'channel':
        from proxystore.stream.shims.redis import RedisPublisher

        return RedisPublisher('127.0.0.1', int(place))
    from proxystore.stream.shims.queue import QueuePublisher

    return QueuePublisher({topic: queue})


def consume(broker: str, system: str, place: str, queue: Any, pipe: Any) -> None:
    topic = f'bench-{system}'
    if system == 'plain':
        plain = Plain(broker, place, queue, topic)
        plain.listen()
        pipe.send('ready')
        while True:
            size, count = pipe.recv()
            for _ in range(count):
                use(plain.receive(), size)
            pipe.send(time.monotonic())
    from proxystore.stream import StreamConsumer

    open_store(broker, system, place)
    subscriber = subscriber_of(broker, place, queue, topic)
    pipe.send('ready')
    while True:
        size, count = pipe.recv()
        consumer: Any = StreamConsumer(subscriber)
        seen = 0
        for proxy in consumer:
            use(proxy, size)
            seen += 1
        assert seen == count, seen
        pipe.send(time.monotonic())


def main(broker: str, system: str, place: str) -> None:
    context = multiprocessing.get_context('spawn')
    queue = context.Queue()
    pipe, theirs = context.Pipe()
    child = context.Process(
        target=consume, args=(broker, system, place, queue, theirs), daemon=True
    )
    child.start()
    assert pipe.recv() == 'ready'
    topic = f'bench-{system}'
    store = publisher = plain = None
    if system == 'plain':
        plain = Plain(broker, place, queue, topic)
    else:
        store = open_store(broker, system, place)
        publisher = publisher_of(broker, place, queue, topic)
    print('{}', flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        size, count = request['size'], request['count']
        array = np.full(size // 8, float(size))
        pipe.send((size, count))
        began = time.monotonic()
        if plain is not None:
            for _ in range(count):
                plain.send(array)
        else:
            from proxystore.stream import StreamProducer

            options: dict[str, Any] = {}
            if system in INLINE:
                options['inline_below'] = INLINE[system]
            producer: Any = StreamProducer(publisher, default_store=store, **options)
            for _ in range(count):
                producer.send(topic, array)
            producer.close_topics(topic)
        print(json.dumps({'seconds': pipe.recv() - began}), flush=True)
    child.terminate()
    if store is not None:
        store.close()


if __name__ == '__main__':
    main(*sys.argv[1:])
