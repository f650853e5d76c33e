"""Events as bytes: `docs/streams.md` has every field.

A message is one frame that holds a plain tree of values, which programs in
Rust write and read as well (`proxystore::stream`). Where metadata or the
configuration of a store are not plain, it is pickled, and for Python alone.
"""

from __future__ import annotations

from typing import Any

from proxystore import _core
from proxystore.exceptions import ConnectorUnsupportedError
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
from proxystore.stream.events import key_path

_VERSION = 2
"""ProxyStore 1.x's events have no version."""


def encode(event: Event | EventBatch) -> bytes:
    """Return an event or a batch as one message."""
    is_batch = isinstance(event, EventBatch)
    events: list[Any] = event.events if isinstance(event, EventBatch) else [event]
    recipes: list[tuple[Any, ...]] = []
    stores: list[dict[str, Any]] = []
    return _core.serialize(
        {
            # First, so that readers know whether they know the rest.
            'version': _VERSION,
            'topic': event.topic,
            'batch': is_batch,
            'stores': stores,
            'events': [_fields(one, recipes, stores) for one in events],
        }
    )


def _fields(
    event: Event, recipes: list[tuple[Any, ...]], stores: list[dict[str, Any]]
) -> dict[str, Any]:
    if isinstance(event, NewObjectKeyEvent):
        recipe = _recipe_of(event)
        raw = event.raw_key
        fields = {
            'type': 'key',
            'key': raw[0] if len(raw) == 1 and type(raw[0]) is str else raw,
            'evict': event.evict,
            'metadata': event.metadata,
            'store': _place(recipe, recipes, stores),
        }
        if event.key_type != _key_type_of(recipe[1]):
            fields['key_type'] = event.key_type
        return fields
    if isinstance(event, InlineObjectEvent):
        return {
            'type': 'object',
            'object': event.frame,
            'metadata': event.metadata,
            'store': _place(_recipe_of(event), recipes, stores),
        }
    if isinstance(event, NewObjectEvent):
        frame = _core.serialize(event.obj)
        return {'type': 'object', 'object': frame, 'metadata': event.metadata}
    if isinstance(event, EndOfStreamEvent):
        return {'type': 'end'}
    raise TypeError(f'{event!r} is no event: it is a {type(event).__name__}')


def _place(
    recipe: tuple[Any, ...],
    recipes: list[tuple[Any, ...]],
    stores: list[dict[str, Any]],
) -> int:
    for place, known in enumerate(recipes):
        if known is recipe or known == recipe:
            return place
    recipes.append(recipe)
    stores.append(_store_fields(recipe))
    return len(stores) - 1


_last: tuple[tuple[Any, ...], dict[str, Any]] | None = None


def _store_fields(recipe: tuple[Any, ...]) -> dict[str, Any]:
    """Return how programs in any language open the store."""
    global _last
    last = _last
    if last is not None and (last[0] is recipe or last[0] == recipe):
        return last[1]
    from proxystore.store.reference import _connector_of
    from proxystore.store.reference import _url_of

    name, kind, options, settings = recipe
    fields: dict[str, Any] = {'name': name, 'url': None}
    try:
        fields['url'] = url = _url_of(kind, options, settings)
        says_all = _connector_of(url) == (kind, options, settings)
    except ConnectorUnsupportedError:
        says_all = False
    if not says_all:
        fields['python'] = [kind, options, settings]
    _last = (recipe, fields)
    return fields


_last_read: tuple[dict[str, Any], tuple[Any, ...]] | None = None


def _recipe(fields: dict[str, Any]) -> tuple[Any, ...]:
    global _last_read
    last = _last_read
    if last is not None and last[0] == fields:
        return last[1]
    recipe = _recipe_in(fields)
    _last_read = (fields, recipe)
    return recipe


def _recipe_in(fields: dict[str, Any]) -> tuple[Any, ...]:
    own = fields.get('python')
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


_key_types: dict[str, str | None] = {}


def _key_type_of(kind: str) -> str | None:
    """Return the path of the keys' class of a connector of ours."""
    if kind not in _key_types:
        from proxystore.store import _key_class

        try:
            _key_types[kind] = key_path(_key_class(kind))
        except Exception:  # a connector of the user's
            _key_types[kind] = None
    return _key_types[kind]


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
        topic = data['topic']
        stores = [_recipe(fields) for fields in data['stores']]
        events: list[Event] = [_event(topic, row, stores) for row in data['events']]
        return EventBatch(topic, events) if data['batch'] else events[0]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, SerializationError):
            raise
        raise SerializationError(
            f'this message is no event of a stream: {error!r}'
        ) from error


def _event(topic: str, fields: dict[str, Any], stores: list[Any]) -> Event:
    kind = fields['type']
    if kind == 'key':
        raw, recipe = fields['key'], stores[fields['store']]
        key_type: Any = fields.get('key_type') or _key_type_of(recipe[1])
        return NewObjectKeyEvent(
            topic,
            key_type,
            [raw] if isinstance(raw, str) else list(raw),
            fields['evict'],
            fields['metadata'],
            recipe,
        )
    if kind == 'object':
        frame, metadata = fields['object'], fields['metadata']
        place = fields.get('store')
        if place is not None:
            return InlineObjectEvent(topic, frame, metadata, stores[place])
        return NewObjectEvent(topic, _core.deserialize(frame), metadata)
    if kind == 'end':
        return EndOfStreamEvent(topic)
    raise NewerFrameError(
        f'this event is of a kind, {kind!r}, that this release does not know: '
        'upgrade proxystore on the consumer first'
    )
