"""The small functions: sizes, chunks, paths of objects, where this process runs."""

from __future__ import annotations

import collections
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from proxystore import utils
from proxystore.utils.data import bytes_to_readable
from proxystore.utils.data import chunk_bytes
from proxystore.utils.data import readable_to_bytes
from proxystore.utils.environment import home_dir
from proxystore.utils.environment import hostname
from proxystore.utils.imports import get_object_path
from proxystore.utils.imports import import_from_path


@pytest.mark.parametrize(
    ('size', 'precision', 'text'),
    [
        (0, 3, '0 B'),
        (1, 3, '1 B'),
        (999, 3, '999 B'),
        (1000, 3, '1 KB'),
        (1234, 3, '1.234 KB'),
        (1234, 1, '1.2 KB'),
        (1234, 0, '1 KB'),
        (5 * 10**6, 3, '5 MB'),
        (7 * 10**9, 3, '7 GB'),
        (12_345 * 10**12, 3, '12345 TB'),
    ],
)
def test_sizes_for_people(size: int, precision: int, text: str) -> None:
    assert bytes_to_readable(size, precision) == text
    assert utils.bytes_to_readable is bytes_to_readable


@pytest.mark.parametrize(
    ('text', 'size'),
    [
        ('0', 0),
        ('12 B', 12),
        ('1kb', 1000),
        (' 1.5 MB ', 1_500_000),
        ('.5 GB', 500_000_000),
        ('2TB', 2 * 10**12),
        ('1 KiB', 1024),
        ('2mib', 2 << 20),
        ('1GiB', 1 << 30),
        ('1 TIB', 1 << 40),
    ],
)
def test_sizes_of_people(text: str, size: int) -> None:
    assert readable_to_bytes(text) == size
    assert utils.readable_to_bytes is readable_to_bytes


@pytest.mark.parametrize('text', ['', 'KB', '1 XB', '-1 KB', '1.2.3 MB', '1 K B'])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match='no size'):
        readable_to_bytes(text)


def test_a_negative_size() -> None:
    with pytest.raises(ValueError, match='-1'):
        bytes_to_readable(-1)


def test_chunks() -> None:
    assert list(utils.chunk_bytes(b'abcde', 2)) == [b'ab', b'cd', b'e']
    assert list(chunk_bytes(b'abcd', 2)) == [b'ab', b'cd']
    assert list(chunk_bytes(b'', 2)) == []
    with pytest.raises(ValueError, match='0'):
        list(chunk_bytes(b'a', 0))


class Outer:
    class Inner: ...


def test_paths_of_objects() -> None:
    for obj in (collections.OrderedDict, Outer, Outer.Inner, bytes_to_readable):
        assert import_from_path(get_object_path(obj)) is obj
    assert utils.get_object_path is get_object_path
    assert utils.import_from_path is import_from_path


@pytest.mark.parametrize(
    ('path', 'error'),
    [
        ('nodots', ImportError),
        ('', ImportError),
        ('collections.', ImportError),
        ('no_such_module_here.Class', ModuleNotFoundError),
        ('collections.NoSuchClass', AttributeError),
    ],
)
def test_paths_of_nothing(path: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        import_from_path(path)


def test_the_error_inside_a_module_is_not_hidden(tmp_path: Path) -> None:
    (tmp_path / 'half.py').write_text('import nowhere_at_all\n')
    program = (
        'from proxystore.utils.imports import import_from_path\n'
        'try: import_from_path("half.Class")\n'
        'except ModuleNotFoundError as error: print(error.name)\n'
    )
    ran = subprocess.run(
        [sys.executable, '-c', program],
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.stdout == 'nowhere_at_all\n', ran.stderr


def test_where_this_process_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert hostname() == utils.hostname() == socket.gethostname()
    monkeypatch.setenv('PROXYSTORE_HOME', '~/somewhere')
    assert utils.home_dir() == home_dir() == str(Path.home() / 'somewhere')
    monkeypatch.delenv('PROXYSTORE_HOME')
    monkeypatch.setenv('XDG_DATA_HOME', '/data')
    assert home_dir() == '/data/proxystore'
    monkeypatch.delenv('XDG_DATA_HOME')
    assert home_dir() == str(Path.home() / '.local/share/proxystore')
