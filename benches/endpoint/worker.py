"""A client of one endpoint: does what it is told on standard input, a line of JSON each.

    python benches/endpoint/worker.py HOME ENDPOINT

Runs with ProxyStore 1.1 and with ours alike: names and signatures are the same. Times are in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import numpy as np
from proxystore.connectors.endpoint import EndpointConnector
from proxystore.connectors.endpoint import EndpointKey
from proxystore.store import Store


class Client:
    """Measures puts and gets of one endpoint."""

    def __init__(self, home: str, endpoint: str) -> None:
        self.connector = EndpointConnector([endpoint], proxystore_dir=home)
        self.store = Store('bench', self.connector, cache_size=0, register=False)

    def put(self, size: int, repeats: int = 1, as_array: bool = False) -> Any:
        """Put fresh objects; all but the last are evicted."""
        times = []
        for turn in range(repeats):
            array = np.random.default_rng(turn).integers(0, 256, size, dtype='u1')
            data = array if as_array else array.tobytes()
            put = self.store.put if as_array else self.connector.put
            began = time.perf_counter()
            key = put(data)
            times.append(time.perf_counter() - began)
            if turn + 1 < repeats:
                self.connector.evict(key)
        return {'times': times, 'key': list(key), 'sum': int(array.sum(dtype='u8'))}

    def get(self, key: list[str], repeats: int = 1, as_array: bool = False) -> Any:
        """Get an object; when it was there, and when all of it was read."""
        times, used = [], []
        name = EndpointKey(*key)
        for _ in range(repeats):
            began = time.perf_counter()
            data = self.store.get(name) if as_array else self.connector.get(name)
            times.append(time.perf_counter() - began)
            array = data if as_array else np.frombuffer(data, dtype='u1')
            # Eight bytes at a time: a sum of single bytes takes longer than fetching them.
            words = array[: len(array) // 8 * 8].view('u8')
            words.sum()
            used.append(time.perf_counter() - began)
        total = int(array.sum(dtype='u8'))
        return {'times': times, 'used': used, 'sum': total}

    def loop(self, key: list[str], seconds: float, as_array: bool = False) -> Any:
        """Get an object again and again."""
        name, count = EndpointKey(*key), 0
        get = self.store.get if as_array else self.connector.get
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            if get(name) is None:
                raise RuntimeError('the object is gone')
            count += 1
        return {'count': count}

    def sample(self, key: list[str], seconds: float, most: int) -> Any:
        """Get a small object now and then."""
        name, times = EndpointKey(*key), []
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends and len(times) < most:
            began = time.perf_counter()
            self.connector.get(name)
            times.append(time.perf_counter() - began)
            time.sleep(0.002)
        return {'times': times}

    def evict(self, key: list[str]) -> Any:
        """Remove an object."""
        self.connector.evict(EndpointKey(*key))
        return {}


def main() -> None:
    client = Client(*sys.argv[1:])
    print('{}', flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        do = request.pop('do')
        print(json.dumps(getattr(client, do)(**request)), flush=True)


if __name__ == '__main__':
    main()
