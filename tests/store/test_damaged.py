"""Stored bytes that are cut off, changed, newer, or not ours."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.exceptions import FrameError
from proxystore.exceptions import NewerFrameError
from proxystore.exceptions import SerializationError
from proxystore.serialize import serialize
from proxystore.store import Store


@pytest.mark.parametrize('keep', [0, 1, 10, 31, 32, 60, -1])
def test_truncated_frames_are_refused(store_dir: Path, keep: int) -> None:
    store = Store('torn', FileConnector(str(store_dir)))
    key = store.put(np.arange(1000))
    path = store_dir / key.filename
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FrameError, match='frame|bytes'):
        store.get(key)


def test_corrupted_frame_is_refused(store_dir: Path) -> None:
    store = Store('corrupt', FileConnector(str(store_dir)))
    key = store.put({'a': [1, 2, 3]})
    path = store_dir / key.filename
    data = bytearray(path.read_bytes())
    data[34] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(FrameError, match='checksum|corrupt'):
        store.get(key)


def test_frame_of_a_newer_version_is_named(store_dir: Path) -> None:
    store = Store('newer', FileConnector(str(store_dir)))
    key = store.put([1])
    path = store_dir / key.filename
    data = bytearray(path.read_bytes())
    data[4] = 99
    path.write_bytes(data)
    with pytest.raises(NewerFrameError, match='99.*upgrade'):
        store.get(key)


def test_objects_put_as_bytes_into_the_connector_are_read(store_dir: Path) -> None:
    connector = FileConnector(str(store_dir))
    store = Store('raw', connector)
    assert store.get(connector.put(serialize([1, 2]))) == [1, 2]
    assert store.get(connector.put(b'PK\n' + pickle.dumps({'v': 1}))) == {'v': 1}
    with pytest.raises(SerializationError):
        store.get(connector.put(b'nonsense'))
