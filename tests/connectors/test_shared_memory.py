"""The embedded default, between real processes."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.shared_memory import SharedMemoryConnector
from proxystore.connectors.shared_memory import SharedMemoryKey
from proxystore.exceptions import ConnectorClosedError
from proxystore.exceptions import ConnectorFullError
from proxystore.exceptions import WrongHostError
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store import get_store
from proxystore.store import unregister_store


def python(program: str, **variables: str) -> subprocess.Popen[str]:
    """A new interpreter, as a worker would be started."""
    return subprocess.Popen(
        [sys.executable, '-c', program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def finish(child: subprocess.Popen[str]) -> None:
    child.communicate(timeout=60)
    assert child.returncode == 0


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.communicate(timeout=60)


def use(proxy: Any) -> tuple[bool, float, Any]:
    """Runs in a worker: what arrives, a sum, and a proxy of a result."""
    arrived = is_resolved(proxy)
    total = float(np.sum(proxy))
    store = get_store(proxy)
    assert store is not None
    return arrived, total, store.proxy(np.asarray(proxy) * 2, populate_target=False)


def test_proxies_between_spawned_processes() -> None:
    context = multiprocessing.get_context('spawn')
    with Store('spawned', register=True) as store, context.Pool(2) as pool:
        proxy = store.proxy(np.arange(1_000_000.0))
        arrived, total, result = pool.apply(use, (proxy,))
        assert not arrived
        assert total == np.arange(1_000_000.0).sum()
        pool.terminate()
        pool.join()
        # The result outlives the worker that made it.
        assert not is_resolved(result)
        assert result.sum() == 2 * total
        key = store.put(1)
        assert type(key) is SharedMemoryKey


def test_pickled_proxy_is_small() -> None:
    with Store('small') as store:
        assert len(pickle.dumps(store.proxy(np.arange(10)))) <= 400


def test_what_a_worker_puts_into_a_store_of_its_own_outlives_it() -> None:
    with Store('root') as store:
        store.put(1)
        child = python(
            """
import pickle
from proxystore.store import Store
store = Store('own')
print(pickle.dumps(store.proxy([1, 2, 3])).hex())
"""
        )
        proxy = pickle.loads(bytes.fromhex(line(child)))
        finish(child)
        assert proxy == [1, 2, 3]
        unregister_store('own')


def test_objects_go_with_the_last_process_of_their_program(tmp_path: Path) -> None:
    program = """
import pickle, sys
from proxystore.store import Store
store = Store('ended')
print(pickle.dumps(store.proxy([1, 2, 3])).hex(), flush=True)
sys.stdin.readline()
"""
    folder = str(tmp_path)
    child = python(program, PROXYSTORE_SHM_DIR=folder, PROXYSTORE_SHM_SESSION='')
    message = line(child)
    proxy = pickle.loads(bytes.fromhex(message))
    assert proxy == [1, 2, 3]  # while the program lives
    unregister_store('ended')
    kill(child)
    # The proxy's own store still holds the session in this process; a new one would be told.
    late = python(
        f"""
import pickle
from proxystore.exceptions import ConnectorClosedError
from proxystore.proxy import ProxyResolveError, resolve
proxy = pickle.loads(bytes.fromhex({message!r}))
try:
    resolve(proxy)
except ProxyResolveError as error:
    print(type(error.cause).__name__)
else:
    print('resolved')
""",
        PROXYSTORE_SHM_SESSION='',
    )
    answer = line(late)
    finish(late)
    assert answer in ('resolved', 'ConnectorClosedError')


def test_kill_of_the_only_holder_leaves_nothing(tmp_path: Path) -> None:
    program = """
import sys
import numpy as np
from proxystore.store import Store
store = Store('killed')
for _ in range(5):
    store.put(np.ones(500_000))
print('ready', flush=True)
sys.stdin.readline()
"""
    variables = {'PROXYSTORE_SHM_DIR': str(tmp_path), 'PROXYSTORE_SHM_SESSION': ''}
    child = python(program, **variables)
    assert line(child) == 'ready'

    def stored() -> int:
        return sum(
            path.stat().st_size for path in tmp_path.rglob('*') if path.is_file()
        )

    assert stored() > 5 * 4_000_000
    kill(child)
    assert stored() > 5 * 4_000_000, 'nobody has swept yet'
    finish(
        python('from proxystore.store import Store; Store("next").close()', **variables)
    )
    assert stored() < 100_000


def test_forked_child_keeps_the_session(tmp_path: Path) -> None:
    program = """
import os, pickle, sys
from proxystore.store import Store
store = Store('forking')
proxy = pickle.dumps(store.proxy([1, 2, 3]))
reader, writer = os.pipe()
if os.fork() == 0:
    os.read(reader, 1)  # until the parent has ended
    os.close(writer)
    store_again = pickle.loads(proxy)
    assert store_again == [1, 2, 3]
    print('child has it', flush=True)
    os._exit(0)
os._exit(0)
"""
    child = python(
        program.replace(
            'os.read(reader, 1)  # until the parent has ended\n    os.close(writer)',
            'os.close(writer); os.read(reader, 1)',
        ),
        PROXYSTORE_SHM_DIR=str(tmp_path),
        PROXYSTORE_SHM_SESSION='',
    )
    assert line(child) == 'child has it'
    finish(child)


def test_close_of_a_joined_store_keeps_the_objects() -> None:
    with Store('owner') as store:
        key = store.put([1])
        joined = Store.from_config(store.config())
        assert joined.get(key) == [1]
        joined.close()
        store.cache.clear()
        assert store.get(key) == [1]


def test_another_host_is_named() -> None:
    with Store('here') as store:
        config = store.config()
        options = config.connector.options
        host, _, rest = options['origin'].partition(':')
        boot, _, tail = rest.partition(':')
        options['origin'] = f'faraway:{"0" * len(boot)}:{tail}'
        with pytest.raises(WrongHostError, match=r'faraway.*(redis|file)'):
            Store.from_config(config)
        assert host


def test_a_proxy_in_another_container() -> None:
    """A real one, as far as shared memory goes: a mount and a host name of its own."""
    program = """
import pickle, sys
from proxystore.exceptions import WrongHostError
from proxystore.proxy import ProxyResolveError
proxy = pickle.load(sys.stdin.buffer)
try:
    proxy.sum()
except ProxyResolveError as error:
    assert isinstance(error.cause, WrongHostError), repr(error.cause)
    print(error.cause)
"""
    script = 'mount -t tmpfs tmpfs /dev/shm && hostname pod-7 && exec "$0" -c "$1"'
    unshare = ['unshare', '--mount', '--uts']
    if os.geteuid() != 0:
        unshare.append('--map-root-user')
    with Store('contained', register=True) as store:
        proxy = store.proxy(np.arange(100_000), populate_target=False)
        result = subprocess.run(
            [*unshare, 'sh', '-c', script, sys.executable, program],
            input=pickle.dumps(proxy),
            stdout=subprocess.PIPE,
            check=True,
            timeout=60,
        )
    said = result.stdout.decode()
    for word in (
        'another container',
        os.uname().nodename,
        'pod-7',
        'redis',
        'file',
        'endpoint',
    ):
        assert word in said, said


def test_full_shared_memory_spills(tmp_path: Path) -> None:
    memory, disk = tmp_path / 'memory', tmp_path / 'disk'
    memory.mkdir()
    disk.mkdir()
    program = f"""
import numpy as np
from proxystore.store import Store
from proxystore.connectors.shared_memory import SharedMemoryConnector
store = Store('spilling', SharedMemoryConnector(
    dir={str(memory)!r}, spill_dir={str(disk)!r}, limit=3_000_000))
keys = [store.put(np.full(125_000, n)) for n in range(10)]
assert all(store.get(key)[0] == n for n, key in enumerate(keys))
import pathlib
on_disk = sum(p.stat().st_size for p in pathlib.Path({str(disk)!r}).rglob('*') if p.is_file())
assert on_disk >= 6_000_000, on_disk
for key in keys:
    store.evict(key)
left = [p for p in pathlib.Path({str(disk)!r}).rglob('*') if p.is_file() and p.stat().st_size > 100_000]
assert not left, left
"""
    finish(python(program, PROXYSTORE_SHM_SESSION=''))


def test_full_without_a_place_to_spill_to(tmp_path: Path) -> None:
    with Store(
        'tight', SharedMemoryConnector(dir=tmp_path, spill_dir='', limit=1_000_000)
    ) as store:
        small = store.put(b'x' * 1000)
        with pytest.raises(ConnectorFullError):
            store.put(b'x' * 2_000_000)
        assert store.get(small) == b'x' * 1000


def test_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match='limit=-1'):
        SharedMemoryConnector(limit=-1)


def test_closed_connector_says_so() -> None:
    connector = SharedMemoryConnector()
    key = connector.put(b'x')
    connector.close()
    connector.close()
    with pytest.raises(ConnectorClosedError):
        connector.put(b'y')
    assert connector.get(key) is None


def test_proxy_whose_object_is_gone_says_so() -> None:
    with Store('gone', register=True) as store:
        proxy = pickle.loads(pickle.dumps(store.proxy([1])))
    with pytest.raises(ProxyResolveError):
        resolve(proxy)
    unregister_store('gone')
