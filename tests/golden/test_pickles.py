"""Our pickled form, byte for byte: releases of a rolling restart read each other.

A change here breaks programs that are running. Add a form, keep the old ones.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from proxystore import _core
from proxystore.connectors.file import FileConnector
from proxystore.connectors.file import FileKey
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.local import LocalKey
from proxystore.connectors.redis import RedisConnector
from proxystore.connectors.redis import RedisKey
from proxystore.factory import LambdaFactory
from proxystore.factory import SimpleFactory
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.proxy import get_factory
from proxystore.store import Store
from proxystore.store import StoreFactory
from proxystore.stream._inline import InlineFactory
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import bytes_to_event
from proxystore.stream.events import event_to_bytes

HERE = Path(__file__).parent
GOLDEN: dict[str, str] = json.loads((HERE / 'pickles.json').read_text())
OLDER: dict[str, str] = json.loads((HERE / 'older-pickles.json').read_text())
"""What is no longer written, but read: a store's proxy with its factory as a part."""
NAME = '0xsj2wb8btdfeys5r000000000'


@pytest.fixture
def connectors(tmp_path: Path, redis_server: Any) -> Iterator[dict[str, Any]]:
    redis = RedisConnector(*redis_server)
    # Where it listens differs from run to run.
    redis.hostname, redis.port = 'redis.example', 6379
    file = FileConnector(str(tmp_path / 'store'))
    file.store_dir = '/scratch/store'
    yield {'local': LocalConnector(), 'file': file, 'redis': redis}


def forms(connectors: dict[str, Any]) -> dict[str, Any]:
    """What is pickled, by name."""
    keys = {'local': LocalKey(NAME), 'file': FileKey(NAME), 'redis': RedisKey(NAME)}
    stores = {
        kind: Store(f'golden-{kind}', connector)
        for kind, connector in connectors.items()
    }
    found: dict[str, Any] = {}
    for kind, store in stores.items():
        found[f'key of {kind}'] = keys[kind]
        found[f'proxy of {kind}'] = store.proxy_from_key(keys[kind])
    file = stores['file']
    found['proxy that evicts'] = file.proxy_from_key(keys['file'], evict=True)
    found['proxy with a deserializer'] = file.proxy_from_key(
        keys['file'], deserializer=len
    )
    found['proxy that knows its class'] = Proxy(
        get_factory(file.proxy_from_key(keys['file'])), cache_defaults=True, target=7
    )
    special = Store(
        'golden-special',
        connectors['file'],
        serializer=str.encode,
        deserializer=bytes.decode,
        cache_size=3,
        populate_target=False,
    )
    found['proxy of a special store'] = special.proxy_from_key(keys['file'])
    found['factory'] = get_factory(file.proxy_from_key(keys['file']))
    found['locker'] = ProxyLocker(file.proxy_from_key(keys['file']))
    found['proxy of an object'] = Proxy(SimpleFactory('x'))
    found['proxy of a function'] = Proxy(LambdaFactory(max, 1, 2))
    inline = InlineFactory[Any](_core.serialize('x'), file._make_recipe())
    found['proxy of an inline object'] = Proxy(inline)
    return found


def events(connectors: dict[str, Any]) -> EventBatch:
    config = Store('golden-file', connectors['file'])._make_recipe()
    path = 'proxystore.connectors.file.FileKey'
    return EventBatch(
        'topic',
        [
            NewObjectEvent('topic', {'a': 1}, {'m': 1}),
            NewObjectKeyEvent('topic', path, [NAME], True, {'m': 2}, config),
            InlineObjectEvent('topic', _core.serialize('x'), {}, config),
            EndOfStreamEvent('topic'),
        ],
    )


def describe(obj: Any) -> Any:
    """What must survive."""
    if type(obj) is ProxyLocker:
        return 'locker', describe(obj.unlock())
    if issubclass(type(obj), Proxy):
        _, parts = obj.__reduce__()
        return 'proxy', describe(parts[0]), parts[1:]
    if type(obj) is StoreFactory:
        return 'factory', obj.key, obj._recipe, obj.evict, obj.deserializer
    if isinstance(obj, (SimpleFactory, LambdaFactory)):
        return type(obj), vars(obj)
    if isinstance(obj, InlineFactory):
        return InlineFactory, obj.__reduce__()
    return type(obj), obj


def test_every_form_is_written_and_read_as_ever(connectors: dict[str, Any]) -> None:
    made = forms(connectors)
    assert [*made, 'events'] == [*GOLDEN]
    for name, obj in made.items():
        data = pickle.dumps(obj, 4).hex()  # a proxy in the assertion would be resolved
        assert data == GOLDEN[name], name
        again = pickle.loads(bytes.fromhex(GOLDEN[name]))
        assert describe(again) == describe(obj), name


def test_older_forms_are_read(connectors: dict[str, Any]) -> None:
    made = forms(connectors)
    assert OLDER
    for name, data in OLDER.items():
        again = pickle.loads(bytes.fromhex(data))
        assert describe(again) == describe(made[name]), name


def test_events_are_written_and_read_as_ever(connectors: dict[str, Any]) -> None:
    batch = events(connectors)
    assert event_to_bytes(batch).hex() == GOLDEN['events']
    assert bytes_to_event(bytes.fromhex(GOLDEN['events'])) == batch


def test_proxies_of_our_connectors_are_small() -> None:
    for kind in ('local', 'file', 'redis'):
        assert len(bytes.fromhex(GOLDEN[f'proxy of {kind}'])) <= 200, kind


def test_every_protocol_carries_them(connectors: dict[str, Any]) -> None:
    for name, obj in forms(connectors).items():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = pickle.loads(pickle.dumps(obj, protocol))
            assert describe(again) == describe(obj), (name, protocol)
