"""Two sites on this machine: an object put at one and used at the other.

Starts two endpoints, which let each other in, stores an array at the left one
and resolves its proxy with a store of the right one.

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

import numpy as np
from proxystore import _command
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store import unregister_store


def run(*arguments: str) -> str:
    """Run `proxystore-endpoint` and return what it says."""
    return subprocess.run(
        ['proxystore-endpoint', *arguments],
        executable=_command.find(),
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


def milliseconds(since: float) -> str:
    """Return the time since then."""
    return f'{(time.perf_counter() - since) * 1000:.1f} ms'


def use(megabytes: int) -> None:
    """Put an array at the left site, and use it at the right one."""
    rows = []
    array = np.random.default_rng(0).random(megabytes * 125_000)
    with Store('sites', EndpointConnector(['left']), register=True) as left:
        began = time.perf_counter()
        proxy = left.proxy(array, populate_target=False)
        rows.append(('put at the left site', milliseconds(began)))
        text = pickle.dumps(proxy)
        rows.append(('a proxy of it', f'{len(text)} bytes'))
        unregister_store('sites')
        with Store('sites', EndpointConnector(['right']), register=True):
            there = pickle.loads(text)
            began = time.perf_counter()
            resolve(there)
            rows.append(('fetched at the right site', milliseconds(began)))
            assert np.array_equal(there, array)
    print(f'{megabytes} MB of numbers')
    for what, value in rows:
        print(f'  {what:28}{value:>12}')
    print(run('peers', 'right'), end='')


def main() -> None:
    """Start two endpoints, use them, stop them."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    with tempfile.TemporaryDirectory() as home:
        os.environ['PROXYSTORE_HOME'] = str(Path(home).resolve())
        sites = ('left', 'right')
        started = []
        try:
            for name in sites:
                run(
                    'configure',
                    name,
                    '--host=none',
                    '--listen=127.0.0.1:0',
                    '--max-object-size=0',
                )
                run('start', name, '--detach')
                started.append(name)
            lines = [line.split() for line in run('list').splitlines()]
            keys = {line[0]: line[-1] for line in lines}
            status = run('status', 'left').split()
            address = next(word for word in status if word.startswith('127.0.0.1:'))
            run('peer', 'add', 'left', keys['right'], '--label=right')
            run(
                'peer',
                'add',
                'right',
                keys['left'],
                '--label=left',
                f'--address={address.strip(",")}',
            )
            use(megabytes)
        finally:
            for name in started:
                run('stop', name)


if __name__ == '__main__':
    main()
