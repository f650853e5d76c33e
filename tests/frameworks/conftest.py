"""Each framework, as something with `submit` and `shutdown`, and proxies that tell on their users."""

from __future__ import annotations

import contextlib
import itertools
import logging
import multiprocessing
import os
import sys
import traceback
from collections.abc import Callable
from collections.abc import Iterator
from concurrent.futures import Executor
from concurrent.futures import Future
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest


class RecordingFactory:
    """Writes down who called it."""

    def __init__(self, record: Path) -> None:
        self.record = record

    def __call__(self) -> range:
        with self.record.open('a') as file:
            file.write(f'process {os.getpid()}\n{"".join(traceback.format_stack())}\n')
        return range(1, 4)


class RayExecutor(Executor):
    """Ray as an executor: the adapter of `docs/frameworks.md`."""

    def __init__(self) -> None:
        import ray

        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        import ray

        # Not the function itself: Ray takes no other callables.
        return ray.remote(call).remote(function, *args, **kwargs).future()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        import ray

        ray.shutdown()


class Actor:
    """One of Ray's."""

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


class RayActorExecutor(RayExecutor):
    """Two actors, in turn."""

    def __init__(self) -> None:
        super().__init__()
        import ray

        self.actors = itertools.cycle([ray.remote(Actor).remote() for _ in range(2)])

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        return next(self.actors).call.remote(function, *args, **kwargs).future()


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def started() -> Future[Any]:
    """A future of what cannot be cancelled any more."""
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()
    return future


class JoblibExecutor(Executor):
    """joblib runs batches; here one of one task."""

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        from joblib import Parallel
        from joblib import delayed

        future: Future[Any] = Future()
        try:
            # Two, since joblib runs a single one here.
            call = delayed(function)(*args, **kwargs)
            results = Parallel(n_jobs=2)([call, delayed(int)()])
            future.set_result(results[0])
        except Exception as error:
            future.set_exception(error)
        return future


class PoolExecutor(Executor):
    """multiprocessing.Pool."""

    def __init__(self) -> None:
        self.pool = multiprocessing.get_context('spawn').Pool(2)

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        future = started()
        self.pool.apply_async(
            function, args, kwargs, future.set_result, future.set_exception
        )
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.terminate()
        self.pool.join()


class GlobusComputeExecutor(Executor):
    """The serializer of Globus Compute's SDK, around a pool instead of its service."""

    def __init__(self) -> None:
        from globus_compute_sdk.serialize import ComputeSerializer

        self.serializer = ComputeSerializer()
        self.pool = ProcessPoolExecutor(
            2, mp_context=multiprocessing.get_context('spawn')
        )

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        parts = [self.serializer.serialize(part) for part in (function, args, kwargs)]
        future = started()

        def done(packed: Future[str]) -> None:
            try:
                future.set_result(self.serializer.deserialize(packed.result()))
            except Exception as error:
                future.set_exception(error)

        packed = self.serializer.pack_buffers(parts)
        self.pool.submit(run_packed, packed).add_done_callback(done)
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.pool.shutdown(wait=wait, cancel_futures=cancel_futures)


def run_packed(packed: str) -> str:
    from globus_compute_sdk.serialize import ComputeSerializer

    serializer = ComputeSerializer()
    function, args, kwargs = serializer.unpack_and_deserialize(packed)
    result: str = serializer.serialize(function(*args, **kwargs))
    return result


def parsl_executor(folder: Path) -> Any:
    import parsl
    from parsl.concurrent import ParslPoolExecutor
    from parsl.config import Config
    from parsl.executors import HighThroughputExecutor
    from parsl.providers import LocalProvider

    # As in an activated environment: it starts programs of its own by their names.
    scripts = str(Path(sys.executable).parent)
    os.environ['PATH'] = os.pathsep.join([scripts, os.environ['PATH']])
    os.environ['PYTHONPATH'] = str(Path(__file__).parents[2])
    parsl.set_stream_logger(level=logging.DEBUG, stream=(folder / 'log').open('w'))
    executor = HighThroughputExecutor(
        address='127.0.0.1',
        max_workers_per_node=2,
        cores_per_worker=0.5,
        worker_debug=True,
        provider=LocalProvider(init_blocks=1, max_blocks=1),
    )
    return ParslPoolExecutor(Config(executors=[executor], run_dir=str(folder)))


def dask_client() -> Any:
    from distributed import Client

    return Client(n_workers=2, threads_per_worker=1, dashboard_address=None)


FRAMEWORKS: dict[str, Callable[[Path], Any]] = {
    'threads': lambda _: ThreadPoolExecutor(2),
    'processes': lambda _: ProcessPoolExecutor(
        2, mp_context=multiprocessing.get_context('spawn')
    ),
    'multiprocessing': lambda _: PoolExecutor(),
    'joblib': lambda _: JoblibExecutor(),
    'dask': lambda _: dask_client(),
    'dask-executor': lambda _: dask_client().get_executor(),
    'ray': lambda _: RayExecutor(),
    'ray-actors': lambda _: RayActorExecutor(),
    'parsl': parsl_executor,
    'globus-compute': lambda _: GlobusComputeExecutor(),
}


@pytest.fixture(scope='module', params=FRAMEWORKS)
def framework(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    """An executor of each framework."""
    logging.getLogger('distributed').setLevel(logging.DEBUG)
    executor = FRAMEWORKS[request.param](tmp_path_factory.mktemp(request.param))
    yield executor
    with contextlib.suppress(Exception):
        executor.shutdown()
    client = getattr(executor, '_client', None)
    if client is not None:
        client.close()
