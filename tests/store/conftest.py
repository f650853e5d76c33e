"""Stores over every kind of connector, the ones that users write included."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import NamedTuple

import pytest
from proxystore import _core
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.store import Store

from ..conftest import RedisAddress


class NoteKey(NamedTuple):
    """Key of the connector below: two fields, one of them a number."""

    shelf: int
    name: str


class NoteConnector:
    """A connector as a user writes it in Python."""

    places: dict[str, dict[NoteKey, bytes]] = {}

    def __init__(self, place: str) -> None:
        self.place = place
        self.objects = self.places.setdefault(place, {})

    def close(self, clear: bool = False) -> None:
        if clear:
            self.objects.clear()

    def config(self) -> dict[str, Any]:
        return {'place': self.place}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> NoteConnector:
        return cls(**config)

    def put(self, obj: bytes) -> NoteKey:
        assert type(obj) is bytes
        key = self.new_key()
        self.objects[key] = obj
        return key

    def put_batch(self, objs: Sequence[bytes]) -> list[NoteKey]:
        return [self.put(obj) for obj in objs]

    def new_key(self, obj: bytes | None = None) -> NoteKey:
        return NoteKey(7, uuid.uuid4().hex)

    def set(self, key: NoteKey, obj: bytes) -> None:
        self.objects[key] = obj

    def get(self, key: NoteKey) -> bytes | None:
        return self.objects.get(key)

    def get_batch(self, keys: Sequence[NoteKey]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def exists(self, key: NoteKey) -> bool:
        return key in self.objects

    def evict(self, key: NoteKey) -> None:
        self.objects.pop(key, None)


KINDS = ['local', 'dict', 'file', 'redis', 'python', 'default']


@pytest.fixture(params=KINDS)
def connector(request: pytest.FixtureRequest, store_dir: Path) -> Iterator[Any]:
    """A connector of each kind; None stands for the embedded default."""
    kind = request.param
    if kind == 'local':
        yield LocalConnector()
    elif kind == 'dict':
        yield LocalConnector({})
    elif kind == 'file':
        yield FileConnector(str(store_dir))
    elif kind == 'redis':
        address: RedisAddress = request.getfixturevalue('redis_server')
        yield RedisConnector(address.host, address.port)
    elif kind == 'python':
        yield NoteConnector(uuid.uuid4().hex)
    else:
        yield None


@pytest.fixture
def store(connector: Any) -> Iterator[Store[Any]]:
    """A registered store of each kind of connector."""
    with Store(f'store-{uuid.uuid4().hex}', connector, register=True) as store:
        yield store


@pytest.fixture
def local_store() -> Iterator[Store[LocalConnector]]:
    """A registered store in this process's memory."""
    with Store(f'store-{uuid.uuid4().hex}', LocalConnector(), register=True) as store:
        yield store


@pytest.fixture(autouse=True)
def nothing_stays_registered() -> Iterator[None]:
    """Every test unregisters what it registers."""
    before = dict(_core._registry)
    yield
    left = {name for name in _core._registry if name not in before}
    _core._registry.clear()
    _core._registry.update(before)
    assert not left, f'stores left registered: {left}'
