"""A store and a queue for each test of streams."""

from __future__ import annotations

import queue
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.store import Store


@pytest.fixture
def store() -> Iterator[Store[Any]]:
    with Store(f'stream-{uuid.uuid4().hex}', LocalConnector(), register=True) as store:
        yield store


@pytest.fixture
def line() -> queue.Queue[bytes]:
    return queue.Queue()
