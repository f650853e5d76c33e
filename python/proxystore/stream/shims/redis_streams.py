"""Streams through Redis streams: kept, replayed, shared out in groups.

Messages stay in Redis after they were read, so a consumer that comes later or
comes back reads them again. Without a group every subscriber gets every
message; the subscribers of one group share them out, and what one of them got
but did not finish before it died is delivered again.

Send with `evict=False` if an object is to be resolved more than once.

The package `redis` is needed: `pip install 'proxystore[redis]'`.

Example:
    >>> publisher = RedisStreamPublisher('localhost', 6379)
    >>> publisher.send_message('stream-example', b'hello')
    >>> worker = RedisStreamSubscriber(
    ...     'localhost', 6379, 'stream-example', group='workers', name='worker-1'
    ... )
    >>> worker.next_message()
    b'hello'
    >>> worker.close()  # finishes the message
    >>> publisher.close()
"""

from __future__ import annotations

import os
import socket
from typing import Any

from proxystore._optional import require
from proxystore.stream.shims._replayed import ReplayedSubscriber
from proxystore.stream.shims.redis import connect

__all__ = ['RedisStreamPublisher', 'RedisStreamSubscriber']

_FIELD = b'message'
_AT_ONCE = 64
"""Most messages that one request to Redis brings."""


class RedisStreamPublisher:
    """Appends to a Redis stream.

    Args:
        hostname: Host of the Redis server.
        port: Its port.
        max_length: About how many messages of a topic are kept; None for all.
        kwargs: Passed on to `redis.Redis`, such as `password`; with
            `cluster=True` to `redis.RedisCluster`, for a node of a cluster.

    Attributes:
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 32 * 1024

    def __init__(
        self,
        hostname: str,
        port: int,
        *,
        max_length: int | None = None,
        **kwargs: Any,
    ) -> None:
        self._client = connect(self, hostname, port, kwargs)
        self._max_length = max_length

    def close(self) -> None:
        """Close the connections. The messages stay in Redis."""
        self._client.close()

    def send_message(self, topic: str, message: bytes) -> None:
        """Append a message.

        Args:
            topic: Topic of the message: the key of the Redis stream.
            message: The message.
        """
        self._client.xadd(topic, {_FIELD: message}, maxlen=self._max_length)


class RedisStreamSubscriber(ReplayedSubscriber):
    """Reads a Redis stream.

    In a group, a message counts as finished when the next one is asked for or
    the subscriber is closed; until then it is delivered again to a subscriber
    that takes the same name, or to another one of the group after
    `claim_after` seconds.

    Args:
        hostname: Host of the Redis server.
        port: Its port.
        topic: Topic: the key of the Redis stream.
        start: Where to begin, or where a new group begins: `'0'` for the
            first message that is kept, `'$'` for what comes from now on, or
            the id of a message, after which to begin.
        group: Name of the group; None to read everything alone.
        name: Name in the group; the host's name and the process id if not
            given.
        claim_after: In a group, seconds after which a message that another
            subscriber got and did not finish is taken over; None for never.
        timeout: Longest wait for a message, in seconds; None for any time.
        kwargs: Passed on to `redis.Redis`, such as `password`; with
            `cluster=True` to `redis.RedisCluster`, for a node of a cluster.

    Attributes:
        last_id: Id of the last message, to `start` from another time.
    """

    def __init__(
        self,
        hostname: str,
        port: int,
        topic: str,
        *,
        start: str = '0',
        group: str | None = None,
        name: str | None = None,
        claim_after: float | None = None,
        timeout: float | None = None,
        **kwargs: Any,
    ) -> None:
        self._client = connect(self, hostname, port, kwargs)
        super().__init__(topic, start, group, timeout)
        self._name = name or f'{socket.gethostname()}-{os.getpid()}'
        self._claim_after = claim_after
        self._recovered: str | None = '0'
        self._claim_from: Any = '0-0'
        if group is not None:
            redis = require('redis', extra='redis', user=type(self).__name__)
            try:
                self._client.xgroup_create(topic, group, id=start, mkstream=True)
            except redis.ResponseError as error:
                if 'BUSYGROUP' not in str(error):  # else it is there already
                    raise
        elif start == '$':
            # From now on, not from each request on.
            newest = self._client.xrevrange(topic, count=1)
            self.last_id = newest[0][0].decode() if newest else '0-0'

    def close(self) -> None:
        """Finish the last message, and close the connections."""
        self._finish_last()
        self._client.close()

    def _finish(self, unfinished: Any) -> None:
        self._client.xack(self._topic, self._group, unfinished)

    def _read(self, left: float | None) -> list[tuple[str, bytes, Any]]:
        if self._group is not None:
            found = self._recover()
            if found:
                return found
        # Redis takes 0 for: any time.
        wait = 0
        if self._claim_after is not None:
            wait = max(1, int(self._claim_after * 1000))
        if left is not None:
            most = max(1, int(left * 1000))
            wait = min(wait, most) if wait else most
        if self._group is None:
            answer = self._client.xread(
                {self._topic: self.last_id}, count=_AT_ONCE, block=wait
            )
        else:
            # One at a time: others of the group get the rest.
            answer = self._client.xreadgroup(
                self._group, self._name, {self._topic: '>'}, count=1, block=wait
            )
        return _messages(_entries(answer))

    def _recover(self) -> list[tuple[str, bytes, Any]]:
        """Take up what was delivered before and not finished."""
        while self._recovered is not None:
            answer = self._client.xreadgroup(
                self._group, self._name, {self._topic: self._recovered}, count=1
            )
            entries = _entries(answer)
            if not entries:
                self._recovered = None
                break
            self._recovered = entries[0][0].decode()
            found = _messages(entries)
            if found:
                return found
        if self._claim_after is None:
            return []
        answer = self._client.xautoclaim(
            self._topic,
            self._group,
            self._name,
            min_idle_time=int(self._claim_after * 1000),
            start_id=self._claim_from,
            count=1,
        )
        self._claim_from = answer[0]
        return _messages(answer[1])


def _entries(answer: Any) -> list[Any]:
    """Return the entries of the one stream in an answer."""
    if not answer:
        return []
    # A list of pairs, or with the newer protocol a dictionary of lists.
    if isinstance(answer, dict):
        (found,) = answer.values()
        return [*found[0]] if found and isinstance(found[0], list) else [*found]
    return [*answer[0][1]]


def _messages(entries: list[Any]) -> list[tuple[str, bytes, Any]]:
    # An entry that was trimmed meanwhile has no fields.
    return [(id_.decode(), fields[_FIELD], id_) for id_, fields in entries if fields]
