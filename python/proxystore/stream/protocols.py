"""What a producer, a consumer and their filters need of others.

A broker is adapted by a shim that follows the message protocols: it moves
bytes. Who wants the events themselves, to mirror or to index them say,
follows the event protocols instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol
from typing import TypeVar
from typing import Union
from typing import runtime_checkable

if TYPE_CHECKING:
    import sys

    from proxystore.stream.events import EventBatch

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = [
    'EventPublisher',
    'EventSubscriber',
    'Filter',
    'MessagePublisher',
    'MessageSubscriber',
    'Publisher',
    'Subscriber',
    'T',
]

T = TypeVar('T')


@runtime_checkable
class EventPublisher(Protocol):
    """Publishes events.

    Example:
        >>> class Printer:
        ...     def close(self): ...
        ...     def send_events(self, events):
        ...         print(events)
        >>> isinstance(Printer(), EventPublisher)
        True
    """

    def close(self) -> None:
        """Let go of what is open."""
        ...

    def send_events(self, events: EventBatch) -> None:
        """Publish the events of one topic, in order.

        Args:
            events: The events, one or more.
        """
        ...


@runtime_checkable
class MessagePublisher(Protocol):
    """Publishes bytes.

    Example:
        >>> from proxystore.stream.shims.queue import QueuePublisher
        >>> isinstance(QueuePublisher({}), MessagePublisher)
        True
    """

    def close(self) -> None:
        """Let go of what is open, once everything is sent."""
        ...

    def send_message(self, topic: str, message: bytes) -> None:
        """Publish one message.

        Args:
            topic: Topic of the message.
            message: What `next_message` of each subscriber returns.
        """
        ...


@runtime_checkable
class EventSubscriber(Protocol):
    """Receives events.

    Example:
        >>> from proxystore.stream.events import EndOfStreamEvent
        >>> from proxystore.stream.events import EventBatch
        >>> class Ended:
        ...     def __iter__(self):
        ...         return self
        ...     def __next__(self):
        ...         return self.next_events()
        ...     def close(self): ...
        ...     def next_events(self):
        ...         return EventBatch('topic', [EndOfStreamEvent('topic')])
        >>> isinstance(Ended(), EventSubscriber)
        True
    """

    def __iter__(self) -> Self:
        """Return itself."""
        ...

    def __next__(self) -> EventBatch:
        """Return the next events, as `next_events`."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...

    def next_events(self) -> EventBatch:
        """Wait for the next events and return them."""
        ...


@runtime_checkable
class MessageSubscriber(Protocol):
    """Receives bytes.

    Example:
        >>> from queue import Queue
        >>> from proxystore.stream.shims.queue import QueueSubscriber
        >>> isinstance(QueueSubscriber(Queue()), MessageSubscriber)
        True
    """

    def __iter__(self) -> Self:
        """Return itself."""
        ...

    def __next__(self) -> bytes:
        """Return the next message, as `next_message`."""
        ...

    def close(self) -> None:
        """Let go of what is open."""
        ...

    def next_message(self) -> bytes:
        """Wait for the next message and return it."""
        ...


class Filter(Protocol):
    """Tells by metadata which objects are dropped from a stream.

    Example:
        >>> from proxystore.stream.filters import NullFilter
        >>> drop: Filter = NullFilter()
        >>> drop({})
        False
    """

    def __call__(self, metadata: dict[str, Any]) -> bool:
        """Return True to drop the object with this metadata.

        Args:
            metadata: What the producer sent along with the object.
        """
        ...


Publisher = Union[EventPublisher, MessagePublisher]  # noqa: UP007
"""What a producer publishes with."""
Subscriber = Union[EventSubscriber, MessageSubscriber]  # noqa: UP007
"""What a consumer receives from."""
