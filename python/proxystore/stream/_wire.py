"""Events as bytes: `docs/streams.md` has every field.

The core writes and reads messages (`proxystore::stream::form`); here Python's
events become its rows, and stores what programs in any language open.

A row is `(kind, metadata, content, store, evict, key_type)`: the content is an
object, its frame or the fields of its key, and the store the recipe that
reopens it.
"""

from __future__ import annotations

import functools
from typing import Any

from proxystore import _core
from proxystore.exceptions import ConnectorUnsupportedError
from proxystore.exceptions import SerializationError
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import Event
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import _recipe_of
from proxystore.stream.events import dict_to_event
from proxystore.stream.events import key_path

Row = tuple[int, Any, Any, Any, bool, Any]
"""One event."""

END, VALUE, INLINE, KEY = range(4)
"""Kinds of rows."""


def encode(event: Event | EventBatch) -> bytes:
    """Return an event or a batch as one message."""
    is_batch = isinstance(event, EventBatch)
    events: list[Any] = event.events if isinstance(event, EventBatch) else [event]
    recipes: list[tuple[Any, ...]] = []
    rows = []
    for one in events:
        kind, metadata, content, recipe, evict, key_type = row_of(one)
        place = None
        if recipe is not None:
            place = _place(recipe, recipes)
            if kind == KEY and key_type == _key_type_of(recipe[1]):
                key_type = None
        rows.append((kind, metadata, content, place, evict, key_type))
    stores = [pack_store(recipe) for recipe in recipes]
    return _core.write_message(event.topic, is_batch, stores, rows)


def row_of(event: Event) -> Row:
    """Return an event as a row."""
    if isinstance(event, NewObjectKeyEvent):
        recipe = _recipe_of(event)
        kind: Any = event.key_type
        return KEY, event.metadata, event.raw_key, recipe, event.evict, kind
    if isinstance(event, InlineObjectEvent):
        return INLINE, event.metadata, event.frame, _recipe_of(event), False, None
    if isinstance(event, NewObjectEvent):
        return VALUE, event.metadata, event.obj, None, False, None
    if isinstance(event, EndOfStreamEvent):
        return END, None, None, None, False, None
    raise TypeError(f'{event!r} is no event: it is a {type(event).__name__}')


def _place(recipe: tuple[Any, ...], recipes: list[tuple[Any, ...]]) -> int:
    for place, known in enumerate(recipes):
        if known is recipe or known == recipe:
            return place
    recipes.append(recipe)
    return len(recipes) - 1


def pack_store(recipe: tuple[Any, ...]) -> bytes:
    """Return how programs in any language open a store."""
    from proxystore.store.reference import _connector_of
    from proxystore.store.reference import _url_of

    name, kind, options, settings = recipe
    fields: dict[str, Any] = {'name': name, 'url': None}
    try:
        fields['url'] = url = _url_of(kind, options, settings)
        says_all = _connector_of(url) == (kind, options, settings)
    except ConnectorUnsupportedError:
        says_all = False
    if says_all:
        return _core.pack(fields)
    # What MessagePack has no form for, a serializer say, is Python's alone: it
    # takes the place of the last value, which is packed as one byte.
    packed = _core.pack([kind, options, settings])
    return _core.pack({**fields, 'python': None})[:-1] + packed


@functools.lru_cache(maxsize=64)
def recipe_of(packed: bytes) -> tuple[Any, ...]:
    """Return how to reopen a store; the core calls this."""
    fields = _core.unpack(packed)
    if not isinstance(fields, dict):
        raise SerializationError('this message is no event of a stream: no store')
    own = fields.get('python')
    if isinstance(own, bytes):
        own = _core.deserialize(own)
    if own is not None:
        kind, options, settings = own
    else:
        from proxystore.store.reference import _connector_of

        url = fields['url']
        if url is None:
            raise ConnectorUnsupportedError(
                f'the store {fields["name"]!r} of this event can only be opened '
                'by the process that sent it: its connector has no URL'
            )
        kind, options, settings = _connector_of(url)
    return fields['name'], kind, options, settings


@functools.cache
def own_key_class(kind: str) -> type[Any] | None:
    """Return the class of the keys of a connector of ours, or None."""
    from proxystore.store import _key_class

    try:
        return _key_class(kind)
    except Exception:  # a connector of the user's
        return None


def _key_type_of(kind: str) -> str | None:
    own = own_key_class(kind)
    return None if own is None else key_path(own)


def read(message: bytes) -> tuple[str, bool, list[Row]]:
    """Return topic, whether it is a batch, and the rows of a message."""
    try:
        found = _core.read_message(message)
        if found is not None:
            return found
        event = dict_to_event(_older(message))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, SerializationError):
            raise
        raise SerializationError(
            f'this message is no event of a stream: {error!r}'
        ) from error
    if isinstance(event, EventBatch):
        return event.topic, True, [row_of(one) for one in event.events]
    return event.topic, False, [row_of(event)]


def _older(message: bytes) -> dict[str, Any]:
    """Return the fields of an event of ProxyStore 1.x."""
    data = _core.deserialize(message)
    if not isinstance(data, dict):
        raise SerializationError(
            f'this message is no event of a stream: it holds a {type(data).__name__}'
        )
    return data


def decode(message: bytes) -> Event | EventBatch:
    """Return the event or the batch of a message."""
    topic, is_batch, rows = read(message)
    events: list[Event] = [_event(topic, row) for row in rows]
    return EventBatch(topic, events) if is_batch else events[0]


def _event(topic: str, row: Row) -> Event:
    kind, metadata, content, recipe, evict, key_type = row
    if kind == KEY:
        raw = [content] if isinstance(content, str) else list(content)
        path: Any = key_type or _key_type_of(recipe[1])
        return NewObjectKeyEvent(topic, path, raw, evict, metadata, recipe)
    if kind == INLINE:
        return InlineObjectEvent(topic, bytes(content), metadata, recipe)
    if kind == VALUE:
        return NewObjectEvent(topic, content, metadata)
    return EndOfStreamEvent(topic)


def key_of(row: Row) -> Any:
    """Return the key of a row, of its own class."""
    _, _, content, recipe, _, key_type = row
    key_class: Any
    if key_type is None:
        key_class = own_key_class(recipe[1])
        if key_class is None:
            raise SerializationError(
                'this message is no event of a stream: it does not name the class '
                f'of the keys of {recipe[1]}'
            )
    else:
        from proxystore.stream.events import _key_class as imported

        key_class = imported(key_type)
    return key_class(content) if isinstance(content, str) else key_class(*content)
