"""The directory of a file connector: where it is, and when it goes."""

from __future__ import annotations

from pathlib import Path

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.store import Store


def test_a_relative_directory_is_taken_from_where_it_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = tmp_path / 'here', tmp_path / 'there'
    here.mkdir()
    there.mkdir()
    monkeypatch.chdir(here)
    connector = FileConnector('objects')
    assert connector.store_dir == str(here / 'objects')
    monkeypatch.chdir(there)
    key = connector.put(b'object')
    assert connector.config()['store_dir'] == str(here / 'objects')
    again = FileConnector.from_config(connector.config())
    assert again.get(key) == b'object'
    assert not list(there.iterdir())
    again.close()


def test_closing_removes_the_directory_unless_told_not_to(tmp_path: Path) -> None:
    place = tmp_path / 'objects'
    kept = FileConnector(place, clear=False)
    key = kept.put(b'object')
    kept.close()
    assert place.exists()
    connector = FileConnector(place)
    assert connector.get(key) == b'object'
    connector.close(clear=False)
    assert place.exists()
    connector = FileConnector(place)
    for _ in range(2):  # closing again does no harm
        connector.close()
        assert not place.exists()


@pytest.mark.parametrize('clear', [None, True, False])
def test_a_store_passes_it_on(tmp_path: Path, clear: bool | None) -> None:
    place = tmp_path / 'objects'
    store = Store('closes', FileConnector(place))
    store.put([1])
    if clear is None:
        store.close()
    else:
        store.close(clear=clear)
    assert place.exists() == (clear is False)
