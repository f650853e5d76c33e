"""Put, send a proxy, use it: the first steps.

Run it with

    python examples/quickstart.py
"""

from __future__ import annotations

import pickle

import numpy as np
from proxystore.factory import LambdaFactory
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve
from proxystore.store import Store


def largest(values: np.ndarray) -> int:
    """Any function; it knows nothing of proxies."""
    return int(np.max(values))


def proxies_alone() -> None:
    """A proxy calls its factory at the first use, then is its target."""
    p = Proxy(LambdaFactory(lambda: np.array([1, 2, 3])))
    assert not is_resolved(p)

    is_array = isinstance(p, np.ndarray)  # this is a use: the factory was called
    assert is_array
    assert is_resolved(p)
    assert np.sum(p) == 6
    assert np.array_equal(p + p, [2, 4, 6])

    target = extract(p)
    assert type(target) is np.ndarray


def proxies_of_a_store() -> None:
    """A store keeps the object; its proxy carries only the way to it."""
    with Store('quickstart', register=True) as store:
        values = np.arange(1_000_000)
        p = store.proxy(values, populate_target=False)

        message = pickle.dumps(p)  # this is what travels
        print(f'{values.nbytes:,} bytes travel as {len(message)}')

        received = pickle.loads(message)  # in another process, on another node
        assert not is_resolved(received)
        assert largest(received) == 999_999

        # Without proxies: keys.
        key = store.put({'some': 'object'})
        assert store.exists(key)
        assert store.get(key) == {'some': 'object'}
        store.evict(key)
        assert store.get(key) is None

        # Many at once.
        parts = store.proxy_batch([values[:10], values[10:]], populate_target=False)
        for part in parts:
            resolve(part)
        assert sum(len(part) for part in parts) == len(values)


if __name__ == '__main__':
    proxies_alone()
    proxies_of_a_store()
    print('done')
