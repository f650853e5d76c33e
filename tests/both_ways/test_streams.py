"""A Rust producer and a Python consumer, and the reverse, through a real Redis server."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store import unregister_store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.events import EventBatch
from proxystore.stream.events import InlineObjectEvent
from proxystore.stream.events import NewObjectEvent
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import bytes_to_event
from proxystore.stream.events import event_to_bytes
from proxystore.stream.shims.redis import RedisPublisher
from proxystore.stream.shims.redis import RedisQueuePublisher
from proxystore.stream.shims.redis import RedisQueueSubscriber
from proxystore.stream.shims.redis import RedisSubscriber
from proxystore.stream.shims.redis_streams import RedisStreamPublisher
from proxystore.stream.shims.redis_streams import RedisStreamSubscriber

from ..conftest import RedisAddress

GOLDEN = Path(__file__).resolve().parent.parent / 'golden'
BROKERS = ['queue', 'stream', 'group', 'channel']


@pytest.fixture(scope='session')
def program(rust_program: Callable[[str], str]) -> str:
    return rust_program('streams')


@pytest.fixture
def topic() -> str:
    return f'topic-{uuid.uuid4().hex}'


@pytest.fixture(params=['file', 'redis'])
def connector(
    request: pytest.FixtureRequest, store_dir: Path, redis_server: RedisAddress
) -> Any:
    if request.param == 'file':
        return FileConnector(str(store_dir))
    return RedisConnector(*redis_server)


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    yield
    unregister_store('streams, from Rust')


def subscriber(broker: str, address: RedisAddress, topic: str) -> Any:
    if broker == 'queue':
        return RedisQueueSubscriber(*address, topic, timeout=60)
    if broker == 'channel':
        return RedisSubscriber(*address, topic)
    group = 'python' if broker == 'group' else None
    return RedisStreamSubscriber(*address, topic, group=group, timeout=60)


def publisher(broker: str, address: RedisAddress) -> Any:
    if broker == 'queue':
        return RedisQueuePublisher(*address)
    if broker == 'channel':
        return RedisPublisher(*address)
    return RedisStreamPublisher(*address)


@pytest.mark.parametrize('send', ['send', 'send-async'])
@pytest.mark.parametrize('broker', BROKERS)
def test_rust_sends_python_receives(
    program: str,
    redis_server: RedisAddress,
    topic: str,
    broker: str,
    store_dir: Path,
    send: str,
) -> None:
    listening = subscriber(broker, redis_server, topic)
    url = f'file://{store_dir}'
    command = [program, send, str(redis_server.port), broker, topic, url]
    subprocess.run(command, check=True)
    with StreamConsumer[Any](listening) as consumer:
        got = list(consumer.iter_with_metadata())
    assert [type(proxy) for _, proxy in got] == [Proxy] * 4
    assert [is_resolved(proxy) for _, proxy in got] == [True, False, True, False]
    assert [metadata for metadata, _ in got] == [
        {'what': 'array', 'len': 3},
        {'what': 'array', 'len': 100_000},
        {},
        {'kept': True},
    ]
    (_, small), (_, large), (_, tree), (_, text) = got
    assert len(list(store_dir.iterdir())) == 2
    np.testing.assert_array_equal(small, np.arange(3.0))
    np.testing.assert_array_equal(large, np.arange(100_000.0))
    small[0] = 1  # writable
    large[0] = 1
    assert tree == {'a': [1, 2], 'b': []}
    assert text == 'räume ☃' * 1000
    assert len(list(store_dir.iterdir())) == 1  # the one that was to be kept


@pytest.mark.parametrize('receive', ['receive', 'receive-async'])
@pytest.mark.parametrize('broker', BROKERS)
def test_python_sends_rust_receives(
    program: str,
    redis_server: RedisAddress,
    topic: str,
    broker: str,
    connector: Any,
    receive: str,
) -> None:
    if isinstance(connector, RedisConnector):
        connector.close(clear=True)
        connector = RedisConnector(*redis_server)
    command = [program, receive, str(redis_server.port), broker, topic]
    rust = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert rust.stdout is not None
    assert rust.stdout.readline() == 'listening\n'
    small, large = np.arange(3.0), np.arange(100_000)
    tree = {'a': [1, None], 'b': 2.5}
    with (
        Store(f'stream-{topic}', connector, register=True) as store,
        StreamProducer[Any](
            publisher(broker, redis_server),
            default_store=store,
            batch_size=2,
            inline_below=1000,
        ) as producer,
    ):
        producer.send(topic, small, metadata={'n': 1})
        producer.send(topic, large, metadata={'n': 2})
        producer.send(topic, tree)
        producer.send(topic, 'räume ☃' * 1000, evict=False)
        producer.close_topics(topic)
        output, _ = rust.communicate(timeout=60)
        assert rust.returncode == 0
        assert output.splitlines() == [
            f'[n=1] true array [3] {sum(small.tobytes())}',
            f'[n=2] false array [100000] {sum(large.tobytes())}',
            '[] true tree Map([(Str("a"), List([Int(1), Nil])), '
            '(Str("b"), Float(2.5))])',
            f'[] false str {"räume ☃" * 1000}',
        ]
        if isinstance(connector, FileConnector):
            assert len(list(Path(connector.store_dir).iterdir())) == 1


def test_events_of_a_topic_without_a_store(
    program: str, redis_server: RedisAddress, topic: str
) -> None:
    with StreamProducer[Any](RedisQueuePublisher(*redis_server)) as producer:
        producer.send(topic, np.zeros(1_000_000, 'u1'))
        producer.send(topic, 'text', metadata={1: {'nested': (1, b'x')}})
        producer.close_topics(topic)
    receive = [program, 'receive', str(redis_server.port), 'queue', topic]
    done = subprocess.run(receive, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout.splitlines() == [
        'listening',
        '[] true array [1000000] 0',
        '[Int(1)=Map([(Str("nested"), List([Int(1), Bytes([120])]))])] true str text',
    ]


def test_what_only_python_reads_is_refused_with_a_reason(
    program: str, redis_server: RedisAddress, topic: str
) -> None:
    with StreamProducer[Any](RedisQueuePublisher(*redis_server)) as producer:
        producer.send(topic, 1, metadata={'kind': type})
    receive = [program, 'receive', str(redis_server.port), 'queue', topic]
    done = subprocess.run(receive, capture_output=True, text=True)
    assert done.returncode != 0
    assert 'only Python reads it' in done.stderr


def test_golden_bytes() -> None:
    """The same files are pinned by the crate's tests."""
    read = {
        path.stem.removeprefix('stream-'): bytes_to_event(path.read_bytes())
        for path in GOLDEN.glob('stream-*.message')
    }
    for name, event in read.items():
        path = GOLDEN / f'stream-{name}.message'
        assert event_to_bytes(event) == path.read_bytes(), name
    batch = read['batch']
    assert isinstance(batch, EventBatch)
    by_key, inline, plain, end = batch.events
    assert isinstance(by_key, NewObjectKeyEvent)
    assert isinstance(inline, InlineObjectEvent)
    assert plain == read['object'] == NewObjectEvent('topic', 'hello', {'ratio': 0.5})
    assert end == read['end']
    assert by_key == read['key']
    assert by_key.key_type == 'proxystore.connectors.redis.RedisKey'
    assert by_key.get_key().redis_key == '06bq0000000000000000000001'
    assert by_key.metadata == {'number': 7, 'name': 'räume'}
    assert by_key.evict
    assert by_key.store_config.name == inline.store_config.name == 'results'
