"""Every file of `examples/` runs as its first lines say."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RedisAddress

ROOT = Path(__file__).parents[2]

WITH_LARGER_PACKAGES = {
    'custom_serialization_torch': ['--host', '{host}', '--port', '{port}'],
    'mapreduce_globus_compute': ['--local', '--redis', '{host}:{port}'],
    'mapreduce_parsl': ['--redis', '{host}:{port}'],
}
"""Examples for `make test-integrations`, and what they are called with."""

ALONE = sorted(
    path.stem
    for path in (ROOT / 'examples').glob('*.py')
    if path.stem not in {*WITH_LARGER_PACKAGES, 'frameworks'}  # tests/frameworks
)


def run(name: str, *arguments: str, **environment: str) -> str:
    """What an example prints; fails with its whole output when it fails."""
    scripts = str(Path(sys.executable).parent)  # as in an activated environment
    path = os.pathsep.join([scripts, os.environ['PATH']])
    result = subprocess.run(
        [sys.executable, f'examples/{name}.py', *arguments],
        cwd=ROOT,
        env={**os.environ, 'PATH': path, **environment},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.parametrize('name', [name for name in ALONE if name not in {'demo'}])
def test_example(name: str, redis_server: RedisAddress) -> None:
    assert run(name, REDIS_HOST=redis_server.host, REDIS_PORT=str(redis_server.port))


def test_demo_shows_each_object() -> None:
    output = run('demo', '--megabytes', '8', '--repeat', '2')
    for line in ('array', 'dict of 4 arrays', 'table'):
        assert f'\n{line} ' in output
    assert output.count(' x\n') == 3


@pytest.mark.integration
@pytest.mark.parametrize('name', WITH_LARGER_PACKAGES)
def test_example_with_larger_packages(name: str, redis_server: RedisAddress) -> None:
    arguments = [
        argument.format(host=redis_server.host, port=redis_server.port)
        for argument in WITH_LARGER_PACKAGES[name]
    ]
    assert run(name, *arguments)


@pytest.mark.integration
@pytest.mark.parametrize(
    ('name', 'arguments'),
    [('mapreduce_globus_compute', ['--local']), ('mapreduce_parsl', [])],
)
def test_map_reduce_without_a_server(name: str, arguments: list[str]) -> None:
    assert 'counted 4,000,000 samples' in run(name, *arguments)
