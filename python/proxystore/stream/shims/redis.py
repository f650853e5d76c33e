"""Streams through Redis: publish and subscribe, or queues.

With publish and subscribe a message reaches those who listen at that moment;
a queue keeps it until one consumer takes it. See
`proxystore.stream.shims.redis_streams` for messages that stay.

The package `redis` is needed: `pip install 'proxystore[redis]'`.

Example:
    >>> publisher = RedisQueuePublisher('localhost', 6379)
    >>> publisher.send_message('queue-example', b'hello')
    >>> subscriber = RedisQueueSubscriber('localhost', 6379, 'queue-example')
    >>> subscriber.next_message()
    b'hello'
    >>> subscriber.close()
    >>> publisher.close()
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

from proxystore._optional import require

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = [
    'RedisPublisher',
    'RedisQueuePublisher',
    'RedisQueueSubscriber',
    'RedisSubscriber',
]


def connect(user: object, hostname: str, port: int, options: dict[str, Any]) -> Any:
    """Return a client of a Redis server, or of the cluster that it is a node of."""
    redis = require('redis', extra='redis', user=type(user).__name__)
    options = dict(options)
    if options.pop('cluster', False):
        return redis.RedisCluster(host=hostname, port=port, **options)
    return redis.Redis(host=hostname, port=port, **options)


class RedisPublisher:
    """Publishes to those who listen; others never see the message.

    Args:
        hostname: Host of the Redis server.
        port: Its port.
        kwargs: Passed on to `redis.Redis`, such as `password`; with
            `cluster=True` to `redis.RedisCluster`, for a node of a cluster.

    Attributes:
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 32 * 1024

    def __init__(self, hostname: str, port: int, **kwargs: Any) -> None:
        self._client = connect(self, hostname, port, kwargs)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send_message(self, topic: str, message: bytes) -> None:
        """Publish a message.

        Args:
            topic: Topic of the message: the Redis channel.
            message: The message.
        """
        self._client.publish(topic, message)


class RedisSubscriber:
    """Listens to one or more topics, from when it was made.

    Args:
        hostname: Host of the Redis server.
        port: Its port.
        topic: A topic or several.
        kwargs: Passed on to `redis.Redis`, such as `password`; with
            `cluster=True` to `redis.RedisCluster`, for a node of a cluster.
    """

    def __init__(
        self, hostname: str, port: int, topic: str | Sequence[str], **kwargs: Any
    ) -> None:
        topics = [topic] if isinstance(topic, str) else [*topic]
        self._client = connect(self, hostname, port, kwargs)
        self._pubsub = self._client.pubsub()
        self._pubsub.subscribe(*topics)
        # What is published once the constructor has returned is received.
        for _ in topics:
            self._pubsub.get_message(timeout=None)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.next_message()

    def close(self) -> None:
        """Stop listening, and close the connections."""
        self._pubsub.close()
        self._client.close()

    def next_message(self) -> bytes:
        """Wait for a message and return it."""
        while True:
            message = self._pubsub.get_message(
                ignore_subscribe_messages=True, timeout=None
            )
            if message is not None:
                data: bytes = message['data']
                return data


class RedisQueuePublisher:
    """Appends to a list in Redis, where messages wait for a consumer.

    Args:
        hostname: Host of the Redis server.
        port: Its port.
        kwargs: Passed on to `redis.Redis`, such as `password`; with
            `cluster=True` to `redis.RedisCluster`, for a node of a cluster.

    Attributes:
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 64 * 1024

    def __init__(self, hostname: str, port: int, **kwargs: Any) -> None:
        self._client = connect(self, hostname, port, kwargs)

    def close(self) -> None:
        """Close the connections. Messages that wait stay in Redis."""
        self._client.close()

    def send_message(self, topic: str, message: bytes) -> None:
        """Append a message.

        Args:
            topic: Topic of the message: the key of the Redis list.
            message: The message.
        """
        self._client.rpush(topic, message)


class RedisQueueSubscriber:
    """Takes messages out of a list in Redis. Each goes to one subscriber.

    Args:
        hostname: Host of the Redis server.
        port: Its port.
        topic: Topic: the key of the Redis list.
        timeout: Longest wait for a message, in seconds; None for any time.
        kwargs: Passed on to `redis.Redis`, such as `password`; with
            `cluster=True` to `redis.RedisCluster`, for a node of a cluster.
    """

    def __init__(
        self,
        hostname: str,
        port: int,
        topic: str,
        *,
        timeout: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._client = connect(self, hostname, port, kwargs)
        self._topic = topic
        self._timeout = timeout

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.next_message()

    def close(self) -> None:
        """Close the connections. Messages that wait stay in Redis."""
        self._client.close()

    def next_message(self) -> bytes:
        """Wait for a message and return it.

        Raises:
            TimeoutError: If there is none within `timeout`.
        """
        # Redis takes 0 for: any time.
        found = self._client.blpop([self._topic], timeout=self._timeout or 0)
        if found is None:
            raise TimeoutError(
                f'no message in the queue {self._topic!r} within {self._timeout} s'
            )
        message: bytes = found[1]
        return message
