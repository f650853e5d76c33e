"""Objects as files of a directory: local disk, shared memory, network."""

from __future__ import annotations

import os
from typing import NamedTuple

from proxystore import _core
from proxystore.connectors._native import NativeBase

__all__ = ['FileConnector', 'FileKey']


class FileKey(NamedTuple):
    """Key of an object in a directory.

    Attributes:
        filename: Name of the object's file.
    """

    filename: str


class FileConnector(NativeBase[FileKey]):
    """Keeps each object in a file of its own.

    Files become visible whole. The directory is made if need be, for this
    user alone (mode 0700). Every process that sees the directory sees the
    objects, so it works across the nodes of a shared file system.

    Args:
        store_dir: The directory. A relative path is taken from the current
            directory of this process, once.
        clear: Whether `close()` removes the objects and the directory.
        buffering: Taken for ProxyStore 1.x's sake and kept in the
            configuration; files are written in one call without a buffer.

    Raises:
        ConnectorPermissionError: If the directory may not be made or used.

    Example:
        >>> import tempfile
        >>> connector = FileConnector(tempfile.mkdtemp())
        >>> key = connector.put(b'hello')
        >>> connector.get(key)
        b'hello'
        >>> connector.close()
    """

    _key_class = FileKey
    _wire_kind = 'file'
    _wire_names = ('store_dir', 'clear', 'buffering')

    def __init__(
        self,
        store_dir: str | os.PathLike[str],
        *,
        clear: bool = True,
        buffering: int = -1,
    ) -> None:
        self.store_dir = os.path.abspath(store_dir)  # noqa: PTH100
        self.clear = clear
        self.buffering = buffering
        self._native = _core.open_file(self.store_dir)

    def __repr__(self) -> str:
        return f'FileConnector(directory={self.store_dir})'

    def close(self, clear: bool | None = None) -> None:
        """Let go of the directory; closing again does no harm.

        Args:
            clear: Whether to remove the objects and the directory; the
                constructor's `clear` if not given.
        """
        self._native.close(self.clear if clear is None else clear)
