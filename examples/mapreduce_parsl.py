"""Map-reduce on Parsl, with the data passed by proxy.

Parsl sends the arguments and results of its apps through its own messages;
here they are proxies, and the arrays go through a store. Results are *locked*
proxies: Parsl looks at a result that can be called, as a proxy can, more
closely than an unresolved proxy bears; a lock lets nobody look.

Needs `pip install parsl`:

    python examples/mapreduce_parsl.py [--redis HOST:PORT]

Without a Redis server the data goes through this machine's shared memory,
and all workers must run on it.
"""

from __future__ import annotations

import argparse
import tempfile
from typing import Any

import numpy as np
import parsl
from parsl.config import Config
from parsl.executors import HighThroughputExecutor
from parsl.providers import LocalProvider
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.store import Store


def count(samples: Proxy[Any]) -> Any:
    """Map: how often each value occurs. It knows nothing of proxies but for its result."""
    import numpy as np
    from proxystore.store import get_store

    counts = np.bincount(samples, minlength=100)
    return get_store(samples).locked_proxy(counts)


def add(counts: list[Proxy[Any]]) -> Any:
    """Reduce: the sum of the counts."""
    import numpy as np
    from proxystore.store import get_store

    return get_store(counts[0]).locked_proxy(np.sum(counts, axis=0))


def open_store(redis: str | None) -> Store[Any]:
    if redis is None:
        return Store('mapreduce', register=True)
    from proxystore.connectors.redis import RedisConnector

    host, port = redis.rsplit(':', 1)
    return Store('mapreduce', RedisConnector(host, int(port)), register=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument('--redis', metavar='HOST:PORT')
    parser.add_argument('--chunks', type=int, default=4)
    parser.add_argument('--samples', type=int, default=1_000_000, help='in each chunk')
    options = parser.parse_args()

    random = np.random.default_rng(seed=0)
    chunks = [random.integers(100, size=options.samples) for _ in range(options.chunks)]
    with tempfile.TemporaryDirectory() as folder, open_store(options.redis) as store:
        executor = HighThroughputExecutor(
            address='127.0.0.1',
            max_workers_per_node=2,
            cores_per_worker=0.5,
            provider=LocalProvider(init_blocks=1, max_blocks=1),
        )
        with parsl.load(Config(executors=[executor], run_dir=folder)):
            map_app, reduce_app = parsl.python_app(count), parsl.python_app(add)
            mapped = [map_app(store.proxy(chunk)) for chunk in chunks]
            total = reduce_app([future.result().unlock() for future in mapped]).result()
            counts = extract(total.unlock())
    assert np.array_equal(counts, np.bincount(np.concatenate(chunks), minlength=100))
    print(f'counted {counts.sum():,} samples in {options.chunks} chunks')


if __name__ == '__main__':
    main()
