"""Asynchronous resolving: fetch an object while computing something else.

The connector here is a user's own, in Python, and slow on purpose.

    python examples/async_resolve.py
"""

from __future__ import annotations

import pickle
import time
import uuid
from collections.abc import Sequence
from typing import Any
from typing import NamedTuple

from proxystore.proxy import Proxy
from proxystore.serialize import BytesLike
from proxystore.store import Store
from proxystore.store.utils import resolve_async

DELAY = 0.5
"""Seconds that a get takes."""


class DistantKey(NamedTuple):
    """Names an object of the distant connector."""

    object_id: str


class DistantConnector:
    """Any class with these methods is a connector."""

    def __init__(self) -> None:
        self.objects: dict[DistantKey, bytes] = {}

    def close(self) -> None:
        self.objects.clear()

    def config(self) -> dict[str, Any]:
        return {}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> DistantConnector:
        return cls(**config)

    def put(self, obj: BytesLike) -> DistantKey:
        key = DistantKey(uuid.uuid4().hex)
        self.objects[key] = bytes(obj)
        return key

    def put_batch(self, objs: Sequence[BytesLike]) -> list[DistantKey]:
        return [self.put(obj) for obj in objs]

    def get(self, key: DistantKey) -> bytes | None:
        time.sleep(DELAY)
        return self.objects.get(key)

    def get_batch(self, keys: Sequence[DistantKey]) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def exists(self, key: DistantKey) -> bool:
        return key in self.objects

    def evict(self, key: DistantKey) -> None:
        self.objects.pop(key, None)


def compute(steps: int) -> None:
    """Something else to do, for as long as a get takes."""
    for _ in range(steps):
        time.sleep(DELAY / steps)


def one_after_the_other(large_input: dict[str, int]) -> int:
    compute(10)
    return sum(large_input.values())  # the first use waits for the object


def overlapped(large_input: Proxy[dict[str, int]]) -> int:
    resolve_async(large_input)
    compute(10)
    return sum(large_input.values())  # it is here by now


def main() -> None:
    with Store('distant', DistantConnector(), cache_size=0, register=True) as store:
        p = store.proxy({'a': 1, 'b': 2}, populate_target=False)
        for function in (one_after_the_other, overlapped):
            start = time.perf_counter()
            assert function(pickle.loads(pickle.dumps(p))) == 3
            print(f'{function.__name__:20} {time.perf_counter() - start:.2f} s')


if __name__ == '__main__':
    main()
