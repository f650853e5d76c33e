"""What a new process spends until its first proxy is resolved, beyond the interpreter itself."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections import defaultdict
from pathlib import Path

ROUNDS = 15
PUT = """
import pickle, sys
from proxystore.connectors.file import FileConnector
from proxystore.store import Store
store = Store('fresh', FileConnector(sys.argv[1]), register=True)
print(pickle.dumps(store.proxy_from_key(store.put([1, 2, 3]))).hex())
"""
BARE = 'import pickle, sys; assert sys.stdin.buffer.read()'
RESOLVE = 'import pickle, sys; assert sum(pickle.load(sys.stdin.buffer)) == 6'


def seconds(python: str, program: str, message: bytes) -> float:
    start = time.perf_counter()
    subprocess.run([python, '-I', '-c', program], input=message, check=True)
    return time.perf_counter() - start


def measure(pythons: dict[str, str], folder: Path) -> dict[str, float]:
    """Median seconds by system; each interpreter's own start is taken off."""
    messages = {}
    for system, python in pythons.items():
        place = str(folder / system.replace(' ', '-'))
        command = [python, '-c', PUT, place]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
        messages[system] = bytes.fromhex(said.decode())
    taken: dict[str, list[float]] = defaultdict(list)
    for turn in range(ROUNDS + 1):
        for system, python in pythons.items():
            bare = seconds(python, BARE, messages[system])
            whole = seconds(python, RESOLVE, messages[system])
            if turn:  # the first round reads the files from disk
                taken[system].append(whole - bare)
    return {system: statistics.median(values) for system, values in taken.items()}
