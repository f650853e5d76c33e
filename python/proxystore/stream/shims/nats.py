"""Streams through NATS JetStream: kept, replayed, shared out in groups.

A topic is a subject. If no JetStream stream of the server takes it, one is
made. Messages stay after they were read, so a consumer that comes later or
comes back reads them again. Without a group every subscriber gets every
message; the subscribers of one group share them out, and what one of them got
but did not finish before it died is delivered again.

Send with `evict=False` if an object is to be resolved more than once.

A server takes messages of up to 1 MB unless it is configured otherwise:
objects of topics without a store must be smaller.

The package `nats-py` is needed: `pip install 'proxystore[nats]'`.

Example:
    >>> publisher = NatsPublisher('nats://127.0.0.1:4222')
    >>> publisher.send_message('nats-example', b'hello')
    >>> worker = NatsSubscriber(
    ...     'nats://127.0.0.1:4222', 'nats-example', group='workers'
    ... )
    >>> worker.next_message()
    b'hello'
    >>> worker.close()  # finishes the message
    >>> publisher.close()
"""

from __future__ import annotations

import os
import threading
from collections.abc import Coroutine
from collections.abc import Sequence
from typing import Any

from proxystore._optional import require
from proxystore.stream.shims._replayed import ReplayedSubscriber

__all__ = ['NatsPublisher', 'NatsSubscriber']

_AT_ONCE = 64
"""Most messages that one request brings."""
_LONGEST_REQUEST = 5.0
"""Seconds after which a request that waits for messages is made anew."""


class NatsPublisher:
    """Appends to JetStream streams.

    Args:
        servers: URL of a server, or several of a cluster.
        max_length: Of streams that are made here: how many messages are
            kept; None for all.
        kwargs: Passed on to `nats.connect`, such as `user` and `password`.

    Attributes:
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 32 * 1024

    def __init__(
        self,
        servers: str | Sequence[str],
        *,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._client = _Client(self, servers, kwargs)
        self._max_length = max_length

    def close(self) -> None:
        """Close the connection. The messages stay in the server."""
        self._client.close()

    def send_message(self, topic: str, message: bytes) -> None:
        """Append a message, and wait until the server has stored it.

        Args:
            topic: Topic of the message: the subject.
            message: The message.

        Raises:
            nats.errors.Error: If the server did not store it.
        """
        self._client.stream_of(topic, self._max_length)
        self._client.run(self._client.jetstream.publish(topic, message))


class NatsSubscriber(ReplayedSubscriber):
    """Reads a JetStream stream.

    In a group, a message counts as finished when the next one is asked for or
    the subscriber is closed; until then it is delivered again to another one
    of the group `claim_after` seconds after the process died. A consumer that
    is slow keeps its message.

    Args:
        servers: URL of a server, or several of a cluster.
        topic: Topic: the subject.
        start: Where to begin, or where a new group begins: `'0'` for the
            first message that is kept, `'$'` for what comes from now on, or
            the id of a message, after which to begin.
        group: Name of the group; None to read everything alone.
        claim_after: In a new group, seconds without a sign of life of a
            subscriber after which another one gets its message.
        timeout: Longest wait for a message, in seconds; None for any time.
        kwargs: Passed on to `nats.connect`, such as `user` and `password`.

    Attributes:
        last_id: Id of the last message, to `start` from another time.
    """

    def __init__(
        self,
        servers: str | Sequence[str],
        topic: str,
        *,
        start: str = '0',
        group: str | None = None,
        claim_after: float = 30.0,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(topic, start, group, timeout)
        self._sign_of_life: Any = None
        self._sign_every = claim_after / 3
        self._client = _Client(self, servers, kwargs)
        try:
            stream = self._client.stream_of(topic, None)
            self._pull = self._client.run(
                self._client.jetstream.pull_subscribe(
                    topic,
                    durable=group,
                    stream=stream,
                    config=_consumer_config(start, group, claim_after),
                )
            )
        except BaseException:
            self._client.close()
            raise

    def close(self) -> None:
        """Finish the last message, and close the connection."""
        if not self._client.closed:
            self._finish_last()
            self._client.close()

    def _begun(self, unfinished: Any) -> None:
        signs = _signs_of_life(unfinished, self._sign_every)
        self._sign_of_life = self._client.start(signs)

    def _finish(self, unfinished: Any) -> None:
        self._sign_of_life.cancel()
        self._client.run(unfinished.ack_sync())

    def _read(self, left: float | None) -> list[tuple[str, bytes, Any]]:
        from nats.errors import TimeoutError as Nothing

        # One at a time in a group: others of it get the rest.
        count = _AT_ONCE if self._group is None else 1
        wait = _LONGEST_REQUEST if left is None else min(_LONGEST_REQUEST, left)
        try:
            found = self._client.run(self._pull.fetch(count, wait))
        except Nothing:
            return []
        return [(str(m.metadata.sequence.stream), m.data, m) for m in found]


class _Client:
    """A connection, and the thread whose event loop serves it."""

    def __init__(
        self, user: object, servers: str | Sequence[str], options: dict[str, Any]
    ) -> None:
        nats = require('nats', extra='nats', user=type(user).__name__)
        import asyncio

        self.closed = False
        self._process = os.getpid()
        self._streams: dict[str, str] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name='proxystore-nats', daemon=True
        )
        self._thread.start()
        settings = {'error_cb': _ignore, **options}
        several = servers if isinstance(servers, str) else [*servers]
        try:
            self._connection = self.run(nats.connect(several, **settings))
        except BaseException:
            self._stop()
            raise
        self.jetstream: Any = self._connection.jetstream()

    def start(self, work: Coroutine[Any, Any, Any]) -> Any:
        import asyncio

        if self.closed or self._process != os.getpid():
            work.close()
            raise RuntimeError(
                'this NATS shim was closed, or belongs to the process that this '
                'one was forked from: make a new one'
            )
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        future = self.start(work)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stream_of(self, topic: str, max_length: int | None) -> str:
        """Return the name of the stream that takes a topic; made if need be."""
        name = self._streams.get(topic)
        if name is None:
            name = self._streams[topic] = self.run(
                _find_or_make(self.jetstream, topic, max_length)
            )
        return name

    def close(self) -> None:
        if self.closed or self._process != os.getpid():
            return
        try:
            self.run(self._connection.close())
        finally:
            self._stop()

    def _stop(self) -> None:
        self.closed = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _ignore(error: Exception) -> None:
    """Say nothing: the call that an error concerns raises it."""


async def _find_or_make(jetstream: Any, topic: str, max_length: int | None) -> str:
    from nats.js.errors import NotFoundError

    try:
        found: str = await jetstream.find_stream_name_by_subject(topic)
        return found
    except NotFoundError:
        pass
    name = ''.join(c if c.isalnum() or c in '-_' else '_' for c in topic)
    if name != topic:  # two topics must not become one
        import hashlib

        name += '-' + hashlib.sha256(topic.encode()).hexdigest()[:8]
    # Two that make the same one at once both succeed.
    await jetstream.add_stream(
        name=name, subjects=[topic], max_msgs=-1 if max_length is None else max_length
    )
    return name


async def _signs_of_life(message: Any, every: float) -> None:
    import asyncio

    while True:
        await asyncio.sleep(every)
        await message.in_progress()


def _consumer_config(start: str, group: str | None, claim_after: float) -> Any:
    from nats.js.api import AckPolicy
    from nats.js.api import ConsumerConfig
    from nats.js.api import DeliverPolicy

    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE if group is None else AckPolicy.EXPLICIT,
        ack_wait=claim_after,
        deliver_policy=DeliverPolicy.ALL,
    )
    if start == '$':
        config.deliver_policy = DeliverPolicy.NEW
    elif start != '0':
        config.deliver_policy = DeliverPolicy.BY_START_SEQUENCE
        config.opt_start_seq = int(start) + 1
    return config
