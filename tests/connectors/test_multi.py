"""Several connectors in one: policies, routes, dormant connectors."""

from __future__ import annotations

import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.multi import ConnectorPolicyConfig
from proxystore.connectors.multi import MultiConnector
from proxystore.connectors.multi import MultiConnectorError
from proxystore.connectors.multi import MultiKey
from proxystore.connectors.multi import Policy
from proxystore.connectors.multi import PolicyDict
from proxystore.connectors.protocols import Connector
from proxystore.connectors.protocols import DeferrableConnector
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store import unregister_store

HOST = socket.gethostname()


@pytest.mark.parametrize(
    ('size', 'valid'), [(None, True), (4, False), (5, True), (10, True), (11, False)]
)
def test_sizes(size: int | None, valid: bool) -> None:
    policy = Policy(min_size_bytes=5, max_size_bytes=10)
    assert policy.is_valid(size_bytes=size) is valid


def test_limits_may_be_any_number() -> None:
    huge = Policy(min_size_bytes=-1, max_size_bytes=2**70)
    assert huge.is_valid(size_bytes=0)
    assert huge.is_valid(size_bytes=2**63)
    for limit in (1e3, 1000.9):
        assert Policy(max_size_bytes=limit).is_valid(size_bytes=1000)  # type: ignore[arg-type]
        assert not Policy(max_size_bytes=limit).is_valid(size_bytes=1001)  # type: ignore[arg-type]
    assert Policy(max_size_bytes=float('inf')).is_valid(size_bytes=2**63)  # type: ignore[arg-type]
    assert not Policy(min_size_bytes=9.5).is_valid(size_bytes=9)  # type: ignore[arg-type]
    nothing = Policy(max_size_bytes=-1)
    assert not nothing.is_valid(size_bytes=0)
    assert nothing.is_valid()
    with pytest.raises(TypeError):
        Policy(max_size_bytes='1 MB').is_valid(size_bytes=0)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Policy(subset_tags=[1]).is_valid(subset_tags=['a'])  # type: ignore[list-item]


@pytest.mark.parametrize(
    ('own', 'asked', 'subset', 'superset'),
    [
        ([], None, True, True),
        ([], [], True, True),
        ([], ['a'], False, True),
        (['a'], None, True, True),
        (['a'], [], True, False),
        (['a'], ['a'], True, True),
        (['a'], ['b'], False, False),
        (['a'], ['a', 'b'], False, True),
        (['a', 'b'], ['a'], True, False),
        (['a', 'b'], ['a', 'b', 'c'], False, True),
    ],
)
def test_tags(
    own: list[str], asked: list[str] | None, subset: bool, superset: bool
) -> None:
    assert Policy(subset_tags=own).is_valid(subset_tags=asked) is subset
    assert Policy(superset_tags=own).is_valid(superset_tags=asked) is superset


@pytest.mark.parametrize(
    ('pattern', 'valid'),
    [
        (None, True),
        (HOST, True),
        (HOST[:1], True),
        ('.*', True),
        ([HOST, 'elsewhere'], True),
        (f'not-{HOST}', False),
        (['elsewhere'], False),
        ([], False),
    ],
)
def test_hosts(pattern: Any, valid: bool) -> None:
    policy = Policy(host_pattern=pattern)
    assert policy.is_valid_on_host() is valid
    assert policy.is_valid(size_bytes=1) is valid


def test_a_wrong_host_pattern() -> None:
    with pytest.raises(ValueError, match="'\\[' is no regular expression"):
        Policy(host_pattern='[').is_valid_on_host()


def test_a_policy_as_a_dictionary() -> None:
    plain: PolicyDict = Policy().as_dict()
    assert plain == {
        'priority': 0,
        'host_pattern': None,
        'min_size_bytes': 0,
        'max_size_bytes': 2**63 - 1,
        'subset_tags': [],
        'superset_tags': [],
    }
    policy = Policy(priority=3, host_pattern=('a', 'b'), subset_tags=['x'])
    assert Policy(**policy.as_dict()).as_dict() == policy.as_dict()
    assert Policy(priority=1) == Policy(priority=1)


@pytest.fixture
def multi() -> MultiConnector:
    return MultiConnector(
        {
            'large': (LocalConnector(), Policy()),
            'small': (LocalConnector(), Policy(priority=2, max_size_bytes=10)),
            'tagged': (LocalConnector(), Policy(priority=1, subset_tags=['a', 'b'])),
        }
    )


def test_it_is_a_connector(multi: MultiConnector) -> None:
    assert isinstance(multi, Connector)
    assert isinstance(multi, DeferrableConnector)
    assert multi.connectors_by_priority == ['small', 'tagged', 'large']
    assert list(multi.connectors) == ['large', 'small', 'tagged']
    assert multi.dormant_connectors is None
    assert 'small' in repr(multi)


def test_objects_go_where_their_size_and_tags_send_them(multi: MultiConnector) -> None:
    small, tagged = multi.put(b'1234'), multi.put(b'x' * 20, subset_tags=['b'])
    assert small.connector_name == 'small'
    assert tagged.connector_name == 'tagged'
    assert multi.put(memoryview(b'x' * 11)).connector_name == 'tagged'
    assert multi.get(small) == b'1234'
    assert multi.exists(small)
    multi.evict(small)
    assert not multi.exists(small)
    assert multi.get(small) is None
    multi.evict(small)
    with pytest.raises(MultiConnectorError, match="11 bytes, subset_tags=\\['z'\\]"):
        multi.put(b'x' * 11, subset_tags=['z'])
    with pytest.raises(MultiConnectorError, match='are none'):
        MultiConnector({}).put(b'')


def test_the_first_of_equals_wins() -> None:
    multi = MultiConnector(
        {name: (LocalConnector(), Policy(priority=1)) for name in ('b', 'a')}
    )
    assert multi.put(b'').connector_name == 'b'


def test_batches_keep_their_order(multi: MultiConnector) -> None:
    objs = [b'1', b'2' * 20, b'3', b'4' * 20]
    keys = multi.put_batch(objs)
    names = [key.connector_name for key in keys]
    assert names == ['small', 'tagged', 'small', 'tagged']
    assert multi.get_batch(keys) == objs
    multi.evict(keys[1])
    assert multi.get_batch(keys[::-1]) == [objs[3], objs[2], None, objs[0]]
    assert multi.get_batch([]) == []
    assert multi.put_batch([]) == []


def test_a_batch_that_cannot_go_leaves_nothing() -> None:
    local = LocalConnector({})
    multi = MultiConnector({'only': (local, Policy(max_size_bytes=1))})
    with pytest.raises(MultiConnectorError):
        multi.put_batch([b'1', b'22'])
    assert local._dict == {}


def test_keys_in_advance(multi: MultiConnector) -> None:
    key = multi.new_key(b'12')
    assert key.connector_name == 'small'
    assert multi.get(key) is None
    multi.set(key, b'x' * 50)
    assert multi.get(key) == b'x' * 50
    assert multi.new_key(subset_tags=['a']).connector_name == 'tagged'


def test_unknown_connectors(multi: MultiConnector) -> None:
    key = MultiKey('missing', ('x',))
    for use in (multi.get, multi.exists, multi.evict, lambda key: multi.set(key, b'')):
        with pytest.raises(MultiConnectorError, match="no connector 'missing'"):
            use(key)


def test_connectors_of_other_hosts_stay_dormant(store_dir: Path) -> None:
    there = FileConnector(str(store_dir / 'there'), clear=False)
    multi = MultiConnector(
        {
            'there': (there, Policy(priority=9, host_pattern=f'not-{HOST}')),
            'here': (LocalConnector(), Policy(host_pattern=[HOST])),
        }
    )
    assert multi.put(b'1').connector_name == 'here'
    config: dict[str, ConnectorPolicyConfig] = multi.config()
    again = MultiConnector.from_config(config)
    assert list(again.connectors) == ['here']
    assert again.dormant_connectors is not None
    assert list(again.dormant_connectors) == ['there']
    assert again.config() == config
    with pytest.raises(MultiConnectorError, match='dormant'):
        again.get(MultiKey('there', ('x',)))


def test_close_closes_all_though_one_fails() -> None:
    class Failing(LocalConnector):
        def close(self, clear: bool | None = None) -> None:
            raise OSError('on purpose')

    last = LocalConnector()
    multi = MultiConnector({'a': (Failing(), Policy()), 'b': (last, Policy())})
    key = last.put(b'1')
    with pytest.raises(OSError, match='on purpose'), multi:
        pass
    assert not last.exists(key)


def test_in_a_store(store_dir: Path) -> None:
    multi = MultiConnector(
        {
            'small': (
                FileConnector(str(store_dir / 'small')),
                Policy(priority=1, max_size_bytes=200),
            ),
            'large': (
                FileConnector(str(store_dir / 'large')),
                Policy(subset_tags=['disk']),
            ),
        }
    )
    with Store('multi', multi, register=True) as store:
        small = store.proxy([1], populate_target=False)
        large = store.proxy(list(range(1000)), subset_tags=['disk'])
        key: Any = large.__proxy_factory__.key
        assert key.connector_name == 'large'
        data = pickle.dumps(small), pickle.dumps(large)
        assert store.config().connector.get_connector_type() is MultiConnector
        unregister_store(store)
        try:  # it is opened anew of what travelled
            assert [len(pickle.loads(each)) for each in data] == [1, 1000]
        finally:
            unregister_store('multi')
        with pytest.raises(MultiConnectorError):
            store.put('x', subset_tags=['nowhere'])
        future: Any = store.future(polling_timeout=1)
        future.set_result([5])
        assert future.result() == [5]
        resolve(small)
