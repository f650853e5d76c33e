"""Streams through queues, between threads or between processes.

Example:
    >>> from queue import Queue
    >>> queue = Queue()
    >>> QueuePublisher({'topic': queue}).send_message('topic', b'hello')
    >>> QueueSubscriber(queue).next_message()
    b'hello'
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    import multiprocessing.queues
    import queue
    import sys

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['QueuePublisher', 'QueueSubscriber']


class QueuePublisher:
    """Puts the messages of each topic into a queue.

    Args:
        queues: Queue of each topic: `queue.Queue` for threads,
            `multiprocessing.Queue` for processes, or anything that has their
            `put`.
        block: Whether to wait while a queue is full.
        timeout: Longest wait, in seconds; None for any time.

    Attributes:
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 40 * 1024

    def __init__(
        self,
        queues: Mapping[str, multiprocessing.queues.Queue[bytes] | queue.Queue[bytes]],
        *,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        self._queues = queues
        self._block = block
        self._timeout = timeout

    def close(self) -> None:
        """Close the queues that can be closed, as those of processes.

        What was put is still delivered. Those who receive are not disturbed.
        """
        for queue in self._queues.values():
            _close(queue)

    def send_message(self, topic: str, message: bytes) -> None:
        """Put a message into the queue of a topic.

        Args:
            topic: Topic of the message.
            message: The message.

        Raises:
            ValueError: If the topic has no queue.
            queue.Full: If the queue is full and stays so for `timeout`.
        """
        try:
            queue = self._queues[topic]
        except KeyError:
            raise ValueError(
                f'the topic {topic!r} has no queue; those that have one: '
                f'{", ".join(map(repr, self._queues)) or "none"}'
            ) from None
        queue.put(message, block=self._block, timeout=self._timeout)


class QueueSubscriber:
    """Takes messages out of a queue. Each goes to one subscriber.

    Args:
        queue: The queue of a topic.
        block: Whether to wait while it is empty.
        timeout: Longest wait, in seconds; None for any time.
    """

    def __init__(
        self,
        queue: multiprocessing.queues.Queue[bytes] | queue.Queue[bytes],
        *,
        block: bool = True,
        timeout: float | None = None,
    ) -> None:
        self._queue = queue
        self._block = block
        self._timeout = timeout

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.next_message()

    def close(self) -> None:
        """Close the queue if it can be closed, as those of processes."""
        _close(self._queue)

    def next_message(self) -> bytes:
        """Wait for a message and return it.

        Raises:
            queue.Empty: If there is none, within `timeout` if it blocks.
        """
        return self._queue.get(block=self._block, timeout=self._timeout)


def _close(queue: Any) -> None:
    close = getattr(queue, 'close', None)
    if callable(close):
        close()
