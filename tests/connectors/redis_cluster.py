"""A Redis Cluster of six nodes on the loopback interface, for tests."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Any

from ..conftest import OwnRedis
from ..conftest import free_port

MASTERS = 3
SLOTS = 16384


class OwnCluster:
    """Three masters, a replica of each.

    Args:
        folder: Where the nodes keep what they know of each other.
        own: Options of the tests' client.
        tls: The certificates of nodes that speak TLS too, and nothing else among themselves.
        options: Of each node's `redis-server`.
    """

    def __init__(
        self,
        folder: Path,
        own: dict[str, Any] | None = None,
        tls: dict[str, str] | None = None,
        **options: str,
    ):
        folder.mkdir(exist_ok=True)
        self._own = own or {}
        self.nodes: list[OwnRedis] = []
        known = {'cluster-enabled': 'yes', 'cluster-node-timeout': '1500'}
        known |= {'repl-diskless-sync-delay': '0', **options}
        try:
            for number in range(2 * MASTERS):
                if tls:
                    port = str(port_with_a_bus())
                    known |= {**tls, 'tls-cluster': 'yes', 'tls-replication': 'yes'}
                    known |= {'tls-port': port}
                node = OwnRedis(folder / str(number), port=port_with_a_bus(), **known)
                self.nodes.append(node)
            self._join()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> OwnCluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for node in self.nodes:
            node.kill()

    @property
    def hosts(self) -> str:
        """All nodes, as in a URL."""
        return ','.join(f'{node.host}:{node.port}' for node in self.nodes)

    def ask(self, node: OwnRedis, *command: object) -> Any:
        import redis

        with redis.Redis(
            node.host, node.port, decode_responses=True, **self._own
        ) as client:
            return client.execute_command(*command)

    def _join(self) -> None:
        masters, replicas = self.nodes[:MASTERS], self.nodes[MASTERS:]
        for number, node in enumerate(self.nodes):
            self.ask(node, 'CLUSTER', 'SET-CONFIG-EPOCH', number + 1)
        for number, node in enumerate(self.nodes):
            for other in self.nodes[number + 1 :]:
                port = other.options.get('tls-port', other.port)
                self.ask(node, 'CLUSTER', 'MEET', other.host, port)
        for number, master in enumerate(masters):
            slots = range(number * SLOTS // MASTERS, (number + 1) * SLOTS // MASTERS)
            self.ask(master, 'CLUSTER', 'ADDSLOTS', *slots)
        self._until(lambda node: len(self._known(node)) == len(self.nodes))
        for replica, master in zip(replicas, masters, strict=True):
            name = self.ask(master, 'CLUSTER', 'MYID')
            self.ask(replica, 'CLUSTER', 'REPLICATE', name)
        self.wait_until_whole()

    def _known(self, node: OwnRedis) -> list[str]:
        nodes: str = self.ask(node, 'CLUSTER', 'NODES')
        return [line for line in nodes.splitlines() if 'handshake' not in line]

    def wait_until_whole(self) -> None:
        """Wait until every slot has a master, and every replica what its master has."""

        def is_whole(node: OwnRedis) -> bool:
            state: str = self.ask(node, 'CLUSTER', 'INFO')
            info = self.ask(node, 'INFO', 'replication')
            follows = info['role'] == 'master' or info['master_link_status'] == 'up'
            return 'cluster_state:ok' in state and follows

        self._until(is_whole)

    def _until(self, holds: Any) -> None:
        end = time.monotonic() + 60
        while not all(map(holds, self.nodes)):
            assert time.monotonic() < end, 'the nodes do not agree'
            time.sleep(0.05)


def port_with_a_bus() -> int:
    """A free port, where the one 10000 above is free as well."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(('127.0.0.1', port + 10000))
            except (OSError, OverflowError):
                continue
            return port
