"""The older name of a store of files."""

from __future__ import annotations

from typing import Any

from proxystore.connectors.file import FileConnector
from proxystore.store.base import Store

__all__ = ['FileStore']


class FileStore(Store[FileConnector]):
    """A store whose objects are files of a directory.

    The same as `Store(name, FileConnector(store_dir))`, but that `close()`
    keeps the files unless it is told `clear=True`.

    Args:
        name: Name of the store.
        store_dir: The directory.
        cache_size: Most resolved objects that are kept for further use.
        kwargs: The other keyword arguments of `Store`.

    Example:
        >>> import tempfile
        >>> store = FileStore('example', store_dir=tempfile.mkdtemp())
        >>> store.get(store.set('hello'))
        'hello'
        >>> store.close(clear=True)
    """

    def __init__(
        self,
        name: str,
        *,
        store_dir: str,
        cache_size: int = 16,
        **kwargs: Any,
    ) -> None:
        connector = FileConnector(store_dir, clear=False)
        super().__init__(name, connector, cache_size=cache_size, **kwargs)
