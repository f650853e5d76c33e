"""Small objects in the event itself."""

from __future__ import annotations

from typing import Any

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.exceptions import ConnectorUnsupportedError
from proxystore.proxy import Proxy
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.reference import get_reference
from proxystore.store.utils import get_key
from proxystore.stream import INLINE_BELOW
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber

from .ends import Counting
from .ends import Recorder
from .ends import pair


def test_small_objects_travel_in_the_event(line: Any) -> None:
    connector = Counting()
    with Store('stream-inline', connector, register=True) as store:
        producer, consumer = pair(
            line, default_store=store, inline_below=INLINE_BELOW, batch_size=4
        )
        large = bytes(INLINE_BELOW)
        objs = [[1, 2], large, 'text', large]
        for i, obj in enumerate(objs):
            producer.send('t', obj, metadata={'i': i})
        assert connector.puts == [2]  # the large ones, as one batch
        proxies = [consumer.next() for _ in objs]
        assert [type(proxy) for proxy in proxies] == [Proxy] * 4
        # Those that came along are resolved, like objects that were evicted.
        assert [is_resolved(proxy) for proxy in proxies] == [True, False, True, False]
        assert proxies == objs
        for proxy in proxies:
            assert get_store(proxy) is store
            assert get_factory(proxy).evict
            assert not store.exists(get_key(proxy))
            assert get_key(proxy) == get_key(proxy)
            store.evict(get_key(proxy))


def test_an_inline_proxy_travels_on(line: Any, store: Store[Any]) -> None:
    import pickle

    producer, consumer = pair(line, default_store=store, inline_below=1000)
    producer.send('t', {'a': 1})
    received = consumer.next()
    assert is_resolved(received)
    proxy = pickle.loads(pickle.dumps(received))
    assert not is_resolved(proxy)
    assert proxy == {'a': 1}
    assert get_store(proxy) is store


class Custom:
    loaded = 0

    def __setstate__(self, state: Any) -> None:
        Custom.loaded += 1


def test_who_passes_an_inline_proxy_on_need_not_import_its_class(
    line: Any, store: Store[Any]
) -> None:
    producer, consumer = pair(line, default_store=store, inline_below=1000)
    obj = Custom()
    obj.state = 1  # type: ignore[attr-defined]
    producer.send('t', obj)
    proxy = consumer.next()
    assert not is_resolved(proxy)
    assert Custom.loaded == 0
    assert isinstance(proxy, Custom)
    assert Custom.loaded == 1
    with pytest.raises(ConnectorUnsupportedError, match='no reference'):
        get_reference(proxy)


class WithDefault(QueuePublisher):
    inline_below = 1000


def test_the_default_is_the_publishers_and_keeps_what_is_to_stay(line: Any) -> None:
    connector = Counting()
    with Store('stream-default', connector, register=True) as store:
        publisher = WithDefault({'t': line})
        producer = StreamProducer[Any](publisher, default_store=store)
        consumer = StreamConsumer[Any](QueueSubscriber(line, timeout=10))
        producer.send('t', [1])
        assert connector.puts == []
        producer.send('t', [2], evict=False)
        producer.send('t', 'x' * 1000)
        assert connector.puts == [1, 1]
        assert consumer.next() == [1]
        kept = consumer.next()
        assert kept == [2]
        assert store.exists(get_key(kept))
        # Asked for, they travel in the event too.
        explicit = StreamProducer[Any](
            publisher, default_store=store, inline_below=1000
        )
        explicit.send('t', [3], evict=False)
        StreamProducer[Any](publisher, default_store=store, inline_below=0).send(
            't', [4]
        )
        assert connector.puts == [1, 1, 1]
        assert StreamProducer(Recorder())._inline_below == 0


def test_a_batch_of_small_objects_is_a_message_that_brokers_take(line: Any) -> None:
    with Store('stream-large-batch', LocalConnector(), register=True) as store:
        producer, consumer = pair(
            line, default_store=store, inline_below=100_000, batch_size=100
        )
        for i in range(100):
            producer.send('t', bytes([i]) * 50_000)
        assert len(line.queue[0]) < 600_000
        producer.close(topics=['t'])
        got = [consumer.next() for _ in range(100)]
        assert sum(map(is_resolved, got)) == 10
        assert [proxy[0] for proxy in got] == [*range(100)]


def to_text(obj: Any) -> bytes:
    return repr(obj).encode()


def of_text(data: bytes) -> Any:
    return eval(data)


def test_the_serializer_of_a_store_holds_inline_as_well(line: Any) -> None:
    with Store(
        'stream-custom',
        LocalConnector(),
        serializer=to_text,
        deserializer=of_text,
        register=True,
    ) as store:
        for inline_below in (0, 1000):
            producer, consumer = pair(
                line, default_store=store, inline_below=inline_below
            )
            producer.send('t', [1, 'a'])
            assert consumer.next_object() == [1, 'a']
            producer.send('t', [1, 'a'])
            assert consumer.next() == [1, 'a']
