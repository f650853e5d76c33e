"""Streams through Kafka.

The clients are those of `confluent-kafka`, configured by the caller:
`pip install 'proxystore[kafka]'`.

Kafka keeps the order of messages within a partition only. Where the end of a
stream is to come last, use a topic of one partition, or have the producer use
one: `'partitioner': 'consistent'` in its configuration.

In a group, the client tells Kafka every few seconds which messages were
received (`auto.commit.interval.ms`): what a consumer was working on when it
died is lost, and what it received since then is delivered again. With
`'enable.auto.offset.store': False` in its configuration only finished messages
count, so that nothing is lost: one is finished when the next one is asked for
or the subscriber is closed. A consumer that takes longer than
`max.poll.interval.ms` for a message (5 minutes) loses its place in the group,
and comes back to it by itself.

Example, with the brokers that the client itself plays for tests:
    >>> import confluent_kafka
    >>> client = confluent_kafka.Producer(
    ...     {'test.mock.num.brokers': 1, 'log_level': 0}
    ... )
    >>> publisher = KafkaPublisher(client)
    >>> publisher.send_message('topic', b'hello')
    >>> publisher.close()  # returns once it is delivered
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    import sys

    import confluent_kafka

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['KafkaPublisher', 'KafkaSubscriber']

_POLL = 0.5
"""Seconds of waiting in the client, which Ctrl-C does not interrupt."""


class KafkaPublisher:
    """Produces messages, without waiting for each to be delivered.

    A message that could not be delivered raises at the next `send_message`
    or at `close`.

    Args:
        client: The producer.

    Attributes:
        client: The producer.
        inline_below: Objects below this many bytes go into the message,
            unless the producer says otherwise.
    """

    inline_below = 32 * 1024

    def __init__(self, client: confluent_kafka.Producer) -> None:
        self.client = client
        self._failure: Any = None

    def close(self) -> None:
        """Wait until everything is delivered.

        Raises:
            confluent_kafka.KafkaException: If a message could not be.
        """
        while self.client.flush(_POLL) > 0:
            pass
        self._check()

    def send_message(self, topic: str, message: bytes) -> None:
        """Produce a message.

        Args:
            topic: Topic of the message.
            message: The message.

        Raises:
            confluent_kafka.KafkaException: If this or an earlier message
                could not be delivered.
        """
        while True:
            self._check()
            try:
                self.client.produce(topic, message, on_delivery=self._delivered)
                break
            except BufferError:  # too many are on their way
                self.client.poll(_POLL)
        self.client.poll(0)

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failure = error

    def _check(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise _exception(failure)


class KafkaSubscriber:
    """Consumes the topics that the client is subscribed to.

    Args:
        client: The consumer, subscribed already.

    Attributes:
        client: The consumer.
    """

    def __init__(self, client: confluent_kafka.Consumer) -> None:
        self.client = client
        self._unfinished: Any = None
        self._told_what_is_finished = True

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.next_message()

    def close(self) -> None:
        """Finish the last message, and close the consumer, which leaves its group."""
        self._finish()
        self.client.close()

    def next_message(self) -> bytes:
        """Wait for a message and return it; the one before is finished.

        Raises:
            confluent_kafka.KafkaException: If the client reports an error
                that it does not mend by itself.
        """
        self._finish()
        while True:
            message = self.client.poll(_POLL)
            if message is None:
                continue
            error = message.error()
            if error is None:
                self._unfinished = message
                value: bytes = message.value() or b''
                return value
            if not _passes(error):
                raise _exception(error)

    def _finish(self) -> None:
        message, self._unfinished = self._unfinished, None
        if message is None or not self._told_what_is_finished:
            return
        import confluent_kafka

        try:
            self.client.store_offsets(message)
        except confluent_kafka.KafkaException as failure:
            code = failure.args[0].code()
            if code == confluent_kafka.KafkaError._INVALID_ARG:
                # As it comes the client counts what was received, and wants
                # to be told nothing.
                self._told_what_is_finished = False
            elif code != confluent_kafka.KafkaError._STATE:
                raise
            # Otherwise another one of the group has the partition meanwhile,
            # and the message is delivered again.


def _passes(error: Any) -> bool:
    """Whether the client goes on after an error by itself."""
    import confluent_kafka

    # A topic that does not exist yet is made by its first message; a consumer
    # that was slow comes back to its group.
    passing = (
        confluent_kafka.KafkaError._MAX_POLL_EXCEEDED,
        confluent_kafka.KafkaError._PARTITION_EOF,
        confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART,
    )
    return error.code() in passing or bool(error.retriable())


def _exception(error: Any) -> Exception:
    import confluent_kafka

    failure: Exception = confluent_kafka.KafkaException(error)
    return failure
