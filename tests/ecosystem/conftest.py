"""Packages that are written against ProxyStore 1.1, with this distribution in its place."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import proxystore
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.store import Store

from tests.conftest import RedisAddress


@pytest.fixture(autouse=True, scope='session')
def this_distribution() -> None:
    """Pip has not put the older one in our place for the sake of a package."""
    assert proxystore.__version__.startswith('2.')
    assert distribution('proxystore').version == proxystore.__version__
    from proxystore import _core

    assert Path(_core.__file__).parent == Path(proxystore.__file__).parent


@pytest.fixture(params=['file', 'redis'])
def store(
    request: pytest.FixtureRequest, store_dir: Path, redis_server: RedisAddress
) -> Iterator[Store[Any]]:
    """A store that other processes reach, registered, with metrics."""
    connector: Any
    if request.param == 'file':
        connector = FileConnector(str(store_dir))
    else:
        connector = RedisConnector(redis_server.host, redis_server.port)
    name = f'ecosystem-{uuid.uuid4().hex}'
    with Store(name, connector, metrics=True, register=True) as store:
        yield store
        store.close(clear=True)
