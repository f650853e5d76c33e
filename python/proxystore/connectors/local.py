"""Objects in this process's own memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple

from proxystore import _core
from proxystore.connectors._native import NativeBase

if TYPE_CHECKING:
    from proxystore.serialize import BytesLike

__all__ = ['LocalConnector', 'LocalKey']


class LocalKey(NamedTuple):
    """Key of an object in this process.

    Attributes:
        id: The object's name.
    """

    id: str


class LocalConnector(NativeBase[LocalKey]):
    """Keeps objects in this process: for tests, and threads of one process.

    Args:
        store_dict: Keep the objects in this dictionary, which several
            connectors may share, instead of the connector's own memory.
        include_data_in_config: Whether `config()` holds the objects too, so
            that a connector made from it elsewhere has copies of them.

    Example:
        >>> connector = LocalConnector()
        >>> connector.get(connector.put(b'hello'))
        b'hello'
    """

    _key_class = LocalKey
    _wire_kind = 'local'
    _wire_names = ('include_data_in_config',)

    def __init__(
        self,
        store_dict: dict[LocalKey, BytesLike] | None = None,
        *,
        include_data_in_config: bool = False,
    ) -> None:
        self._include_data = include_data_in_config
        self._dict = store_dict
        if store_dict is None and include_data_in_config:
            self._dict = {}
        self._native = _core.open_memory()

    def __repr__(self) -> str:
        return 'LocalConnector()'

    @property
    def _is_native(self) -> bool:
        # A dictionary of the user's is Python's to read and write.
        return self._dict is None

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make a connector like this."""
        config: dict[str, Any] = {'include_data_in_config': self._include_data}
        if self._include_data:
            config['store_dict'] = self._dict
        return config

    def close(self, clear: bool | None = None) -> None:
        """Let go of the objects; closing again does no harm.

        Args:
            clear: Whether the objects are removed. If not given, the
                connector's own memory is emptied, and a dictionary that was
                given stays as it is.
        """
        if self._dict is None:
            self._native.close(clear is None or clear)
        elif clear:
            self._dict.clear()

    def put(self, obj: BytesLike) -> LocalKey:
        """Store bytes under a fresh key."""
        if self._dict is None:
            return super().put(obj)
        key = self.new_key()
        self._dict[key] = obj
        return key

    def put_batch(self, objs: Sequence[BytesLike]) -> list[LocalKey]:
        """Store several objects under fresh keys, in order."""
        return [self.put(obj) for obj in objs]

    def set(self, key: LocalKey, obj: BytesLike) -> None:
        """Store bytes under a given key."""
        if self._dict is None:
            super().set(key, obj)
        else:
            self._dict[key] = obj

    def get(self, key: LocalKey) -> BytesLike | None:  # type: ignore[override]
        """Return the bytes of a key, or None."""
        if self._dict is None:
            return super().get(key)
        return self._dict.get(key)

    def get_batch(self, keys: Sequence[LocalKey]) -> list[BytesLike | None]:
        """Return the bytes of several keys, in order."""
        return [self.get(key) for key in keys]

    def exists(self, key: LocalKey) -> bool:
        """Tell whether there are bytes of this key."""
        if self._dict is None:
            return super().exists(key)
        return key in self._dict

    def evict(self, key: LocalKey) -> None:
        """Remove the bytes of a key, if there are any."""
        if self._dict is None:
            super().evict(key)
        else:
            self._dict.pop(key, None)
