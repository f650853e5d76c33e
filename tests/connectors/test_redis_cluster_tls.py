"""A Redis Cluster that is reached by TLS: at every node, by the name in their certificate."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxystore.connectors.redis import RedisConnector
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.store import Store

from .redis_cluster import MASTERS
from .redis_cluster import OwnCluster


def test_every_node_by_tls(certificates: Path, tmp_path: Path) -> None:
    tls = {
        'tls-ca-cert-file': str(certificates / 'ca.crt'),
        'tls-cert-file': str(certificates / 'server.crt'),
        'tls-key-file': str(certificates / 'server.key'),
        'tls-auth-clients': 'no',
    }
    options = f'ca_file={certificates / "ca.crt"}&server_name=cache.test'
    with OwnCluster(tmp_path / 'nodes', tls=tls) as cluster:
        ports = [node.options['tls-port'] for node in cluster.nodes]
        # One node is named: the others are those of the map.
        place = f'rediss+cluster://127.0.0.1:{ports[0]}'
        store = Store.from_url(f'{place}?{options}', name='by-tls', cache_size=0)
        objects = [bytes([n]) * size for n in range(30) for size in (1000, 1_500_000)]
        keys = [store.put(data) for data in objects]
        assert [store.get(key) for key in keys] == objects
        held = [cluster.ask(node, 'DBSIZE') for node in cluster.nodes[:MASTERS]]
        assert all(held), 'a master has nothing'
        keys = store.put_batch(objects)
        assert [store.get(key) for key in keys] == objects
        plain = Store(
            'plainly', RedisConnector('127.0.0.1', cluster.nodes[0].port, cluster=True)
        )
        assert plain.get(keys[0]) == objects[0]
        plain.close()
        with pytest.raises(ConnectorUnreachableError, match='rediss'):
            Store.from_url(
                f'{place}?ca_file={certificates / "ca.crt"}', name='other-name'
            )
        store.close(clear=True)
