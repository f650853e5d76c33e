"""Events: what a producer tells its consumers.

As bytes, an [`EventBatch`][proxystore.stream.events.EventBatch] is one frame
(see `docs/frame.md`) that holds a plain tree of values wherever its metadata
and its store's configuration are plain, so that programs in other languages
read it. Events of ProxyStore 1.x are read as well.

Example:
    >>> batch = EventBatch('topic', [NewObjectEvent('topic', 42, {'by': 'me'})])
    >>> bytes_to_event(event_to_bytes(batch)) == batch
    True
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING
from typing import Any
from typing import Union
from typing import overload

from proxystore.utils.imports import get_object_path
from proxystore.utils.imports import import_from_path

if TYPE_CHECKING:
    import sys

    from proxystore.store.config import StoreConfig

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = [
    'EndOfStreamEvent',
    'Event',
    'EventBatch',
    'InlineObjectEvent',
    'NewObjectEvent',
    'NewObjectKeyEvent',
    'bytes_to_event',
    'dict_to_event',
    'event_to_bytes',
    'event_to_dict',
]

_key_class = functools.cache(import_from_path)
_paths: dict[type[Any], str] = {}


def key_path(key_class: type[Any]) -> str:
    """Return the path of the class of a key."""
    path = _paths.get(key_class)
    if path is None:
        path = _paths[key_class] = get_object_path(key_class)
    return path


class _StoreConfigField:
    """Holds a configuration as plain values until someone asks for the model.

    Producers and consumers have no need of pydantic, whose import takes
    longer than a stream of thousands of events.
    """

    @overload
    def __get__(self, event: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, event: Any, owner: type[Any]) -> StoreConfig: ...
    def __get__(self, event: Any, owner: type[Any]) -> Any:
        if event is None:
            raise AttributeError  # a dataclass takes this for: no default
        held = event._store
        if isinstance(held, tuple):
            from proxystore.store.config import StoreConfig

            return StoreConfig._from_recipe(held)
        return held

    def __set__(self, event: Any, value: StoreConfig | tuple[Any, ...]) -> None:
        event._store = value


def _recipe_of(event: NewObjectKeyEvent | InlineObjectEvent) -> tuple[Any, ...]:
    """Return the configuration of an event's store as plain values."""
    held: Any = vars(event)['_store']
    if isinstance(held, tuple):
        return held
    recipe: tuple[Any, ...] = held._to_recipe()
    return recipe


@dataclasses.dataclass
class EndOfStreamEvent:
    """The producer closed the topic.

    Attributes:
        topic: Topic that was closed.
    """

    topic: str

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EndOfStreamEvent:
        """Make the event from its fields.

        Args:
            data: The fields by name.
        """
        return cls(**data)


@dataclasses.dataclass
class NewObjectEvent:
    """An object that travels in the event itself: its topic has no store.

    Attributes:
        topic: Topic that the object was sent to.
        obj: The object.
        metadata: What the producer sent along.
    """

    topic: str
    obj: Any
    metadata: dict[str, Any]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NewObjectEvent:
        """Make the event from its fields.

        Args:
            data: The fields by name.
        """
        return cls(**data)


@dataclasses.dataclass
class NewObjectKeyEvent:
    """An object was put into a store.

    Attributes:
        topic: Topic that the object was sent to.
        key_type: Path of the class of its key.
        raw_key: Fields of its key.
        evict: Whether the object is evicted once it is resolved.
        metadata: What the producer sent along.
        store_config: Configuration of the store.
    """

    topic: str
    key_type: str
    raw_key: list[Any]
    evict: bool
    metadata: dict[str, Any]
    store_config: _StoreConfigField = _StoreConfigField()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> NewObjectKeyEvent:
        """Make the event from its fields.

        Args:
            data: The fields by name.
        """
        return cls(**data)

    @classmethod
    def from_key(
        cls,
        key: tuple[Any, ...],
        *,
        evict: bool,
        metadata: dict[str, Any],
        store_config: StoreConfig,
        topic: str,
    ) -> NewObjectKeyEvent:
        """Make the event of a key.

        Args:
            key: Key of the object.
            evict: Whether the object is evicted once it is resolved.
            metadata: Sent along with the object.
            store_config: Configuration of the store.
            topic: Topic of the object.
        """
        return cls(
            topic,
            key_path(type(key)),
            list(key),
            evict,
            metadata,
            store_config,
        )

    def get_key(self) -> Any:
        """Return the key, of its own class."""
        key_class: Any = _key_class(self.key_type)
        return key_class(*self.raw_key)


@dataclasses.dataclass
class InlineObjectEvent:
    """An object of a topic with a store, small enough to travel in the event.

    Attributes:
        topic: Topic that the object was sent to.
        frame: The object as the store would have put it.
        metadata: What the producer sent along.
        store_config: Configuration of the store.
    """

    topic: str
    frame: bytes
    metadata: dict[str, Any]
    store_config: _StoreConfigField = _StoreConfigField()

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> InlineObjectEvent:
        """Make the event from its fields.

        Args:
            data: The fields by name.
        """
        return cls(**data)


Event = Union[  # noqa: UP007
    EndOfStreamEvent, NewObjectEvent, NewObjectKeyEvent, InlineObjectEvent
]
"""Any one event."""


@dataclasses.dataclass
class EventBatch:
    """Events of one topic, in order; what is published at once.

    Attributes:
        topic: Topic of all of them.
        events: The events.
    """

    topic: str
    events: list[Event]

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EventBatch:
        """Make the batch from its fields.

        Args:
            data: The fields by name; each event as `event_to_dict` gave it.
        """
        events: Any = [dict_to_event(event) for event in data['events']]
        return cls(data['topic'], events)


_NAMES: dict[type[Any], str] = {
    EndOfStreamEvent: 'END_OF_STREAM',
    NewObjectEvent: 'NEW_OBJECT',
    NewObjectKeyEvent: 'NEW_OBJECT_KEY',
    InlineObjectEvent: 'INLINE_OBJECT',
    EventBatch: 'EVENT_BATCH',
}
_CLASSES: dict[str, type[Any]] = {name: kind for kind, name in _NAMES.items()}


def event_to_dict(event: Event | EventBatch) -> dict[str, Any]:
    """Return the fields of an event and its kind, as `event_type`.

    Args:
        event: An event or a batch, whose events become such dictionaries.

    Example:
        >>> event_to_dict(EndOfStreamEvent('topic'))
        {'topic': 'topic', 'event_type': 'END_OF_STREAM'}
    """
    name = _NAMES.get(type(event))
    if name is None:
        raise TypeError(f'{event!r} is no event: it is a {type(event).__name__}')
    # Not dataclasses.asdict: it would copy the objects themselves.
    data = {
        field.name: getattr(event, field.name) for field in dataclasses.fields(event)
    }
    if isinstance(event, EventBatch):
        data['events'] = [event_to_dict(one) for one in event.events]
    data['event_type'] = name
    return data


def dict_to_event(data: dict[str, Any]) -> Event | EventBatch:
    """Make an event from what `event_to_dict` returned.

    Args:
        data: The fields and `event_type`; it is left as it is.

    Raises:
        KeyError: If `event_type` is missing or unknown.

    Example:
        >>> dict_to_event({'topic': 'topic', 'event_type': 'END_OF_STREAM'})
        EndOfStreamEvent(topic='topic')
    """
    fields = dict(data)
    event: Event | EventBatch = _CLASSES[fields.pop('event_type')].from_dict(fields)
    return event


def event_to_bytes(event: Event | EventBatch) -> bytes:
    """Return an event or a batch of events as one message.

    Args:
        event: An event or a batch.

    Raises:
        SerializationError: If an object or its metadata cannot be serialized.
    """
    from proxystore.stream._wire import encode

    return encode(event)


def bytes_to_event(s: bytes) -> Event | EventBatch:
    """Return the event of a message.

    Args:
        s: What `event_to_bytes` returned, here or in ProxyStore 1.x.

    Raises:
        SerializationError: If the bytes are no event.
    """
    from proxystore.stream._wire import decode

    return decode(s)
