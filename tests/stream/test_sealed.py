"""Streams of stores that sign, encrypt or take only data."""

from __future__ import annotations

from typing import Any

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.exceptions import SerializationError
from proxystore.exceptions import UntrustedFrameError
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.stream.events import NewObjectKeyEvent
from proxystore.stream.events import event_to_bytes

from .ends import Counting
from .ends import pair


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('PROXYSTORE_TEST_KEY', '5f' * 32)


@pytest.mark.parametrize('demand', ['signing', 'encryption'])
def test_nothing_of_a_sealed_store_travels_in_the_event(line: Any, demand: str) -> None:
    options: Any = {demand: 'env:PROXYSTORE_TEST_KEY'}
    with Store('stream-sealed', LocalConnector(), register=True, **options) as store:
        producer, consumer = pair(line, default_store=store, inline_below=1000)
        producer.send('t', 'small')
        proxy: Any = consumer.next()
        assert not is_resolved(proxy)
        assert proxy == 'small'


def refuses(proxy: Any) -> None:
    assert not is_resolved(proxy)
    with pytest.raises(ProxyResolveError) as raised:
        str(proxy)
    assert isinstance(raised.value.__cause__, UntrustedFrameError)


def test_an_event_is_no_way_around_a_store(line: Any) -> None:
    """Somebody sends events of our store without its demands."""
    forger = Store('stream-ours', LocalConnector())
    producer, consumer = pair(line, default_store=forger, inline_below=1000)
    forged: list[Any] = ['text', {1, 2}]
    for obj in forged:
        producer.send('t', obj)
    with Store(
        'stream-ours',
        LocalConnector(),
        register=True,
        signing='env:PROXYSTORE_TEST_KEY',
    ):
        for _ in forged:
            refuses(consumer.next())


def test_a_store_for_data_refuses_pickles_in_events(line: Any) -> None:
    forger = Store('stream-data', LocalConnector())
    producer, consumer = pair(line, default_store=forger, inline_below=1000)
    for obj in ('text', {1, 2, range(3)}):
        producer.send('t', obj)
    with Store('stream-data', LocalConnector(), register=True, pickle=False):
        assert consumer.next() == 'text'
        refuses(consumer.next())


PICKLED: dict[str, Any] = {'n': range(3)}
PLAIN: dict[str, Any] = {'n': 1, 'more': [b'', None, {'a': 2.5}]}


@pytest.mark.parametrize('inline_below', [0, 1000])
def test_a_store_for_data_sends_no_pickled_metadata(
    line: Any, inline_below: int
) -> None:
    connector = Counting()
    with Store('stream-plain', connector, register=True, pickle=False) as store:
        producer, consumer = pair(line, default_store=store, inline_below=inline_below)
        with pytest.raises(SerializationError, match='metadata can only be pickled'):
            producer.send('t', 'object', metadata=PICKLED)
        assert not connector.puts
        producer.send('t', 'object', metadata=PLAIN)
        assert consumer.next_with_metadata() == (PLAIN, 'object')


@pytest.mark.parametrize('inline_below', [0, 1000])
def test_a_store_for_data_takes_no_pickled_metadata(
    line: Any, inline_below: int
) -> None:
    forger = Store('stream-forged', LocalConnector())
    producer, consumer = pair(line, default_store=forger, inline_below=inline_below)
    for metadata in (PICKLED, PLAIN):
        producer.send('t', 'object', metadata=metadata)
    with Store('stream-forged', LocalConnector(), register=True, pickle=False):
        with pytest.raises(UntrustedFrameError, match='pickle=False'):
            consumer.next()
        assert consumer.next_with_metadata()[0] == PLAIN


def test_an_event_says_that_its_store_takes_data_alone(line: Any) -> None:
    """Where no store of that name is open, its own word counts."""
    store = Store('stream-told', LocalConnector(), pickle=False)
    event = NewObjectKeyEvent.from_key(
        store.put('object'),
        evict=False,
        metadata=PICKLED,
        store_config=store.config(),
        topic='t',
    )
    line.put(event_to_bytes(event))
    with pytest.raises(UntrustedFrameError, match='pickle=False'):
        pair(line)[1].next()
