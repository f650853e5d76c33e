"""ProxyStore 1.1 from the package index, in an environment of its own."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

VERSION = '1.1.0'
HERE = Path(__file__).resolve().parents[2] / '.build' / 'interop'

Older = Callable[..., bytes]


@pytest.fixture(scope='session')
def older_python() -> str:
    """An interpreter that imports ProxyStore 1.1; made at the first need."""
    home = HERE / f'{sys.implementation.cache_tag}-{VERSION}'
    home.parent.mkdir(parents=True, exist_ok=True)
    python, ready = home / 'bin' / 'python', home / 'ready'
    with home.with_suffix('.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs may be side by side
        if not ready.exists():
            make = [sys.executable, '-m', 'venv', '--clear', str(home)]
            install = [str(python), '-m', 'pip', 'install', '--quiet']
            packages = [f'proxystore[redis]=={VERSION}', 'numpy', 'pandas']
            subprocess.run(make, check=True)
            subprocess.run([*install, *packages], check=True)
            ready.touch()
    return str(python)


@pytest.fixture(scope='session')
def older(older_python: str) -> Older:
    """Run a program under ProxyStore 1.1; returns what it writes to `out`."""

    def run(program: str, *arguments: object) -> bytes:
        head = (
            'import pickle, sys, warnings\n'
            'warnings.simplefilter("ignore")\n'
            'import proxystore\n'
            f'assert proxystore.__version__ == {VERSION!r}\n'
            'out = sys.stdout.buffer\n'
            'arguments = sys.argv[1:]\n'
        )
        ran = subprocess.run(
            [older_python, '-c', head + program, *map(str, arguments)],
            capture_output=True,
            timeout=120,
            env={'PATH': os.environ['PATH'], 'HOME': os.environ.get('HOME', '/')},
        )
        assert ran.returncode == 0, ran.stderr.decode()
        return ran.stdout

    return run
