"""Streams through ZeroMQ, without a broker.

The publisher binds, the subscribers connect. A message reaches those who are
connected when it is sent: `wait_for_subscribers` waits for them.

The package `pyzmq` is needed: `pip install 'proxystore[zmq]'`.

Example:
    >>> publisher = ZeroMQPublisher('127.0.0.1', 25571)
    >>> subscriber = ZeroMQSubscriber('127.0.0.1', 25571, topic='topic')
    >>> publisher.wait_for_subscribers(1)
    >>> publisher.send_message('topic', b'hello')
    >>> subscriber.next_message()
    b'hello'
    >>> subscriber.close()
    >>> publisher.close()
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from typing import Any

from proxystore._optional import require

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['ZeroMQPublisher', 'ZeroMQSubscriber']


class ZeroMQPublisher:
    """Binds to an address and publishes to those who connect.

    Args:
        address: Address to bind to, such as `'127.0.0.1'` or `'*'` for all.
        port: Port to bind to.

    Attributes:
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 64 * 1024

    def __init__(self, address: str, port: int) -> None:
        zmq = require('zmq', extra='zmq', user=type(self).__name__)
        self._zmq = zmq
        self._subscribed = 0
        self._context = zmq.Context()
        # Unlike PUB, it is told who subscribes.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        # A slow subscriber misses nothing: memory is the limit.
        self._socket.setsockopt(zmq.SNDHWM, 0)
        try:
            self._socket.bind(f'tcp://{address}:{port}')
        except zmq.ZMQError:
            self._context.destroy(linger=0)
            raise

    def close(self) -> None:
        """Close the socket, once everything is sent to those connected."""
        self._context.destroy()

    def send_message(self, topic: str, message: bytes) -> None:
        """Publish a message.

        Args:
            topic: Topic of the message.
            message: The message.
        """
        self._count()
        self._socket.send_multipart((topic.encode(), message))

    def wait_for_subscribers(
        self, count: int = 1, *, timeout: float | None = None
    ) -> None:
        """Wait until so many subscriptions are known.

        Args:
            count: How many.
            timeout: Longest wait, in seconds; None for any time.

        Raises:
            TimeoutError: If there are fewer then.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        self._count()
        while self._subscribed < count:
            left = None
            if deadline is not None:
                left = int((deadline - time.monotonic()) * 1000)
                if left <= 0:
                    raise TimeoutError(
                        f'{self._subscribed} of {count} subscribers within {timeout} s'
                    )
            self._socket.poll(left)
            self._count()

    def _count(self) -> None:
        while self._socket.getsockopt(self._zmq.EVENTS) & self._zmq.POLLIN:
            came = self._socket.recv()[:1] == b'\x01'
            self._subscribed += 1 if came else -1


class ZeroMQSubscriber:
    """Connects to a publisher and receives what it sends from then on.

    Args:
        address: Address of the publisher.
        port: Its port.
        topic: Receive only topics that begin with this; all if empty.
    """

    def __init__(self, address: str, port: int, *, topic: str = '') -> None:
        zmq = require('zmq', extra='zmq', user=type(self).__name__)
        self._context = zmq.Context()
        self._socket: Any = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.RCVHWM, 0)
        self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        self._socket.connect(f'tcp://{address}:{port}')

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.next_message()

    def close(self) -> None:
        """Close the socket."""
        self._context.destroy(linger=0)

    def next_message(self) -> bytes:
        """Wait for a message and return it."""
        _, message = self._socket.recv_multipart()
        received: bytes = message
        return received
