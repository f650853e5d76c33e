"""Metrics: which numbers an operation leaves, and what they add up to."""

from __future__ import annotations

import dataclasses
import math
import pickle
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store.metrics import Metrics
from proxystore.store.metrics import StoreMetrics
from proxystore.store.metrics import TimeStats
from proxystore.store.utils import resolve_async


@pytest.fixture
def measured() -> Iterator[Store[LocalConnector]]:
    name = f'store-{uuid.uuid4().hex}'
    with Store(
        name, LocalConnector(), metrics=True, populate_target=False, register=True
    ) as store:
        yield store


def metrics_of(store: Store[Any], key_or_proxy: Any) -> Metrics:
    assert store.metrics is not None
    metrics = store.metrics.get_metrics(key_or_proxy)
    assert metrics is not None
    return metrics


PUT = {'store.put', 'store.put.serialize', 'store.put.connector'}
GET = {'store.get', 'store.get.connector', 'store.get.deserialize'}


def test_off_by_default(local_store: Store[Any]) -> None:
    assert local_store.metrics is None


def test_each_operation_leaves_its_numbers(measured: Store[Any]) -> None:
    key = measured.put([1, 2, 3])
    metrics = metrics_of(measured, key)
    assert set(metrics.times) == PUT
    assert set(metrics.attributes) == {'store.put.object_size'}
    assert metrics.attributes['store.put.object_size'] > 0
    assert metrics.counters == {}
    for stats in metrics.times.values():
        assert stats.count == 1
        assert 0 < stats.last_time_ms == stats.avg_time_ms < 60_000
        assert stats.last_timestamp > 1.7e9

    measured.get(key)
    metrics = metrics_of(measured, key)
    assert set(metrics.times) == PUT | GET
    assert metrics.counters == {'store.get.cache_misses': 1}
    sizes = metrics.attributes
    assert sizes['store.get.object_size'] == sizes['store.put.object_size']

    measured.get(key)
    metrics = metrics_of(measured, key)
    assert metrics.counters == {'store.get.cache_misses': 1, 'store.get.cache_hits': 1}
    assert metrics.times['store.get'].count == 2
    assert metrics.times['store.get.connector'].count == 1

    assert measured.exists(key)
    measured.evict(key)
    assert not measured.exists(key)
    times = metrics_of(measured, key).times
    assert times['store.exists'].count == 2
    assert times['store.exists.connector'].count == 1
    assert {'store.evict', 'store.evict.connector'} <= set(times)


@pytest.mark.parametrize('evict', [False, True])
def test_a_proxy_leaves_those_of_its_factory(measured: Store[Any], evict: bool) -> None:
    p = measured.proxy([1], evict=evict)
    assert set(metrics_of(measured, p).times) == PUT | {'store.proxy'}
    resolve(p)
    times = metrics_of(measured, p).times
    expected = PUT | GET | {'store.proxy', 'factory.resolve', 'factory.call'}
    if evict:
        expected |= {'store.evict', 'store.evict.connector'}
    assert set(times) == expected
    assert times['factory.call'].last_time_ms >= times['store.get'].last_time_ms


def test_a_proxy_resolved_in_the_background(measured: Store[Any]) -> None:
    p = measured.proxy([1])
    resolve_async(p)
    resolve(p)
    assert {'factory.resolve', 'factory.call'} <= set(metrics_of(measured, p).times)


def test_a_batch_counts_as_one_key(measured: Store[Any]) -> None:
    keys = measured.put_batch([1, 22, 333])
    metrics = metrics_of(measured, keys)
    assert metrics == metrics_of(measured, tuple(keys))
    assert set(metrics.times) == {
        'store.put_batch',
        'store.put_batch.serialize',
        'store.put_batch.connector',
    }
    assert set(metrics.attributes) == {'store.put_batch.object_sizes'}
    assert measured.metrics is not None
    assert measured.metrics.get_metrics(keys[0]) is None

    proxies = measured.proxy_batch(['a', 'b'])
    assert 'store.proxy_batch' in metrics_of(measured, proxies).times
    resolve(proxies[0])
    assert 'factory.call' in metrics_of(measured, proxies[0]).times

    measured._evict_batch(keys)
    assert 'store.evict_batch' in metrics_of(measured, keys).times


def test_set_of_an_announced_key(measured: Store[Any]) -> None:
    key = measured.connector.new_key()
    measured._set(key, [1])
    metrics = metrics_of(measured, key)
    assert set(metrics.times) == {
        'store.set',
        'store.set.serialize',
        'store.set.connector',
    }
    assert 'store.set.object_size' in metrics.attributes


def test_aggregate_times_over_all_keys(measured: Store[Any]) -> None:
    for number in range(5):
        measured.get(measured.put(number))
    assert measured.metrics is not None
    total = measured.metrics.aggregate_times()
    assert total['store.put'].count == 5
    assert total['store.get'].count == 5
    assert total['store.put'].min_time_ms <= total['store.put'].avg_time_ms


def test_values_of_the_private_dictionary_are_dataclasses(
    measured: Store[Any],
) -> None:
    measured.put(1)
    assert measured.metrics is not None
    dumps = [dataclasses.asdict(each) for each in measured.metrics._metrics.values()]
    assert [sorted(dump) for dump in dumps] == [['attributes', 'counters', 'times']]
    stats = dumps[0]['times']['store.put']
    assert stats['count'] == 1


def test_as_dict_and_pickle(measured: Store[Any]) -> None:
    key = measured.put(1)
    metrics = metrics_of(measured, key)
    plain = metrics.as_dict()
    assert plain == dataclasses.asdict(metrics)
    assert plain['times']['store.put'] == metrics.times['store.put'].as_dict()
    again = pickle.loads(pickle.dumps(measured.metrics))
    assert again.get_metrics(key) == metrics
    assert '1 keys' in repr(again)


def test_unknown_keys_have_none() -> None:
    metrics = StoreMetrics()
    assert metrics.get_metrics(('x',)) is None
    assert metrics.get_metrics([('x',), ('y',)]) is None
    assert metrics.aggregate_times() == {}


def test_numbers_of_ones_own() -> None:
    metrics = StoreMetrics()
    metrics.add_counter('count', ('x',), 3)
    metrics.add_counter('count', ('x',), 4)
    metrics.add_attribute('size', ('x',), 3)
    metrics.add_attribute('size', ('x',), 4)
    metrics.add_time('time', ('x',), 3.0)
    metrics.add_time('time', ('x',), 5.0)
    found = metrics.get_metrics(('x',))
    assert found is not None
    assert found.counters == {'count': 7}
    assert found.attributes == {'size': 4}
    stats = found.times['time']
    assert (stats.count, stats.avg_time_ms) == (2, 4.0)
    assert (stats.min_time_ms, stats.max_time_ms, stats.last_time_ms) == (3, 5, 5)
    with pytest.raises(Exception, match='not made by a store'):
        metrics.get_metrics(Proxy(lambda: 1))


def test_adding_keeps_the_last_of_the_newer() -> None:
    older, newer = TimeStats(), TimeStats()
    older._add(1.0, 100.0)
    newer._add(3.0, 200.0)
    for total in (older + newer, newer + older):
        assert total == TimeStats(2, 2.0, 1.0, 3.0, 3.0, 200.0)
    assert TimeStats() + TimeStats() == TimeStats()
    assert TimeStats().min_time_ms == math.inf
    with pytest.raises(TypeError):
        older + 1  # type: ignore[operator]


def test_no_event_is_lost_between_threads(measured: Store[Any]) -> None:
    rounds, threads = 3000, 4  # more events than wait before they are folded

    def work() -> None:
        for _ in range(rounds):
            measured.put(0)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    assert measured.metrics is not None
    while any(worker.is_alive() for worker in workers):
        measured.metrics.aggregate_times()
    assert measured.metrics.aggregate_times()['store.put'].count == rounds * threads
