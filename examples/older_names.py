"""The names that programs older than ProxyStore 1.0 use; they work unchanged.

Needs a Redis server:

    REDIS_PORT=6379 python examples/older_names.py
"""

from __future__ import annotations

import io
import os
import pickle
import tempfile

import numpy as np
import proxystore as ps
from proxystore.store.file import FileStore
from proxystore.store.local import LocalStore
from proxystore.store.redis import RedisStore

REDIS_HOST = os.environ.get('REDIS_HOST', '127.0.0.1')
REDIS_PORT = int(os.environ.get('REDIS_PORT', '6379'))


def resolve_object() -> np.ndarray:
    return np.array([1, 2, 3])


def serialize_array(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def deserialize_array(data: bytes) -> np.ndarray:
    array: np.ndarray = np.load(io.BytesIO(data))
    return array


def main() -> None:
    p = ps.proxy.Proxy(ps.factory.LambdaFactory(resolve_object))
    assert np.sum(p) == 6

    # Stores by name of their kind, known to the whole program.
    x = np.array([1, 2, 3])
    store = ps.store.init_store(
        'redis', name='redis', hostname=REDIS_HOST, port=REDIS_PORT
    )
    p = store.proxy(x)
    assert np.array_equal(pickle.loads(pickle.dumps(p)), x)
    assert ps.store.get_store('redis') is store
    assert isinstance(store, RedisStore)

    # `set` is the older name of `put`.
    key = store.set(x, serializer=serialize_array)
    stored: np.ndarray | None = store.get(key, deserializer=deserialize_array)
    assert stored is not None and np.array_equal(stored, x)
    store.evict(key)
    store.close()

    # Stores by their class.
    with tempfile.TemporaryDirectory() as folder:
        store = FileStore('mystore', store_dir=f'{folder}/store', cache_size=16)
        stored = store.get(store.set(x))
        assert stored is not None and np.array_equal(stored, x)
        store.close()
    store = LocalStore('local')
    stored = store.get(store.set(x))
    assert stored is not None and np.array_equal(stored, x)
    store.close()
    print('done')


if __name__ == '__main__':
    main()
