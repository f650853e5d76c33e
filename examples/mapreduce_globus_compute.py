"""Map-reduce on Globus Compute (once FuncX), with the data passed by proxy.

Globus Compute limits what a task may carry to a few megabytes, and it goes
through a service in the cloud; a proxy is a few hundred bytes, and the data
goes through a store that both sides reach.

Needs `pip install globus-compute-sdk`. On endpoints of your own, with a Redis
server that they and this program reach:

    python examples/mapreduce_globus_compute.py --endpoint UUID --redis HOST:PORT

On this machine alone, without the service: the same functions go through the
SDK's own serializer into a pool of processes:

    python examples/mapreduce_globus_compute.py --local
"""

from __future__ import annotations

import argparse
import multiprocessing
from collections.abc import Callable
from concurrent.futures import Executor as FuturesExecutor
from concurrent.futures import Future
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from globus_compute_sdk import Executor
from globus_compute_sdk.serialize import ComputeSerializer
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.store import Store


def count(samples: Proxy[Any]) -> Any:
    """Map: how often each value occurs."""
    import numpy as np
    from proxystore.store import get_store

    counts = np.bincount(samples, minlength=100)
    return get_store(samples).proxy(counts)


def add(counts: list[Proxy[Any]]) -> Any:
    """Reduce: the sum of the counts."""
    import numpy as np
    from proxystore.store import get_store

    return get_store(counts[0]).proxy(np.sum(counts, axis=0))


def run(task: str) -> str:
    """What a worker of an endpoint does with a task: unpack, call, pack the result."""
    serializer = ComputeSerializer()
    function, args, kwargs = serializer.unpack_and_deserialize(task)
    result: str = serializer.serialize(function(*args, **kwargs))
    return result


class LocalExecutor(FuturesExecutor):
    """The SDK's way from a call to its result, without the service in between."""

    def __init__(self, workers: int) -> None:
        self.serializer = ComputeSerializer()
        spawn = multiprocessing.get_context('spawn')
        self.pool = ProcessPoolExecutor(workers, mp_context=spawn)

    def submit(
        self, function: Callable[..., Any], /, *args: Any, **kwargs: Any
    ) -> Future[Any]:
        parts = [self.serializer.serialize(part) for part in (function, args, kwargs)]
        task = self.serializer.pack_buffers(parts)
        print(f'{function.__name__}: a task of {len(task):,} bytes')
        result: Future[Any] = Future()

        def done(packed: Future[str]) -> None:
            try:
                result.set_result(self.serializer.deserialize(packed.result()))
            except BaseException as error:
                result.set_exception(error)

        self.pool.submit(run, task).add_done_callback(done)
        return result

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def open_store(redis: str | None) -> Store[Any]:
    if redis is None:
        return Store('mapreduce', register=True)
    from proxystore.connectors.redis import RedisConnector

    host, port = redis.rsplit(':', 1)
    return Store('mapreduce', RedisConnector(host, int(port)), register=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument('--endpoint', help='UUID of a Globus Compute endpoint')
    where.add_argument('--local', action='store_true', help='a pool of processes here')
    parser.add_argument('--redis', metavar='HOST:PORT')
    parser.add_argument('--chunks', type=int, default=4)
    parser.add_argument('--samples', type=int, default=1_000_000, help='in each chunk')
    options = parser.parse_args()
    if options.endpoint and not options.redis:
        parser.error('an endpoint needs a store that it reaches too: --redis HOST:PORT')

    random = np.random.default_rng(seed=0)
    chunks = [random.integers(100, size=options.samples) for _ in range(options.chunks)]
    with (
        open_store(options.redis) as store,
        LocalExecutor(2) if options.local else Executor(options.endpoint) as executor,
    ):
        mapped = [executor.submit(count, store.proxy(chunk)) for chunk in chunks]
        total = executor.submit(add, [future.result() for future in mapped]).result()
        counts = extract(total)
    assert np.array_equal(counts, np.bincount(np.concatenate(chunks), minlength=100))
    print(f'counted {counts.sum():,} samples in {options.chunks} chunks')


if __name__ == '__main__':
    main()
