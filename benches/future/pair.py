"""One producer and one consumer of futures, in the virtual environment that runs this file.

    python pair.py CONNECTOR PLACE ROUNDS SPREAD

Prints a line of JSON: the milliseconds of each round from just before `set_result` until the
consumer, which was waiting, has the result. It is set at a random moment of SPREAD seconds. The clock is the machine's monotonic one, which
processes share.
"""

from __future__ import annotations

import json
import pickle
import random
import subprocess
import sys
import threading
import time
from typing import Any

from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.connectors.redis import RedisConnector
from proxystore.proxy import resolve
from proxystore.store import Store


def connect(kind: str, place: str) -> Any:
    if kind == 'local':
        return LocalConnector()
    if kind == 'default':
        return None
    if kind == 'file':
        return FileConnector(place)
    host, port = place.rsplit(':', 1)
    return RedisConnector(host, int(port))


def consume() -> None:
    """Resolve what comes in, a line each; answer before and after."""
    for line in sys.stdin:
        proxy = pickle.loads(bytes.fromhex(line))
        print('waiting', flush=True)
        resolve(proxy)
        print(time.monotonic_ns(), flush=True)


class OtherProcess:
    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, 'consume'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, proxy: Any) -> None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(pickle.dumps(proxy).hex() + '\n')
        self.process.stdin.flush()
        assert self.process.stdout.readline() == 'waiting\n'

    def receive(self) -> int:
        assert self.process.stdout
        return int(self.process.stdout.readline())

    def stop(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(20)


class OtherThread:
    """Memory of one process has no other process."""

    def send(self, proxy: Any) -> None:
        self.resolved = 0
        # Unpickled, so that it is not resolved already.
        self.thread = threading.Thread(
            target=self.resolve, args=(pickle.loads(pickle.dumps(proxy)),)
        )
        self.thread.start()

    def resolve(self, proxy: Any) -> None:
        resolve(proxy)
        self.resolved = time.monotonic_ns()

    def receive(self) -> int:
        self.thread.join()
        return self.resolved

    def stop(self) -> None: ...


def main(kind: str, place: str, rounds: int, spread: float) -> None:
    store = Store(f'future-{kind}', connect(kind, place), register=True)
    other: Any = OtherThread() if kind == 'local' else OtherProcess()
    times = []
    chance = random.Random(1)
    for number in range(rounds + 1):
        future: Any = store.future()
        other.send(future.proxy())
        time.sleep(0.03 + chance.random() * spread)  # long enough to be waiting
        start = time.monotonic_ns()
        future.set_result('done')
        taken = (other.receive() - start) / 1e6
        if number:  # the first one opens the store on the other side
            times.append(taken)
    other.stop()
    store.close()
    print(json.dumps(times))


if __name__ == '__main__':
    if sys.argv[1] == 'consume':
        consume()
    else:
        main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
