"""Importing the package, and resolving a proxy, loads little."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from proxystore.store.file import FileStore

HEAVY = {
    'asyncio',
    'cloudpickle',
    'concurrent.futures',
    'dataclasses',
    'logging',
    'multiprocessing',
    'numpy',
    'pandas',
    'polars',
    'pyarrow',
    'pydantic',
    'redis',
    'torch',
}


def loaded_by(code: str, stdin: bytes = b'') -> set[str]:
    """What of `HEAVY` a fresh interpreter has loaded after running some code."""
    code = f'{code}\nimport sys; print(*sys.modules)'
    result = subprocess.run(
        [sys.executable, '-I', '-c', code],
        input=stdin,
        stdout=subprocess.PIPE,
        check=True,
    )
    return HEAVY & set(result.stdout.decode().splitlines()[-1].split())


@pytest.mark.parametrize(
    'module',
    ['proxystore', 'proxystore.proxy', 'proxystore.store', 'proxystore.store.utils'],
)
def test_import(module: str) -> None:
    assert loaded_by(f'import {module}') == loaded_by('') == set()


def test_making_a_proxy(store_dir: Path) -> None:
    code = f"""
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
with Store('imports', FileConnector({str(store_dir)!r}), register=True) as store:
    assert sum(store.proxy([1, 2, 3])) == 6
"""
    assert loaded_by(code) == set()


def test_resolving_in_a_fresh_process(store_dir: Path) -> None:
    with FileStore('imports', store_dir=str(store_dir)) as store:
        message = pickle.dumps(store.proxy([1, 2, 3], populate_target=False))
        code = 'import pickle, sys; assert sum(pickle.load(sys.stdin.buffer)) == 6'
        assert loaded_by(code, message) == set()
