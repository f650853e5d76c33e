"""Caching: proxies of one object share one copy in each process.

Run it with

    python examples/caching.py
"""

from __future__ import annotations

import pickle
import tempfile
from pathlib import Path

from proxystore.connectors.file import FileConnector
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.store import Store


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        # 16 objects is the default; 0 switches the cache off.
        Store('mystore', FileConnector(Path(folder) / 'objects'), cache_size=16, register=True)
        as store,
    ):  # fmt: skip
        key = store.put(list(range(1_000)))
        assert not store.is_cached(key)  # a put does not fill the cache

        first: Proxy[list[int]] = store.proxy_from_key(key)
        assert sum(first) == 499_500  # fetched and decoded here
        assert store.is_cached(key)

        second = pickle.loads(pickle.dumps(first))
        assert extract(second) is extract(first)  # taken from the cache
        assert store.get(key) is extract(first)

        # The least recently used object makes room for the seventeenth.
        for number in range(16):
            store.get(store.put(number))
        assert not store.is_cached(key)
        assert store.exists(key)  # the store still has it

        store.evict(key)
        assert not store.exists(key)
    print('done')


if __name__ == '__main__':
    main()
