"""Frameworks neither resolve a proxy by accident nor lose what a store executor gave them."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store.executor import ProxyType
from proxystore.store.executor import StoreExecutor
from proxystore.store.ref import OwnedProxy

from .conftest import RecordingFactory

pytestmark = [
    pytest.mark.integration,
    # What the frameworks themselves leave open or call deprecated.
    pytest.mark.filterwarnings('default'),
]

ROOT = Path(__file__).parents[2]


def kept(first: Any, second: Any, **more: Any) -> tuple[bool, ...]:
    """Whether what came is a proxy that nobody resolved on the way."""
    both = (first, second[0], more['third'])
    return tuple(type(each) is Proxy and not is_resolved(each) for each in both)


def given_back(proxy: Any) -> Any:
    return [proxy], ProxyLocker(proxy)


def double(values: Any) -> list[int]:
    return [2 * value for value in values]


def wait(number: int) -> None:
    import time

    time.sleep(0.3)


def fail(values: Any) -> None:
    raise KeyError(len(values))


def test_nobody_resolves_by_accident(framework: Any, tmp_path: Path) -> None:
    record = tmp_path / 'record'
    # As a store makes them: they know their class. cloudpickle asks for it.
    proxy: Any = Proxy(
        RecordingFactory(record), cache_defaults=True, target=range(1, 4)
    )
    del proxy.__proxy_wrapped__
    future = framework.submit(kept, proxy, [proxy], third=proxy)
    logging.getLogger('distributed').debug('%s', future)
    assert repr(future)
    assert tuple(future.result()) == (True, True, True)
    (back,), locked = framework.submit(given_back, proxy).result()
    assert type(back) is Proxy
    assert not is_resolved(back)
    assert not is_resolved(locked.unlock())
    assert not record.exists(), record.read_text()
    # And the test would see it.
    assert framework.submit(double, proxy).result() == [2, 4, 6]
    assert record.exists()


def under_mpi() -> list[str]:
    """Start a program as `MPIPoolExecutor` wants it, with one process that submits."""
    mpiexec = str(Path(sys.executable).with_name('mpiexec'))
    return [mpiexec, '-n', '3', sys.executable, '-m', 'mpi4py.futures']


def test_nobody_resolves_by_accident_under_mpi(tmp_path: Path) -> None:
    program = Path(__file__).with_name('mpi_accident.py')
    ran = subprocess.run(
        [*under_mpi(), str(program), str(tmp_path / 'record')],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert ran.stdout == 'by nobody, and then by the task that uses it\n'


class Drawn:
    """What a DataLoader draws from: its items are proxies."""

    def __init__(self, proxy: Any) -> None:
        self.proxy = proxy

    def __len__(self) -> int:
        return 4

    def __getitem__(self, place: int) -> Any:
        assert kept(self.proxy, [self.proxy], third=self.proxy) == (True, True, True)
        return [self.proxy]


class Used(Drawn):
    def __getitem__(self, place: int) -> Any:
        return double(self.proxy)


def as_it_is(item: Any) -> Any:
    return item


@pytest.mark.parametrize('method', ['fork', 'spawn', 'forkserver'])
def test_nobody_resolves_by_accident_in_a_data_loader(
    method: str, tmp_path: Path
) -> None:
    from torch.utils.data import DataLoader

    record = tmp_path / 'record'
    proxy: Any = Proxy(
        RecordingFactory(record), cache_defaults=True, target=range(1, 4)
    )
    del proxy.__proxy_wrapped__

    def load(dataset: Any) -> list[Any]:
        loader = DataLoader(
            dataset,
            batch_size=None,
            num_workers=2,
            collate_fn=as_it_is,
            multiprocessing_context=method,
        )
        assert repr(loader)
        return list(loader)

    items = load(Drawn(proxy))
    assert all(type(one) is Proxy and not is_resolved(one) for (one,) in items)
    assert not record.exists(), record.read_text()
    # And the test would see it.
    assert load(Used(proxy)) == [[2, 4, 6]] * 4
    assert record.exists()


def test_nobody_resolves_by_accident_in_the_hook_of_parsl(tmp_path: Path) -> None:
    """It pickles arguments by a pickler of its own, which asks a policy about every object."""
    from parsl.serialize import facade
    from parsl.serialize.proxystore import ProxyStoreSerializer

    record = tmp_path / 'record'
    proxy: Any = Proxy(
        RecordingFactory(record), cache_defaults=True, target=range(1, 4)
    )
    del proxy.__proxy_wrapped__
    with Store('hook', FileConnector(str(tmp_path / 'hooked')), register=True) as store:
        hook = ProxyStoreSerializer(
            should_proxy=lambda obj: type(obj) is bytes, store=store
        )
        # Parsl takes the first that can.
        others = dict(facade.methods_for_data)
        facade.methods_for_data.clear()
        facade.register_method_for_data(hook)
        facade.methods_for_data.update(others)
        try:
            packed = facade.pack_apply_message(
                kept, (proxy, [proxy]), {'third': proxy, 'more': b'by the hook'}
            )
        finally:
            del facade.methods_for_data[hook.identifier]
        assert len(objects(store)) == 1
        assert not record.exists(), record.read_text()
        _, args, kwargs = facade.unpack_apply_message(packed)
        assert kept(*args, third=kwargs['third']) == (True, True, True)
        more = kwargs['more']
        assert type(more) is Proxy
        assert not is_resolved(more)
        assert more == b'by the hook'
        assert not record.exists(), record.read_text()
        # And the test would see it.
        assert double(args[0]) == [2, 4, 6]
        assert record.exists()


@pytest.fixture
def file_store(store_dir: Path) -> Iterator[Store[FileConnector]]:
    name = f'store-{uuid.uuid4().hex}'
    with Store(name, FileConnector(str(store_dir)), register=True) as store:
        yield store


def objects(store: Store[FileConnector]) -> list[Path]:
    folder = Path(store.connector.store_dir)
    return [each for each in folder.iterdir() if not each.name.startswith('.')]


@pytest.mark.parametrize('ownership', [True, False])
def test_a_store_executor(
    framework: Any, file_store: Store[FileConnector], ownership: bool
) -> None:
    executor = StoreExecutor(
        framework, file_store, ProxyType(list), ownership=ownership, close_store=False
    )
    future = executor.submit(double, [1, 2, 3])
    result: Any = future.result()
    assert type(result) is (OwnedProxy if ownership else Proxy)
    assert result == [2, 4, 6]
    with pytest.raises(KeyError, match='2'):
        executor.submit(fail, [1, 2]).result()
    if ownership:
        del future, result
        wait_until_empty(file_store, but=kept_by(framework))
    else:
        assert len(objects(file_store)) == 3


def kept_by(framework: Any) -> int:
    # Parsl keeps results until it ends, and with them what they own.
    return 1 if type(framework).__name__ == 'ParslPoolExecutor' else 0


def wait_until_empty(store: Store[FileConnector], but: int = 0) -> None:
    import gc
    import time

    deadline = time.monotonic() + 30
    while len(objects(store)) > but and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.02)
    assert len(objects(store)) <= but


def test_a_cancelled_task_leaves_nothing(
    framework: Any, file_store: Store[FileConnector]
) -> None:

    executor = StoreExecutor(framework, file_store, ProxyType(list), close_store=False)
    blocking = [framework.submit(wait, number) for number in range(4)]
    cancelled = executor.submit(double, [1, 2, 3])
    with contextlib.suppress(NotImplementedError):  # Parsl's
        cancelled.cancel()
    for each in blocking:
        each.result()
    try:
        cancelled.result()
    except (CancelledError, Exception) as error:
        del error
    del cancelled
    wait_until_empty(file_store, but=kept_by(framework))


@pytest.mark.parametrize(
    'name',
    [
        'concurrent.futures',
        'multiprocessing',
        'joblib',
        'dask',
        'ray',
        'ray-actors',
        'parsl',
        'parsl-hook',
        'globus-compute',
        'mpi',
        'torch',
    ],
)
def test_the_example(name: str) -> None:
    command = [sys.executable]
    if name == 'mpi':
        command = under_mpi()
    ran = subprocess.run(
        [*command, 'examples/frameworks.py', name, '--megabytes', '1'],
        cwd=ROOT,
        # As in an activated environment: Parsl starts programs of its own by their names.
        env={
            **os.environ,
            'PATH': f'{Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}',
        },
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f'{name}: 8 tasks, 1 MB in and out of each:' in ran.stdout
    assert 'times as fast' in ran.stdout
