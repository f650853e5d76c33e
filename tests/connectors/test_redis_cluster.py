"""Redis Cluster from Python: the contract, other processes, secrets, streams, a master that dies."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from proxystore.connectors.redis import RedisConnector
from proxystore.connectors.redis import RedisKey
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorTimeoutError
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import InlineSecretError
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream.shims.redis import RedisPublisher
from proxystore.stream.shims.redis import RedisQueuePublisher
from proxystore.stream.shims.redis import RedisQueueSubscriber
from proxystore.stream.shims.redis import RedisSubscriber
from proxystore.stream.shims.redis_streams import RedisStreamPublisher
from proxystore.stream.shims.redis_streams import RedisStreamSubscriber

from . import contract
from .redis_cluster import OwnCluster

SECRET = 'hunter2'
CAPABILITIES = {'deferred_set', 'batch', 'cross_process', 'cross_host'}


@pytest.fixture(scope='module')
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnCluster]:
    """A cluster whose one user has a password."""
    folder = tmp_path_factory.mktemp('cluster')
    folder.joinpath('users').write_text(f'user default on >{SECRET} ~* &* +@all\n')
    options = {'masterauth': SECRET, 'aclfile': str(folder / 'users')}
    with OwnCluster(folder, {'password': SECRET}, **options) as cluster:
        yield cluster


def connect(cluster: OwnCluster, **options: object) -> RedisConnector:
    node = cluster.nodes[0]
    given = {'password': SECRET, 'cluster': True, **options}
    return RedisConnector(node.host, node.port, **given)  # type: ignore[arg-type]


@pytest.mark.timeout(300)
def test_contract(cluster: OwnCluster, capsys: pytest.CaptureFixture[str]) -> None:
    failed = {}
    names = contract.trials(CAPABILITIES)
    for trial in names:
        connector = connect(cluster)
        complaint = contract.run_trial(trial, connector, RedisKey, CAPABILITIES)
        if complaint:
            failed[trial] = complaint
        connector.close(clear=True)
    with capsys.disabled():
        print(f'\ncontract, redis cluster: {len(names) - len(failed)} of {len(names)}')
    assert not failed, failed


WORKER = """
import pickle, sys
p = pickle.loads(bytes.fromhex(sys.argv[1]))
print(len(p), p[:9])
"""


def resolve_elsewhere(data: bytes) -> str:
    command = [sys.executable, '-c', WORKER, data.hex()]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ}
    )
    return ended.stdout.strip() or ended.stderr


def test_a_proxy_is_resolved_by_another_process(
    cluster: OwnCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('CLUSTER_PASSWORD', SECRET)
    url = f'redis+cluster://:${{CLUSTER_PASSWORD}}@{cluster.hosts}?namespace=elsewhere'
    with Store.from_url(url, name='clustered', register=True) as store:
        large = 'clustered' * 1_000_000
        data = pickle.dumps(store.proxy(large, populate_target=False))
        assert SECRET.encode() not in data
        assert resolve_elsewhere(data) == '9000000 clustered'
        future = store.future(polling_interval=1000)
        data = pickle.dumps(future.proxy())
        timer = threading.Timer(1, future.set_result, ['told late'])
        timer.start()
        assert resolve_elsewhere(data) == '9 told late'
        timer.join()
        again = pickle.loads(pickle.dumps(store.config()))
        assert again == store.config()
        connector = RedisConnector.from_config(store.connector.config())
        assert connector.config() == store.connector.config()
        connector.close()
        keys = store.put_batch([b'x' * size for size in range(200)])
        assert [len(store.get(key)) for key in keys] == [*range(200)]
        store.close(clear=True)


def test_secrets_stay_here(cluster: OwnCluster) -> None:
    connector = connect(cluster)
    with Store('cluster-secret', connector, register=True) as store:
        with pytest.raises(InlineSecretError) as raised:
            pickle.dumps(store.proxy('x'))
        shown = [repr(connector), str(connector), repr(store), str(raised.value)]
        shown += [repr(store.config()), repr(connector.config())]
        assert not any(SECRET in text for text in shown), shown
        assert 'redis+cluster://' in repr(connector)


def test_what_is_wrong_is_named(cluster: OwnCluster) -> None:
    node = cluster.nodes[0]
    for options, wrong in (
        ({'db': 1}, 'one database'),
        ({'service': 'ours'}, 'no service'),
        ({'namespace': 'a{b}'}, 'namespace'),
    ):
        with pytest.raises(ConnectorConfigError, match=wrong):
            connect(cluster, **options)
    with pytest.raises(ConnectorConfigError, match='name some of its nodes'):
        Store.from_url(f'redis+cluster://{node.host}:{node.port}/3')
    plain = RedisConnector(node.host, node.port, password=SECRET)
    with pytest.raises(ConnectorConfigError, match='cluster=True'):
        plain.put_batch([bytes(10)] * 50)
    with pytest.raises(ConnectorUnreachableError, match='cluster info'):
        RedisConnector('127.0.0.1', 1, cluster=[('127.0.0.1', 2)])


def test_streams(cluster: OwnCluster) -> None:
    node = cluster.nodes[1]
    where = (node.host, node.port)
    options = {'cluster': True, 'password': SECRET}
    connector = connect(cluster, allow_secret=True)
    with Store('cluster-stream', connector, register=True) as store:
        for topic in ('one', 'two', 'three'):  # on different nodes
            pairs = [
                (
                    RedisQueuePublisher(*where, **options),
                    RedisQueueSubscriber(*where, topic, **options),
                ),
                (
                    RedisStreamPublisher(*where, **options),
                    RedisStreamSubscriber(*where, f'{topic}-kept', **options),
                ),
                (
                    RedisPublisher(*where, **options),
                    RedisSubscriber(*where, topic, **options),
                ),
            ]
            for (publisher, subscriber), name in zip(
                pairs, (topic, f'{topic}-kept', topic), strict=True
            ):
                with StreamProducer(publisher, default_store=store) as producer:
                    producer.send(name, 'sent' * 100_000, evict=True)
                    producer.send(name, 'small')
                    producer.close_topics(name)
                with StreamConsumer(subscriber) as consumer:
                    assert [len(p) for p in consumer] == [400_000, 5]
        store.close(clear=True)


def test_a_master_is_killed_between_puts(tmp_path: Path) -> None:
    with OwnCluster(tmp_path) as cluster:
        url = f'redis+cluster://{cluster.hosts}?replicas=1'
        connector = RedisConnector.from_url(url)
        data = {connector.put(bytes([n]) * 1000): bytes([n]) * 1000 for n in range(60)}
        cluster.nodes[0].kill()
        # Whoever asks for what it had waits for its replica.
        for key, value in data.items():
            assert connector.get(key) == value
        # Nobody follows that replica now: what cannot be replicated is said to be so.
        hasty = RedisConnector.from_url(f'{url}&timeout=1s')
        complaints = []
        for _ in range(60):
            try:
                hasty.put(b'where is the replica?')
            except (ConnectorUnreachableError, ConnectorTimeoutError) as error:
                complaints.append(str(error))
                break
        assert complaints
        assert 'may be repeated' in complaints[0]
        cluster.nodes[0].restart()
        cluster.wait_until_whole()
        keys = connector.put_batch([b'all is well'] * 60)
        assert connector.get_batch(keys) == [b'all is well'] * 60
        connector.close(clear=True)
