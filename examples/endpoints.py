"""Two sites and a relay on this machine: an object put at one and used at the other.

Starts a relay and two endpoints that know nothing of each other but their
keys, stores an array at the left one and resolves its proxy with a store of
the right one. They meet at the relay and go on without it, which is shown by
stopping it.

    python examples/endpoints.py [megabytes]
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from proxystore import _command
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store import unregister_store

SITES = ('left', 'right')
Row = tuple[str, str, str]


def run(*arguments: str) -> str:
    """Run `proxystore-endpoint` and return what it says."""
    return subprocess.run(
        ['proxystore-endpoint', *arguments],
        executable=_command.find(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def start_relay(home: str) -> tuple[subprocess.Popen[str], str]:
    """Start a relay for everybody, and return it with its address."""
    logs = [f'--log-dir={home}']
    relay = subprocess.Popen(
        ['proxystore-relay', '--open', '--host=127.0.0.1', '--port=0', *logs],
        executable=_command.find(),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert relay.stdout is not None
    return relay, relay.stdout.readline().split()[-1]


def start(name: str, relay: str) -> None:
    """Start an endpoint, and wait until it has found the relay."""
    run(
        *('configure', name, '--host=none', '--listen=127.0.0.1:0'),
        *('--max-object-size=0', f'--relay-address={relay}'),
    )
    run('start', name, '--detach')
    for _ in range(600):
        if '(connected)' in run('status', name):
            return
        time.sleep(0.1)
    raise TimeoutError(run('status', name))


def path() -> str:
    """Return the way that the right endpoint has to the left one."""
    return run('peers', 'right').splitlines()[1].split()[2]


def milliseconds(since: float) -> str:
    """Return the time since then."""
    return f'{(time.perf_counter() - since) * 1000:.1f} ms'


def fetch(text: bytes, array: np.ndarray[Any, Any]) -> tuple[str, str]:
    """Resolve a proxy at the right site; how long it took, and by which way."""
    with Store('sites', EndpointConnector(['right']), cache_size=0, register=True):
        proxy = pickle.loads(text)
        began = time.perf_counter()
        resolve(proxy)
        took = milliseconds(began)
        assert np.array_equal(proxy, array)
    return took, path()


def use(megabytes: int, relay: subprocess.Popen[str]) -> None:
    """Put an array at the left site, and use it at the right one."""
    rows: list[Row] = []
    array = np.random.default_rng(0).random(megabytes * 125_000)
    with Store('sites', EndpointConnector(['left']), register=True) as left:
        began = time.perf_counter()
        proxy = left.proxy(array, populate_target=False)
        rows.append(('put at the left site', milliseconds(began), 'shared memory'))
        text = pickle.dumps(proxy)
        rows.append(('a proxy of it', f'{len(text)} bytes', ''))
        unregister_store('sites')
        rows.append(('fetched at the right site', *fetch(text, array)))
        # The relay has introduced them; a better way is there in a moment.
        for _ in range(100):
            if path() == 'direct-tls':
                break
            fetch(text, array)
            time.sleep(0.05)
        rows.append(('fetched again', *fetch(text, array)))
        relay.terminate()
        relay.wait()
        rows.append(('fetched without the relay', *fetch(text, array)))
    print(f'{megabytes} MB of numbers')
    for what, value, way in rows:
        print(f'  {what:28}{value:>12}  {way}'.rstrip())
    print(run('peers', 'right'), end='')


def main() -> None:
    """Start a relay and two endpoints, use them, stop them."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as home:
        os.environ['PROXYSTORE_HOME'] = str(Path(home).resolve())
        relay, address = start_relay(home)
        started = []
        try:
            for name in SITES:
                start(name, address)
                started.append(name)
            lines = [line.split() for line in run('list').splitlines()]
            keys = {line[0]: line[-1] for line in lines}
            run('peer', 'add', 'left', keys['right'], '--label=right')
            run('peer', 'add', 'right', keys['left'], '--label=left')
            use(megabytes, relay)
        finally:
            for name in started:
                run('stop', name)
            relay.terminate()
            relay.wait()


if __name__ == '__main__':
    main()
