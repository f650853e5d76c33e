"""What ProxyStore 1.1 wrote is read here."""

from __future__ import annotations

import pickle
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from proxystore import _core
from proxystore.connectors.file import FileConnector
from proxystore.connectors.file import FileKey
from proxystore.connectors.redis import RedisConnector
from proxystore.connectors.redis import RedisKey
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.serialize import deserialize
from proxystore.store import Store
from proxystore.store import StoreFactory
from proxystore.store import get_store
from proxystore.store.config import ConnectorConfig
from proxystore.store.config import StoreConfig
from proxystore.store.utils import get_key
from proxystore.stream import StreamConsumer
from proxystore.stream.events import EndOfStreamEvent
from proxystore.stream.events import EventBatch
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import bytes_to_event

from ..conftest import RedisAddress
from .conftest import Older

OBJECTS = """
import numpy, pandas
objects = {
    'bytes': b'some bytes',
    'text': 'some text',
    'tree': {'a': [1, 2.5, None, (3, {4})]},
    'array': numpy.arange(12.0).reshape(3, 4),
    'table': pandas.DataFrame({'a': [1, 2], 'b': ['x', 'y']}),
    'function': lambda x: x + 1,
    'class': type('Local', (), {'answer': 42}),
}
"""


def check(name: str, obj: Any) -> None:
    """Compare an object with the one of that name above."""
    if name == 'array':
        np.testing.assert_array_equal(obj, np.arange(12.0).reshape(3, 4))
        obj[0, 0] = 1  # writable
    elif name == 'table':
        assert type(obj) is pd.DataFrame
        assert obj.to_dict('list') == {'a': [1, 2], 'b': ['x', 'y']}
    elif name == 'function':
        assert obj(1) == 2
    elif name == 'class':
        assert obj.answer == 42
    else:
        expected_values = {
            'bytes': b'some bytes',
            'text': 'some text',
            'tree': {'a': [1, 2.5, None, (3, {4})]},
        }
        assert obj == expected_values[name]
        assert type(obj) is type(expected_values[name])


@pytest.fixture(params=['file', 'redis'])
def place(
    request: pytest.FixtureRequest, store_dir: Path, redis_server: RedisAddress
) -> tuple[str, Any, str]:
    """A place that both write to: its kind, our connector, code for the older one."""
    if request.param == 'file':
        ours: Any = FileConnector(str(store_dir))
        theirs = (
            'from proxystore.connectors.file import FileConnector\n'
            f'connector = FileConnector({str(store_dir)!r})\n'
        )
    else:
        ours = RedisConnector(*redis_server)
        theirs = (
            'from proxystore.connectors.redis import RedisConnector\n'
            f'connector = RedisConnector({redis_server.host!r}, {redis_server.port})\n'
        )
    return request.param, ours, theirs


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    before = dict(_core._registry)
    yield
    for name, store in list(_core._registry.items()):
        if name not in before:
            store.close()


def test_serialized_objects(older: Older) -> None:
    program = OBJECTS + (
        'from proxystore.serialize import serialize\n'
        'pickle.dump({name: serialize(obj) for name, obj in objects.items()}, out)'
    )
    written = pickle.loads(older(program))
    assert len(written) == 7
    for name, data in written.items():
        check(name, deserialize(data))


def test_values_in_files_and_redis(older: Older, place: Any) -> None:
    kind, connector, theirs = place
    program = (
        OBJECTS
        + theirs
        + 'from proxystore.serialize import serialize\n'
        + 'keys = {n: tuple(connector.put(serialize(o))) for n, o in objects.items()}\n'
        + 'pickle.dump(keys, out)'
    )
    key_class = FileKey if kind == 'file' else RedisKey
    keys = {n: key_class(*key) for n, key in pickle.loads(older(program)).items()}
    with Store(f'interop-{kind}', connector) as store:
        for name, key in keys.items():
            assert store.exists(key)
            check(name, store.get(key))
            store.evict(key)
            assert not connector.exists(key)
            assert connector.get(key) is None
        if kind == 'file':  # nor do their markers stay
            assert list(Path(connector.store_dir).iterdir()) == []


@pytest.mark.parametrize('protocol', range(2, 6))
def test_pickled_proxies(older: Older, place: Any, protocol: int) -> None:
    kind, connector, theirs = place
    name = f'interop-{uuid.uuid4().hex}'
    program = (
        OBJECTS
        + theirs
        + 'from proxystore.store import Store\n'
        + f'store = Store({name!r}, connector, cache_size=3)\n'
        + 'plain = {n: objects[n] for n in objects if n not in ("function", "class")}\n'
        + 'proxies = {n: store.proxy(o, evict=True) for n, o in plain.items()}\n'
        + f'pickle.dump(proxies, out, {protocol})'
    )
    proxies = pickle.loads(older(program))
    assert len(proxies) == 5
    for label, proxy in proxies.items():
        assert type(proxy) is Proxy
        assert not is_resolved(proxy)
        factory = get_factory(proxy)
        assert type(factory) is StoreFactory
        assert factory.evict
        again = pickle.loads(pickle.dumps(proxy))  # in our own form
        assert get_key(again) == get_key(proxy)
        target = proxy.__proxy_wrapped__
        check(label, target)
        assert not connector.exists(get_key(proxy))
    opened = get_store(name)
    assert opened is not None
    assert opened.cache.maxsize == 3
    assert opened.connector.config() == connector.config()


def test_pickled_factories_and_configurations(older: Older, place: Any) -> None:
    kind, connector, theirs = place
    name = f'interop-{uuid.uuid4().hex}'
    program = (
        theirs
        + 'from proxystore.factory import LambdaFactory, SimpleFactory\n'
        + 'from proxystore.proxy import Proxy, ProxyLocker\n'
        + 'from proxystore.store import Store\n'
        + 'from proxystore.store.factory import StoreFactory\n'
        + f'store = Store({name!r}, connector, metrics=True, populate_target=False)\n'
        + 'key = store.put([1, 2])\n'
        + 'pickle.dump((\n'
        + '    key, store.config(), store.config().connector,\n'
        + '    StoreFactory(key, store.config(), evict=False, deserializer=len),\n'
        + '    SimpleFactory("x"), LambdaFactory(max, 1, 2, key=abs),\n'
        + '    Proxy(SimpleFactory("x"), cache_defaults=True, target="x"),\n'
        + '    ProxyLocker(Proxy(SimpleFactory("y"))),\n'
        + '), out)'
    )
    key, config, connector_config, factory, simple, function, proxy, locker = (
        pickle.loads(older(program))
    )
    assert type(key) is (FileKey if kind == 'file' else RedisKey)
    assert type(config) is StoreConfig
    assert type(connector_config) is ConnectorConfig
    assert config.connector == connector_config
    assert (config.name, config.metrics, config.populate_target) == (name, True, False)
    assert connector_config.get_connector().config() == connector.config()
    assert StoreConfig.model_validate(config.model_dump()) == config
    assert (factory.key, factory.evict, factory.deserializer) == (key, False, len)
    assert factory.store_config == config
    assert (simple(), function()) == ('x', 2)
    assert hash(proxy) == hash('x') or not is_resolved(proxy)
    assert proxy == 'x'
    assert type(locker) is ProxyLocker
    assert locker.unlock() == 'y'
    with Store.from_config(config.model_copy(update={'metrics': False})) as store:
        assert store.get(key) == [1, 2]


def test_configuration_files(older: Older, place: Any, tmp_path: Path) -> None:
    _, connector, theirs = place
    path = tmp_path / 'store.toml'
    program = (
        theirs
        + 'from proxystore.store import Store\n'
        + 'Store("interop", connector).config().write_toml(arguments[0])\n'
    )
    older(program, path)
    config = StoreConfig.from_toml(path)
    assert config.name == 'interop'
    assert config.connector.get_connector().config() == connector.config()


def test_events_of_a_stream(older: Older, store_dir: Path) -> None:
    program = (
        'import queue\n'
        'from proxystore.connectors.file import FileConnector\n'
        'from proxystore.store import Store\n'
        'from proxystore.stream import StreamProducer\n'
        'from proxystore.stream.shims.queue import QueuePublisher\n'
        'from proxystore.stream.events import *\n'
        'store = Store("interop-stream", FileConnector(arguments[0]), cache_size=5)\n'
        'line = queue.Queue()\n'
        'producer = StreamProducer(\n'
        '    QueuePublisher({"s": line, "n": line}), stores={"s": store, "n": None},\n'
        '    batch_size=2)\n'
        'producer.send("s", [1], metadata={"i": 1})\n'
        'producer.send("s", [2], metadata={"i": 2})\n'
        'producer.send("n", "x", metadata={"i": 3})\n'
        'producer.close_topics("n")\n'
        'messages = list(line.queue)\n'
        'messages.append(event_to_bytes(EndOfStreamEvent("t")))\n'
        'pickle.dump(messages, out)'
    )
    messages = pickle.loads(older(program, store_dir))

    class Messages:
        def __init__(self) -> None:
            self.left = iter(messages)

        def __iter__(self) -> Any:
            return self

        def __next__(self) -> bytes:
            return self.next_message()

        def next_message(self) -> bytes:
            return next(self.left)

        def close(self) -> None: ...

    with StreamConsumer[Any](Messages()) as consumer:
        metadata, proxy = consumer.next_with_metadata()
        assert (metadata, proxy) == ({'i': 1}, [1])
        assert type(proxy) is Proxy
        assert consumer.next_object_with_metadata() == ({'i': 2}, [2])
        assert consumer.next_with_metadata() == ({'i': 3}, 'x')
        assert list(consumer) == []
        assert list(consumer) == []
        consumer.close(stores=True)
    assert bytes_to_event(messages[-1]) == EndOfStreamEvent('t')
    last = bytes_to_event(messages[1])
    assert isinstance(last, EventBatch)
    assert last.events == [NewObjectEvent('n', 'x', {'i': 3}), EndOfStreamEvent('n')]


def test_both_work_in_one_place_at_a_time(older: Older, place: Any) -> None:
    """A rolling restart: ours and theirs side by side, each with its objects."""
    _kind, connector, theirs = place
    with Store('interop-rolling', connector) as store:
        key = store.put('ours')
        program = (
            theirs
            + 'from proxystore.store import Store\n'
            + 'store = Store("interop-rolling", connector)\n'
            + 'key = store.put("theirs")\n'
            + 'assert store.get(key) == "theirs"\n'
            + 'pickle.dump(key, out)'
        )
        other = pickle.loads(older(program))
        assert store.get(other) == 'theirs'
        assert connector.exists(key)
        assert store.get(key) == 'ours'
