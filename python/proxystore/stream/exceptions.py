"""Errors of streams.

Example:
    >>> from queue import Queue
    >>> from proxystore.stream import StreamProducer
    >>> from proxystore.stream.shims.queue import QueuePublisher
    >>> producer = StreamProducer(QueuePublisher({'topic': Queue()}))
    >>> producer.close_topics('topic')
    >>> try:
    ...     producer.send('topic', 'too late')
    ... except TopicClosedError as error:
    ...     print(error)
    the topic "topic" was closed by this producer: nothing can be sent to it any more
"""

from __future__ import annotations

from proxystore.exceptions import ProxyStoreError

__all__ = ['TopicClosedError']


class TopicClosedError(ProxyStoreError):
    """An object was sent to a topic that the producer closed."""
