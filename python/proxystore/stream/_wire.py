"""Events as bytes.

A message is one frame with this tree of values:

    {'version': 2, 'topic': str, 'batch': bool, 'stores': [store...], 'events': [event...]}

A store is what a proxy carries to reopen it: `(name, kind, options, settings)`.
An event is a list, of one of these forms:

    [0]                                              end of stream
    [1, frame, metadata]                             object of a topic without a store
    [2, key class, key fields, evict, metadata, n]   key of an object in the nth store
    [3, frame, metadata, n]                          small object of the nth store

Numbers and places are wire format: newer releases may append to them.
"""

from __future__ import annotations

from typing import Any

from proxystore import _core
from proxystore.exceptions import NewerFrameError
from proxystore.exceptions import SerializationError
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import Event
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import _recipe_of
from proxystore.stream.events import dict_to_event

_VERSION = 2
"""ProxyStore 1.x's events have no version."""
_END, _OBJECT, _KEY, _INLINE = range(4)


def encode(event: Event | EventBatch) -> bytes:
    """Return an event or a batch as one message."""
    is_batch = isinstance(event, EventBatch)
    events: list[Any] = event.events if isinstance(event, EventBatch) else [event]
    stores: list[tuple[Any, ...]] = []
    return _core.serialize(
        {
            'version': _VERSION,
            'topic': event.topic,
            'batch': is_batch,
            'stores': stores,
            'events': [_row(one, stores) for one in events],
        }
    )


def _row(event: Event, stores: list[tuple[Any, ...]]) -> list[Any]:
    if isinstance(event, NewObjectKeyEvent):
        return [
            _KEY,
            event.key_type,
            event.raw_key,
            event.evict,
            event.metadata,
            _place(_recipe_of(event), stores),
        ]
    if isinstance(event, InlineObjectEvent):
        place = _place(_recipe_of(event), stores)
        return [_INLINE, event.frame, event.metadata, place]
    if isinstance(event, NewObjectEvent):
        return [_OBJECT, _core.serialize(event.obj), event.metadata]
    if isinstance(event, EndOfStreamEvent):
        return [_END]
    raise TypeError(f'{event!r} is no event: it is a {type(event).__name__}')


def _place(recipe: tuple[Any, ...], stores: list[tuple[Any, ...]]) -> int:
    for place, known in enumerate(stores):
        if known is recipe or known == recipe:
            return place
    stores.append(recipe)
    return len(stores) - 1


def decode(message: bytes) -> Event | EventBatch:
    """Return the event or the batch of a message."""
    data = _core.deserialize(message)
    if not isinstance(data, dict):
        raise SerializationError(
            f'this message is no event of a stream: it holds a {type(data).__name__}'
        )
    try:
        version = data.get('version')
        if version is None:
            return dict_to_event(data)  # of ProxyStore 1.x
        if version != _VERSION:
            raise NewerFrameError(
                f'this event has version {version}, newer than {_VERSION}, which '
                'this release reads: upgrade proxystore on the consumer first'
            )
        topic, stores = data['topic'], data['stores']
        events: list[Event] = [_event(topic, row, stores) for row in data['events']]
        return EventBatch(topic, events) if data['batch'] else events[0]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, SerializationError):
            raise
        raise SerializationError(
            f'this message is no event of a stream: {error!r}'
        ) from error


def _event(topic: str, row: list[Any], stores: list[Any]) -> Event:
    kind = row[0]
    if kind == _KEY:
        _, key_type, raw_key, evict, metadata, place = row[:6]
        return NewObjectKeyEvent(
            topic, key_type, raw_key, evict, metadata, stores[place]
        )
    if kind == _INLINE:
        _, frame, metadata, place = row[:4]
        return InlineObjectEvent(topic, frame, metadata, stores[place])
    if kind == _OBJECT:
        return NewObjectEvent(topic, _core.deserialize(row[1]), row[2])
    if kind == _END:
        return EndOfStreamEvent(topic)
    raise NewerFrameError(
        f'this event is of a kind, {kind}, that this release does not know: '
        'upgrade proxystore on the consumer first'
    )
