"""One job on each of the frameworks, its data passed as it is and by proxy, and the times of both.

    python examples/frameworks.py concurrent.futures
    python examples/frameworks.py multiprocessing | joblib | dask | ray | ray-actors
    python examples/frameworks.py parsl | parsl-hook | globus-compute | torch
    mpiexec -n 3 python -m mpi4py.futures examples/frameworks.py mpi

Each task gets a large array that all share and an index, and returns a large array. By proxy, the
shared array is put once, tasks and results are some hundred bytes, and whoever schedules the tasks
never sees the data. All of it goes through this machine's shared memory: with workers on several
hosts, give the store a connector that they all reach (`docs/connectors.md`).
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store.utils import get_key

Task = Callable[[Any, int], Any]
Run = Callable[[Task, Any, range], list[Any]]


def work(shared: Any, index: int) -> Any:
    """A task; it does not know how its arguments come."""
    import numpy as np  # where Parsl sends a function, there are no globals

    return np.asarray(shared) + index


def work_by_proxy(shared: Proxy[Any], index: int) -> Any:
    """The same, with its result put into the store that its argument came from.

    A *locked* proxy cannot be resolved by accident: a framework may look closely at a result that
    can be called, as a proxy can.
    """
    import numpy as np
    from proxystore.store import get_store

    return get_store(shared).locked_proxy(np.asarray(shared) + index)


@contextmanager
def futures() -> Iterator[Run]:
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context('spawn')
    ) as pool:
        yield lambda task, shared, indexes: [
            each.result() for each in [pool.submit(task, shared, i) for i in indexes]
        ]


@contextmanager
def processes() -> Iterator[Run]:
    with multiprocessing.get_context('spawn').Pool(2) as pool:
        yield lambda task, shared, indexes: pool.starmap(
            task, [(shared, i) for i in indexes], chunksize=1
        )


@contextmanager
def joblib() -> Iterator[Run]:
    from joblib import Parallel
    from joblib import delayed

    # Without its own memory mapping of arguments, which needs no store on one host.
    with Parallel(n_jobs=2, max_nbytes=None) as pool:
        yield lambda task, shared, indexes: pool(
            delayed(task)(shared, i) for i in indexes
        )


@contextmanager
def dask() -> Iterator[Run]:
    from distributed import Client

    with Client(n_workers=2, threads_per_worker=1, dashboard_address=None) as client:
        yield lambda task, shared, indexes: client.gather(
            [client.submit(task, shared, i, pure=False) for i in indexes]
        )


@contextmanager
def ray() -> Iterator[Run]:
    import ray as framework

    framework.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    def run(task: Task, shared: Any, indexes: range) -> list[Any]:
        remote = framework.remote(task)
        results: list[Any] = framework.get([remote.remote(shared, i) for i in indexes])
        return results

    try:
        yield run
    finally:
        framework.shutdown()


class Actor:
    """A process of Ray that lives on between its tasks."""

    def run(self, task: Task, shared: Any, index: int) -> Any:
        return task(shared, index)


@contextmanager
def ray_actors() -> Iterator[Run]:
    import ray as framework

    framework.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
    actors = [framework.remote(Actor).remote() for _ in range(2)]

    def run(task: Task, shared: Any, indexes: range) -> list[Any]:
        results: list[Any] = framework.get(
            [actors[i % 2].run.remote(task, shared, i) for i in indexes]
        )
        return results

    try:
        yield run
    finally:
        framework.shutdown()


@contextmanager
def parsl() -> Iterator[Run]:
    import parsl as framework
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    executor = HighThroughputExecutor(
        address='127.0.0.1',
        max_workers_per_node=2,
        cores_per_worker=0.5,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
    )
    with tempfile.TemporaryDirectory() as folder:
        config = Config(executors=[executor], run_dir=folder)
        with framework.load(config):

            def run(task: Task, shared: Any, indexes: range) -> list[Any]:
                app = framework.python_app(task)
                return [each.result() for each in [app(shared, i) for i in indexes]]

            yield run


class Noting:
    """A store that knows what Parsl's hook put: it says so to nobody."""

    def __init__(self, store: Store[Any]) -> None:
        self.store, self.keys = store, list[Any]()

    def proxy(self, array: Any) -> Proxy[Any]:
        proxy = self.store.proxy(array)
        self.keys.append(get_key(proxy))
        return proxy


@contextmanager
def parsl_hook() -> Iterator[Run]:
    """Parsl's own hook proxies the arguments; it puts the shared array once for each task."""
    from parsl.serialize import facade
    from parsl.serialize.proxystore import ProxyStoreSerializer

    noting = Noting(Store('parsl-hook', register=True))
    # By the exact type: a proxy of an array says that it is one.
    hook = ProxyStoreSerializer(
        should_proxy=lambda obj: type(obj) is np.ndarray,
        store=noting,
    )
    with parsl() as run_on_parsl, noting.store:
        array: Any = None

        def run(task: Task, shared: Any, indexes: range) -> list[Any]:
            nonlocal array
            if task is work:
                array = shared
                return run_on_parsl(task, shared, indexes)
            # Parsl takes the first that can, so that the hook has to stand before its own.
            others = dict(facade.methods_for_data)
            facade.methods_for_data.clear()
            facade.register_method_for_data(hook)
            facade.methods_for_data.update(others)
            try:
                return run_on_parsl(task, array, indexes)
            finally:
                del facade.methods_for_data[hook.identifier]
                while noting.keys:
                    noting.store.evict(noting.keys.pop())

        yield run


@contextmanager
def globus_compute() -> Iterator[Run]:
    """The SDK's own serializer around a pool: what an endpoint does, without the service."""
    from concurrent.futures import ProcessPoolExecutor

    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer()
    with ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context('spawn')
    ) as pool:

        def run(task: Task, shared: Any, indexes: range) -> list[Any]:
            named: dict[str, Any] = {}
            packed = [
                serializer.pack_buffers(
                    [serializer.serialize(part) for part in (task, (shared, i), named)]
                )
                for i in indexes
            ]
            return [
                serializer.deserialize(each)
                for each in pool.map(unpack_and_run, packed)
            ]

        yield run


def unpack_and_run(packed: str) -> Any:
    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer()
    function, args, kwargs = serializer.unpack_and_deserialize(packed)
    return serializer.serialize(function(*args, **kwargs))


@contextmanager
def mpi() -> Iterator[Run]:
    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor() as pool:
        yield lambda task, shared, indexes: [
            each.result() for each in [pool.submit(task, shared, i) for i in indexes]
        ]


class Dataset:
    """What a DataLoader draws from in its workers."""

    def __init__(self, task: Task, shared: Any, indexes: range) -> None:
        self.task, self.shared, self.indexes = task, shared, indexes

    def __len__(self) -> int:
        return len(self.indexes)

    def __getitem__(self, place: int) -> Any:
        return self.task(self.shared, self.indexes[place])


@contextmanager
def torch() -> Iterator[Run]:
    from torch.utils.data import DataLoader

    yield lambda task, shared, indexes: list(
        DataLoader(
            Dataset(task, shared, indexes),
            batch_size=None,
            num_workers=2,
            collate_fn=as_it_is,
        )
    )


def as_it_is(item: Any) -> Any:
    return item


FRAMEWORKS = {
    'concurrent.futures': futures,
    'multiprocessing': processes,
    'joblib': joblib,
    'dask': dask,
    'ray': ray,
    'ray-actors': ray_actors,
    'parsl': parsl,
    'parsl-hook': parsl_hook,
    'globus-compute': globus_compute,
    'mpi': mpi,
    'torch': torch,
}


def seconds(job: Callable[[], float]) -> tuple[float, float]:
    """The result, and the shortest of three times after one to warm up."""
    result, times = job(), []
    for _ in range(3):
        start = time.perf_counter()
        assert job() == result
        times.append(time.perf_counter() - start)
    return result, min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument('framework', choices=FRAMEWORKS)
    parser.add_argument('--megabytes', type=int, default=20, help='of each array')
    parser.add_argument('--tasks', type=int, default=8)
    parser.add_argument('--json', action='store_true', help='the times alone')
    options = parser.parse_args()
    array = np.random.default_rng(seed=0).random(options.megabytes * 125_000)
    indexes = range(options.tasks)
    with (
        Store('frameworks', register=True) as store,
        FRAMEWORKS[options.framework]() as run,
    ):

        def plain() -> float:
            return sum(float(np.asarray(each)[0]) for each in run(work, array, indexes))

        def by_proxy() -> float:
            shared = store.proxy(array)
            results = [each.unlock() for each in run(work_by_proxy, shared, indexes)]
            total = sum(float(each[0]) for each in results)
            for each in (shared, *results):
                get_store(each).evict(get_key(each))
            return total

        expected, without = seconds(plain)
        total, with_proxies = seconds(by_proxy)
        assert total == expected
    if options.json:
        print(json.dumps({'as it is': without, 'by proxy': with_proxies}), flush=True)
        return
    print(
        f'{options.framework}: {options.tasks} tasks, {options.megabytes} MB in and out of each: '
        f'{without:.3f} s as it is, {with_proxies:.3f} s by proxy, '
        f'{without / with_proxies:.1f} times as fast'
    )
    sys.stdout.flush()


if __name__ == '__main__':
    main()
