"""Functions and classes of the main module, in another process."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap

import pytest

DEFINITIONS = """
import dataclasses, enum, sys
from proxystore.serialize import deserialize, serialize

SCALE = 10

@dataclasses.dataclass
class Point:
    x: int
    def scaled(self):
        return self.x * SCALE

class Colour(enum.Enum):
    RED = 1

def double(point):
    assert isinstance(point, Point)
    return point.scaled() * 2
"""

USE = """
import sys
from proxystore.serialize import deserialize
point, colour, double = deserialize(open(sys.argv[1], 'rb').read())
assert point.scaled() == 50
assert double(point) == 100
assert type(colour).RED is colour
"""


def run(path: pathlib.Path, source: str, *arguments: object) -> None:
    path.write_text(textwrap.dedent(source))
    subprocess.run([sys.executable, path, *map(str, arguments)], check=True)


@pytest.fixture
def frame(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / 'frame'
    main = DEFINITIONS + (
        'if __name__ == "__main__":\n'
        '    frame = serialize((Point(5), Colour.RED, double))\n'
        '    point, colour, again = deserialize(frame)\n'
        '    assert type(point) is Point and colour is Colour.RED and again is double\n'
        '    open(sys.argv[1], "wb").write(frame)\n'
    )
    run(tmp_path / 'producer.py', main, path)
    return path


def test_a_process_with_another_main_module(
    tmp_path: pathlib.Path, frame: pathlib.Path
) -> None:
    run(tmp_path / 'consumer.py', USE, frame)


def test_another_main_module_with_the_same_names(
    tmp_path: pathlib.Path, frame: pathlib.Path
) -> None:
    decoys = 'class Point: pass\nclass Colour: pass\ndef double(point): return None\n'
    run(tmp_path / 'consumer.py', decoys + USE, frame)


def test_a_main_module_defines_its_classes_once(
    tmp_path: pathlib.Path, frame: pathlib.Path
) -> None:
    twice = USE + (
        'again, _, _ = deserialize(open(sys.argv[1], "rb").read())\n'
        'assert type(again) is type(point)\n'
    )
    run(tmp_path / 'consumer.py', twice, frame)


def test_a_spawned_worker_has_the_same_class(tmp_path: pathlib.Path) -> None:
    main = DEFINITIONS + (
        'def work(frame):\n'
        '    point = deserialize(frame)\n'
        '    assert type(point) is Point\n'
        '    assert "cloudpickle" not in sys.modules\n'
        '    return serialize(Point(double(point)))\n'
        'if __name__ == "__main__":\n'
        '    import multiprocessing\n'
        '    with multiprocessing.get_context("spawn").Pool(1) as pool:\n'
        '        back = deserialize(pool.apply(work, (serialize(Point(5)),)))\n'
        '    assert type(back) is Point and back.x == 100\n'
    )
    run(tmp_path / 'producer.py', main)


def test_a_definition_that_drags_much_along_travels_by_name(
    tmp_path: pathlib.Path,
) -> None:
    main = DEFINITIONS + (
        'SCALE = b"x" * 5_000_000\n'
        'frame = serialize(Point(5))\n'
        'assert len(frame) < 1000, len(frame)\n'
        'assert deserialize(frame) == Point(5)\n'
        'import threading\n'
        'SCALE = threading.Lock()\n'
        'assert deserialize(serialize(Colour.RED)) is Colour.RED\n'
        'assert len(serialize(double)) < 1000\n'
    )
    run(tmp_path / 'producer.py', main)


def test_what_was_typed_in_or_piped_in(tmp_path: pathlib.Path) -> None:
    path = tmp_path / 'frame'
    produce = (
        'offset = 1\n'
        'class Thing:\n'
        '    def value(self): return offset\n'
        'from proxystore.serialize import serialize, deserialize\n'
        'assert type(deserialize(serialize(Thing()))) is Thing\n'
        'offset = 2\n'
        f'open({str(path)!r}, "wb").write(serialize((Thing(), lambda: offset)))\n'
    )
    subprocess.run([sys.executable, '-'], input=produce, text=True, check=True)
    consume = (
        'from proxystore.serialize import deserialize\n'
        f'thing, function = deserialize(open({str(path)!r}, "rb").read())\n'
        'assert thing.value() == 2 and function() == 2\n'
    )
    subprocess.run([sys.executable, '-c', consume], check=True)
