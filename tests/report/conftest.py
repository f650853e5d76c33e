"""A program that is traced: several processes and threads, and one that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import os, signal, sys, threading
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
from proxystore.store import Store

def begin(barrier):
    global meet
    meet = barrier.wait

def work(small, shared):
    global meet
    if meet is not None:  # each worker takes one task before any takes two
        meet(60)
        meet = None
    return len(small) + len(shared)

def in_a_thread(store):
    key = store.put(b'x' * 50_000)
    store.get(key)
    store.get(key)
    store.evict(key)

if __name__ == '__main__':
    store = Store('<results> & "more"', register=True, populate_target=False)
    shared = store.proxy(b'x' * 3_000_000)
    context = multiprocessing.get_context(sys.argv[1])
    barrier = context.Barrier(2)
    with ProcessPoolExecutor(
        2, mp_context=context, initializer=begin, initargs=(barrier,)
    ) as pool:
        futures = [
            pool.submit(work, store.proxy(b'x' * 10**(i % 6), evict=True), shared)
            for i in range(30)
        ]
        print(sum(future.result() for future in futures))
    thread = threading.Thread(target=in_a_thread, args=(store,))
    thread.start()
    thread.join()
    if os.fork() == 0:
        store.put('the last words')
        os.kill(os.getpid(), signal.SIGKILL)
    os.wait()
"""


def run_traced(folder: Path, *arguments: str, program: str = PROGRAM) -> Path:
    """Run a program with a trace, and return the directory of it."""
    script = folder / 'traced_program.py'
    script.write_text(program)
    trace = folder / 'trace'
    ran = subprocess.run(
        [sys.executable, str(script), *arguments],
        env={**os.environ, 'PROXYSTORE_TRACE': str(trace)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    return trace


@pytest.fixture(scope='session')
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a trace."""
    return run_traced(tmp_path_factory.mktemp('traced'), 'spawn')
