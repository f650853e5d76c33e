"""Memory of decoded objects, which lies in huge pages while large trees are made."""

from __future__ import annotations

import pickle
import subprocess
import sys
from typing import Any

import pytest
from proxystore.serialize import deserialize
from proxystore.serialize import serialize


def tree(n: int = 20_000) -> dict[str, Any]:
    return {f'k{i}': {'id': i, 'x': i * 0.5, 'tags': ['a', str(i)]} for i in range(n)}


class Holder:
    def __init__(self, tree: Any) -> None:
        self.tree = tree


PRELUDE = """
import gc, os, sys, threading
from proxystore.serialize import deserialize, serialize
from tests.codec.test_memory import Holder, tree
def resident():
    with open('/proc/self/statm') as file:
        return int(file.read().split()[1]) * 4096
"""


def run(code: str) -> None:
    subprocess.run([sys.executable, '-c', PRELUDE + code], check=True, timeout=120)


@pytest.mark.parametrize('kind', ['tree', 'pickle'])
def test_it_is_given_back(kind: str) -> None:
    run(
        f'obj = tree() if {kind!r} == "tree" else Holder([*tree(), range(1)])\n'
        """
frame = serialize(obj)
deserialize(frame)
before = resident()
for _ in range(30):
    back = deserialize(frame)
del back
gc.collect()
assert resident() - before < 24 << 20, (before, resident())
kept = [deserialize(frame) for _ in range(20)]
del kept[::2]  # holes everywhere
other = [str(i) * 3 for i in range(300_000)]
del kept, other
gc.collect()
assert resident() - before < 48 << 20, (before, resident())
"""
    )


def test_many_threads_and_forks() -> None:
    run(
        """
expected = tree()
frame = serialize(expected)
def work():
    for _ in range(8):
        assert deserialize(frame) == expected
        [object() for _ in range(50_000)]
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(4):
    child = os.fork()
    if child == 0:
        back = deserialize(frame)
        ok = back == expected
        del back
        gc.collect()
        os._exit(0 if ok and gc.isenabled() else 1)
    assert os.waitpid(child, 0)[1] == 0
for thread in threads:
    thread.join()
"""
    )


def test_the_collection_that_was_put_off_does_not_come_later() -> None:
    """The user's next objects set off no walk over all that was decoded."""
    run(
        """
import time
generations = []
frame = serialize(tree())
gc.collect()
gc.callbacks.append(lambda phase, info: generations.append((phase, gc.get_count())))
back = deserialize(frame)
made = [[] for _ in range(600)]
assert not generations, generations
assert gc.isenabled()
"""
    )


def test_what_a_program_has_frozen_stays_so() -> None:
    run(
        """
mine = [[] for _ in range(1000)]
gc.freeze()
count = gc.get_freeze_count()
frame = serialize(tree())
back = deserialize(frame)
assert gc.get_freeze_count() <= count
assert gc.get_freeze_count() > count - 100
assert gc.isenabled()
"""
    )


def test_a_collector_that_is_off_stays_off() -> None:
    run(
        """
frame = serialize(tree())
gc.disable()
deserialize(frame)
assert not gc.isenabled()
gc.enable()
threads = [threading.Thread(target=deserialize, args=(frame,)) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert gc.isenabled()
"""
    )


def test_what_was_decoded_can_be_collected() -> None:
    """Moved to the oldest generation, cycles through it are still found."""
    run(
        """
import weakref
class Node: pass
frame = serialize(tree())
back = deserialize(frame)
node = Node()
back['node'], node.back = node, back
gone = weakref.ref(node)
del back, node
gc.collect()
assert gone() is None
"""
    )


def test_trees_of_elements_that_many_hold() -> None:
    """An element held elsewhere too is told from one that is met twice."""
    parts = [[i] for i in range(1000)]
    held = {'a': parts, 'b': tuple(parts[:0])}
    frame = serialize(held)
    assert frame[5] == 4, 'MessagePack'
    assert deserialize(frame) == held
    twice = {'a': parts[0], 'b': {'c': parts[0]}}
    back = deserialize(serialize(twice))
    assert back['a'] is back['b']['c'], 'pickled, since it was met twice'
    assert pickle.loads(pickle.dumps(held)) == held
