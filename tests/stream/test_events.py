"""Events and their bytes."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest
from proxystore import _core
from proxystore.connectors.local import LocalConnector
from proxystore.exceptions import NewerFrameError
from proxystore.serialize import SerializationError
from proxystore.store import Store
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import Event
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import bytes_to_event
from proxystore.stream.events import dict_to_event
from proxystore.stream.events import event_to_bytes
from proxystore.stream.events import event_to_dict

CONFIG = Store('events', LocalConnector(), cache_size=3).config()


def every_event() -> list[Any]:
    key = LocalConnector().put(b'x')
    events: list[Any] = [
        EndOfStreamEvent('t'),
        NewObjectEvent('t', {1: (2, {3})}, {'m': 1}),
        NewObjectKeyEvent.from_key(
            key, evict=True, metadata={'z': [1]}, store_config=CONFIG, topic='t'
        ),
        InlineObjectEvent('t', _core.serialize('x'), {}, CONFIG),
    ]
    return [*events, EventBatch('t', events), EventBatch('t', [])]


@pytest.mark.parametrize('event', every_event(), ids=lambda event: type(event).__name__)
def test_there_and_back(event: Event | EventBatch) -> None:
    assert bytes_to_event(event_to_bytes(event)) == event
    assert dict_to_event(event_to_dict(event)) == event
    fields = event_to_dict(event)
    fields.pop('event_type')
    assert type(event).from_dict(fields) == event
    assert repr(event).startswith(type(event).__name__)


def test_kinds_have_the_names_of_proxystore_1() -> None:
    assert [event_to_dict(event)['event_type'] for event in every_event()[:5]] == [
        'END_OF_STREAM',
        'NEW_OBJECT',
        'NEW_OBJECT_KEY',
        'INLINE_OBJECT',
        'EVENT_BATCH',
    ]
    fields = event_to_dict(every_event()[2])
    assert fields['key_type'] == 'proxystore.connectors.local.LocalKey'
    assert fields['store_config'] == CONFIG
    data = {'topic': 't', 'event_type': 'END_OF_STREAM'}
    dict_to_event(data)
    assert 'event_type' in data


def test_a_key_keeps_its_class() -> None:
    connector = LocalConnector()
    key = connector.put(b'x')
    event = NewObjectKeyEvent.from_key(
        key, evict=False, metadata={}, store_config=CONFIG, topic='t'
    )
    again = bytes_to_event(event_to_bytes(event))
    assert isinstance(again, NewObjectKeyEvent)
    assert type(again.get_key()) is type(key)
    assert again.get_key() == key


def test_a_message_is_a_plain_tree_that_other_languages_read() -> None:
    for event in every_event():
        message = event_to_bytes(event)
        assert message[5] == 4, 'not MessagePack'
    # What is not plain is pickled.
    odd = NewObjectEvent('t', 1, {'m': threading.Lock()})
    assert bytes_to_event(event_to_bytes(NewObjectEvent('t', os.path.join, {})))
    with pytest.raises(SerializationError):
        event_to_bytes(odd)


def test_store_configuration_in_a_message_is_small() -> None:
    assert len(event_to_bytes(every_event()[2])) < 300


def test_what_is_no_event_is_refused() -> None:
    for bad in (b'xx', b'{}', _core.serialize([1]), _core.serialize({'version': 2})):
        with pytest.raises(SerializationError):
            bytes_to_event(bad)
    with pytest.raises(SerializationError, match='no event'):
        bytes_to_event(_core.serialize({'a': 1}))
    with pytest.raises(KeyError):
        dict_to_event({'topic': 't'})
    with pytest.raises(KeyError):
        dict_to_event({'topic': 't', 'event_type': 'UNHEARD OF'})
    with pytest.raises(TypeError, match='no event'):
        event_to_dict(5)  # type: ignore[arg-type]


def test_newer_events_say_so() -> None:
    base = {'topic': 't', 'batch': False, 'stores': []}
    with pytest.raises(NewerFrameError, match='upgrade'):
        bytes_to_event(_core.serialize({**base, 'version': 3, 'events': 'other'}))
    with pytest.raises(NewerFrameError, match='upgrade'):
        bytes_to_event(
            _core.serialize({**base, 'version': 2, 'events': [{'type': 'new'}]})
        )
    # Fields that newer releases add are not looked at.
    frame = _core.serialize(7)
    event = {'type': 'object', 'object': frame, 'metadata': {}, 'new': 1}
    message = _core.serialize({**base, 'version': 2, 'events': [event], 'more': 2})
    assert bytes_to_event(message) == NewObjectEvent('t', 7, {})
