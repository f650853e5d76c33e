"""Every public module has examples, and every example in it is true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from pathlib import Path

import proxystore
import pytest

from tests.conftest import RedisAddress

WITHOUT_EXAMPLE: dict[str, str] = {}
"""Public modules that need none, each with the reason."""


def public_modules() -> list[str]:
    found = pkgutil.walk_packages(proxystore.__path__, 'proxystore.')
    # An alias of a package that is not installed.
    names = (module.name for module in found if module.name != 'proxystore.ex')
    return ['proxystore', *(name for name in names if '._' not in name)]


@pytest.mark.parametrize('name', public_modules())
def test_examples(
    name: str,
    redis_server: RedisAddress,
    nats_server: str,
    s3_server: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('MINIO_PASSWORD', 'anything')
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in doctest.DocTestFinder().find(module):
        for example in test.examples:
            example.source = example.source.replace('6379', str(redis_server.port))
            example.source = example.source.replace(
                'nats://127.0.0.1:4222', nats_server
            )
            example.source = example.source.replace('http://127.0.0.1:9000', s3_server)
        runner.run(test)
    assert runner.failures == 0
    if name not in WITHOUT_EXAMPLE:
        assert runner.tries > 0, f'{name} has no runnable example'
    else:
        assert runner.tries == 0, f'{name} has an example: take it off the list'
