"""Both ends of a stream over a queue, and stand-ins that record."""

from __future__ import annotations

import queue
from typing import Any

from proxystore.connectors.local import LocalConnector
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.events import EventBatch
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber


class Counting(LocalConnector):
    """Counts how objects reach it."""

    def __init__(self) -> None:
        super().__init__({})
        self.puts: list[int] = []

    def put(self, obj: Any) -> Any:
        self.puts.append(1)
        return super().put(obj)

    def put_batch(self, objs: Any) -> Any:
        self.puts.append(len(objs))
        return [super(Counting, self).put(obj) for obj in objs]


class Recorder:
    """Publishes events to a list."""

    def __init__(self) -> None:
        self.batches: list[EventBatch] = []
        self.closed = False

    def send_events(self, events: EventBatch) -> None:
        self.batches.append(events)

    def close(self) -> None:
        self.closed = True


def pair(
    line: queue.Queue[bytes], **kwargs: Any
) -> tuple[StreamProducer[Any], StreamConsumer[Any]]:
    kwargs.setdefault('inline_below', 0)
    consumer = StreamConsumer[Any](
        QueueSubscriber(line, timeout=10), filter_=kwargs.pop('consumer_filter', None)
    )
    return StreamProducer[Any](QueuePublisher({'t': line}), **kwargs), consumer
