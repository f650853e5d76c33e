"""Objects in this machine's shared memory: the embedded default."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple

from proxystore import _core
from proxystore.connectors._native import NativeBase

if TYPE_CHECKING:
    import sys
    from os import PathLike

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['SharedMemoryConnector', 'SharedMemoryKey']


class SharedMemoryKey(NamedTuple):
    """Key of an object in shared memory.

    Attributes:
        name: The object's name.
    """

    name: str


class SharedMemoryConnector(NativeBase[SharedMemoryKey]):
    """Keeps objects in shared memory while a process of this program lives.

    No service is needed, and nothing stays behind: objects go when the
    process that made them, those that it started and those that opened the
    store by a proxy have all ended, however they ended. What does not fit
    goes to a directory on disk. Proxies work in every process of this user
    on this machine; elsewhere they raise `WrongHostError`.

    Args:
        dir: Where shared memory is; `$PROXYSTORE_SHM_DIR` or `/dev/shm` if
            not given.
        spill_dir: Where to put what does not fit, an empty string for
            nowhere; `$PROXYSTORE_SPILL_DIR` or a directory for temporary
            files if not given.
        limit: Most bytes of shared memory; `$PROXYSTORE_SHM_LIMIT` or half
            of what is free if not given.

    Raises:
        ConnectorPermissionError: If somebody else's files are in the way.

    Example:
        >>> with SharedMemoryConnector() as connector:
        ...     connector.get(connector.put(b'hello'))
        b'hello'
    """

    _key_class = SharedMemoryKey
    _wire_kind = 'shm'
    _wire_names = ('session', 'place', 'dir', 'spill_dir', 'origin')

    def __init__(
        self,
        *,
        dir: str | PathLike[str] | None = None,
        spill_dir: str | PathLike[str] | None = None,
        limit: int | None = None,
    ) -> None:
        if limit is not None and limit < 0:
            raise ValueError(f'limit={limit} cannot be negative')
        self._native, parts = _core.open_shared_memory(dir, spill_dir, limit, None)
        self._is_owner = True
        self._set_session(*parts)
        # What the workers of this program store belongs to it, and outlives
        # them: they inherit the name.
        os.environ.setdefault('PROXYSTORE_SHM_SESSION', self.session)

    def _set_session(
        self, session: str, place: str, dir: Any, spill_dir: Any, origin: str
    ) -> None:
        self.session = session
        self.place = place
        self.dir = os.fspath(dir)
        self.spill_dir = None if spill_dir is None else os.fspath(spill_dir)
        self.origin = origin

    def __repr__(self) -> str:
        return f'SharedMemoryConnector(session={self.session})'

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Open the place of a configuration, or a new one if it names none.

        Args:
            config: What `config` returned, or arguments of this class.

        Raises:
            WrongHostError: On another host, or in another container.
            ConnectorClosedError: If its program has ended.
        """
        if 'place' not in config:
            return cls(**config)
        connector = cls.__new__(cls)
        connector._native = _core.join_shared_memory(*config.values())
        connector._is_owner = False
        connector._set_session(*config.values())
        return connector

    def close(self, clear: bool | None = None) -> None:
        """Let go of the place; closing again does no harm.

        Args:
            clear: Whether to remove the objects of this store. If not given,
                the connector that made the place does, one that was opened
                by a proxy does not.
        """
        self._native.close(self._is_owner if clear is None else clear)
