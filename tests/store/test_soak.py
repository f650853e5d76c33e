"""Half a minute of `make soak`: many processes, all sizes, random evictions, nothing grows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import OwnRedis

pytestmark = pytest.mark.integration

SOAK = Path(__file__).parents[2] / 'benches' / 'soak' / 'run.py'


def soak(*options: str) -> None:
    # Half a minute is the start: buffers are still being collected for reuse.
    start = ['--minutes', '0.5', '--every', '1', '--tolerate', '200']
    command = [sys.executable, str(SOAK), *start]
    ended = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_files_in_shared_memory() -> None:
    soak()


def test_redis(tmp_path: Path) -> None:
    with OwnRedis(tmp_path) as server:
        soak('--url', f'redis://{server.host}:{server.port}', '--processes', '4')
