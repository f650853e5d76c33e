from __future__ import annotations

import collections
import enum
import gc
import math
import os
import pickle
import sys
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from proxystore.exceptions import FrameError
from proxystore.serialize import deserialize
from proxystore.serialize import serialize

PICKLE, MESSAGEPACK = 0, 4


def codec(obj: Any) -> int:
    return serialize(obj)[5]


def round_trip(obj: Any) -> Any:
    return deserialize(serialize(obj))


def same(a: Any, b: Any) -> bool:
    """Equal, of equal types, all the way down; NaN equals NaN."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return math.copysign(1, a) == math.copysign(1, b) and (
            a == b or (math.isnan(a) and math.isnan(b))
        )
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return len(a) == len(b) and all(
            same(i, j) for i, j in zip(a.items(), b.items(), strict=True)
        )
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    return bool(a == b)


hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text()
    | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4)
    ),
    max_leaves=8,
)
trees = st.recursive(
    hashable
    | st.floats()
    | st.integers(-(2**80), 2**80)
    | st.integers(-(2**64), 2**64)
    | st.binary(max_size=300).map(bytearray),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(hashable, inner)
        | st.sets(hashable)
    ),
    max_leaves=40,
)


@given(trees)
@settings(max_examples=400, deadline=None)
def test_any_tree_arrives_as_pickle_brings_it(tree: Any) -> None:
    back = round_trip(tree)
    assert same(back, tree)
    assert same(back, pickle.loads(pickle.dumps(tree, 5)))


@pytest.mark.parametrize(
    'value',
    [
        *(sign * 2**bits + more for bits in (0, 7, 8, 15, 16, 31, 32, 63, 64, 65, 200)
          for sign in (1, -1) for more in (-1, 0, 1)),
        None, True, False, 0.0, -0.0, 5e-324, float('inf'), float('nan'), 1.5 - 0.0j,
        [], (), {}, set(), frozenset(), [()], ({},),
        ['x' * n for n in (0, 1, 2, 31, 32, 127, 128, 255, 256, 65_535, 65_536, 70_000)],
        [b'x' * n for n in (0, 1, 255, 256, 65_535, 65_536, 70_000)],
        [bytearray(n) for n in (0, 1, 255, 256, 65_536)],
        [list(range(n)) for n in (15, 16, 65_535, 65_536)],
        [tuple(range(n)) for n in (1, 25, 26, 64, 65, 300)],
        ('x' * 300, 1), ('ü' * 200,), (2**3000,), tuple([[]] * 0),
        {i: str(i) for i in range(70_000)},
        {(1, 'a'): {2}, frozenset([1]): [None], b'k': 'ü', 1.5: 1j, None: True},
        {'x': np.arange(5), 'y': np.arange(500.0), 'z': np.array(1, '>i2')},
        ['ü' * 100_000, b'y' * 100_000, bytearray(100_000)],
    ],
    ids=lambda value: f'{type(value).__name__}',
)  # fmt: skip
def test_edges(value: Any) -> None:
    assert codec(value) == MESSAGEPACK
    assert same(round_trip(value), value)


def test_arrays_in_trees_are_writable_and_aligned() -> None:
    arrays = [np.arange(n, dtype='f8').reshape(-1, 2) for n in (2, 62, 64, 1000)]
    frame = serialize({'arrays': [*arrays, np.zeros((3, 100), order='F')[:2]]})
    assert frame[5] == MESSAGEPACK
    for back, array in zip(deserialize(frame)['arrays'], arrays, strict=False):
        assert same(back, array)
        assert back.ctypes.data % 64 == 0
        back[:] = 0


class Colour(enum.IntEnum):
    RED = 1


class Name(str):
    pass


Point = collections.namedtuple('Point', 'x y')


@pytest.mark.parametrize(
    'value',
    [
        Colour.RED, Name('x'), Point(1, 2), collections.OrderedDict(a=1),
        collections.defaultdict(int, a=1), collections.Counter('aab'),
        '\ud800', ..., range(3), np.float64(1), len, int,
    ],
    ids=repr,
)  # fmt: skip
def test_other_types_go_to_pickle(value: Any) -> None:
    for obj in ([value], {'a': value}):
        assert codec(obj) == PICKLE
        back = round_trip(obj)
        assert back == obj
        assert type(next(iter(back.values() if type(back) is dict else back))) is type(
            value
        )


def test_aliases_stay_aliases() -> None:
    inner: list[int] = [1]
    first, second = round_trip([inner, inner])
    assert first is second
    back = round_trip({'a': {'b': inner}, 'c': (inner,)})
    assert back['a']['b'] is back['c'][0]
    data = bytearray(5)
    first, second = round_trip((data, data))
    assert first is second
    array = np.arange(5)
    first, second = round_trip([array, array])
    assert first is second


def test_cycles() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    back = round_trip(cycle)
    assert back[0] is back
    knot: dict[str, Any] = {}
    knot['self'] = (knot,)
    back = round_trip(knot)
    assert back['self'][0] is back


def test_constants_are_no_aliases() -> None:
    assert codec([(1, 2) for _ in range(3)]) == MESSAGEPACK
    assert codec([() for _ in range(3)]) == MESSAGEPACK
    assert codec(['word'] * 3) == MESSAGEPACK


def test_a_long_text_met_often_is_written_once() -> None:
    text = 'x' * 1000
    frame = serialize([text] * 1000)
    assert len(frame) < 10_000
    assert deserialize(frame) == [text] * 1000


def nest(depth: int) -> list[Any]:
    tree: list[Any] = []
    for _ in range(depth):
        tree = [tree]
    return tree


def test_deep_trees() -> None:
    assert codec(nest(200)) == MESSAGEPACK
    assert round_trip(nest(200)) == nest(200)
    assert codec(nest(400)) == PICKLE
    assert round_trip(nest(400)) == nest(400)
    tuples: Any = 1
    for _ in range(250):
        tuples = (tuples, 2**100)
    assert codec(tuples) == MESSAGEPACK
    assert round_trip(tuples) == tuples


def test_too_deep_for_everybody() -> None:
    from proxystore.serialize import SerializationError

    with pytest.raises(SerializationError, match='recursion'):
        serialize(nest(100_000))


def test_keys_of_many_dicts_are_shared() -> None:
    back = round_trip([{'a long key': i, 'other': i} for i in range(1000)])
    assert len({id(key) for row in back for key in row}) == 2


def test_no_references_are_lost_or_leaked() -> None:
    leaf = Name('leaf')
    for tree in (
        {'a': [1, (2.5, 'x' * 200)], 'b': {b'y' * 70_000: {1, 2}}},
        [[1, 2], leaf],
        [[1], '\ud800'],
    ):
        frame = serialize(tree)
        deserialize(frame)
        gc.collect()
        before = len(gc.get_objects())
        count = sys.getrefcount(leaf)
        for _ in range(20):
            serialize(tree)
            deserialize(frame)
        gc.collect()
        assert len(gc.get_objects()) <= before + 5
        assert sys.getrefcount(leaf) == count


def test_the_garbage_collector_stays_as_it_was() -> None:
    frame = serialize([{'a': [i]} for i in range(50_000)])
    pickled = serialize([Colour.RED, *({'a': [i]} for i in range(50_000))])
    for data in (frame, pickled):
        assert gc.isenabled()
        deserialize(data)
        assert gc.isenabled()
        gc.disable()
        try:
            deserialize(data)
            assert not gc.isenabled()
        finally:
            gc.enable()
    gc.freeze()
    frozen = gc.get_freeze_count()
    deserialize(pickled)
    assert gc.get_freeze_count() == frozen
    gc.unfreeze()
    with pytest.raises(FrameError):
        deserialize(frame[:-1])
    assert gc.isenabled()


LOADING, GO_ON = threading.Event(), threading.Event()


def _slow() -> str:
    LOADING.set()
    GO_ON.wait(30)
    return 'slow'


class Slow:
    def __reduce__(self) -> Any:
        return _slow, ()


@pytest.mark.filterwarnings('ignore:.*fork:DeprecationWarning')
def test_a_child_forked_while_the_collector_is_off_turns_it_on() -> None:
    loaded = []
    frame = serialize(Slow())
    thread = threading.Thread(target=lambda: loaded.append(deserialize(frame)))
    thread.start()
    try:
        assert LOADING.wait(30)
        assert not gc.isenabled()
        child = os.fork()
        if child == 0:
            enabled = gc.isenabled()
            deserialize(serialize([1]))
            os._exit(0 if enabled and gc.isenabled() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert deserialize(serialize([1])) == [1]
        assert not gc.isenabled()
    finally:
        GO_ON.set()
        thread.join()
    assert loaded == ['slow']
    assert gc.isenabled()


def test_a_container_that_is_changed_by_a_finalizer_while_it_is_put() -> None:
    """Long integers are written by calls, at which the collector may run."""

    class Vandal:
        def __init__(self, victim: list[Any]) -> None:
            self.itself, self.victim = self, victim

        def __del__(self) -> None:
            self.victim.clear()

    threshold = gc.get_threshold()
    try:
        for _ in range(50):
            victim: list[Any] = [(2**70 + i, f'{i}') for i in range(200)]
            Vandal(victim)
            gc.set_threshold(1)
            serialize(victim)
            gc.set_threshold(*threshold)
    finally:
        gc.set_threshold(*threshold)
