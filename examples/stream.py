"""A stream between processes: a producer, two workers, and a dispatcher in between.

The dispatcher looks at metadata only, and passes proxies on to the workers: it never
fetches an image. Small objects travel in the events, large ones through the store.

    python examples/stream.py
"""

from __future__ import annotations

import multiprocessing
from typing import Any

import numpy as np
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber

WORKERS = 2


def produce(events: Any, store: Store[Any]) -> None:
    producer = StreamProducer[Any](
        QueuePublisher({'images': events}),
        default_store=store,
        inline_below=10_000,
    )
    for number, side in enumerate([10, 1000, 20, 500]):
        image = np.full((side, side), number, 'u1')
        producer.send('images', image, metadata={'number': number, 'side': side})
    producer.close_topics('images')


def work(tasks: Any, results: Any) -> None:
    while (task := tasks.get()) is not None:
        metadata, image = task
        # The first use fetches the image; after it, the store has it no more.
        results.put((metadata['number'], int(image.sum())))


def main() -> None:
    spawn = multiprocessing.get_context('spawn')
    events, tasks, results = spawn.Queue(), spawn.Queue(), spawn.Queue()
    workers = [
        spawn.Process(target=work, args=(tasks, results)) for _ in range(WORKERS)
    ]
    for worker in workers:
        worker.start()
    with Store('images', register=True) as store:
        produce(events, store)
        consumer = StreamConsumer[Any](
            QueueSubscriber(events), filter_=lambda metadata: metadata['side'] == 20
        )
        for metadata, proxy in consumer.iter_with_metadata():
            assert type(proxy) is Proxy
            way = 'came along' if is_resolved(proxy) else 'is in the store'
            print(f'image {metadata["number"]} {way}')
            tasks.put((metadata, proxy))
        for number, total in sorted(results.get(timeout=60) for _ in range(3)):
            print(f'image {number}: sum {total}')
        for _ in workers:
            tasks.put(None)
        for worker in workers:
            worker.join()


if __name__ == '__main__':
    main()
