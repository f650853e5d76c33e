"""What the connectors of the core have in common on their Python side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import ClassVar
from typing import Generic
from typing import TypeVar

if TYPE_CHECKING:
    import sys
    from types import TracebackType

    from proxystore._core import NativeConnector
    from proxystore.serialize import BytesLike

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

KeyT = TypeVar('KeyT', bound=tuple[str])


class NativeBase(Generic[KeyT]):
    """Bytes in and out of a connector of the core, under typed keys.

    A store does not come through here: it hands the core the pieces of an
    object by reference. Subclasses say what their keys are and open
    `_native`.
    """

    _key_class: ClassVar[type[tuple[str]]]
    _wire_kind: ClassVar[str]
    """Stands for the class in pickled proxies."""
    _wire_names: ClassVar[tuple[str, ...]]
    """Names of the options whose values, in order, go into pickled proxies."""
    _native: NativeConnector

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _key(self, name: str) -> KeyT:
        key_class: Any = self._key_class
        key: KeyT = key_class(name)
        return key

    def _wire_options(self) -> tuple[Any, ...]:
        """Return the values of `config()` for pickled proxies."""
        config = self.config()
        return tuple(config[name] for name in self._wire_names)

    @classmethod
    def _from_wire(cls, options: tuple[Any, ...]) -> Self:
        """Make a connector from what `_wire_options` returned."""
        return cls.from_config(dict(zip(cls._wire_names, options)))  # noqa: B905

    def close(self, clear: bool | None = None) -> None:
        """Let go of what is open.

        Args:
            clear: Remove all objects of this connector first. The connector
                is not to be used afterwards.
        """
        self._native.close(bool(clear))

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal connector."""
        return {name: getattr(self, name) for name in self._wire_names}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a connector from what `config` returned."""
        return cls(**config)

    def put(self, obj: BytesLike) -> KeyT:
        """Store bytes under a fresh key.

        Args:
            obj: Bytes, a bytearray or a contiguous memoryview.

        Raises:
            ConnectorError: If they could not be stored; nothing is left then.
        """
        return self._key(self._native.put(obj))

    def put_batch(self, objs: Sequence[BytesLike]) -> list[KeyT]:
        """Store several objects under fresh keys, all or none.

        Args:
            objs: Bytes-like objects.

        Returns:
            Their keys, in order.
        """
        return [self._key(name) for name in self._native.put_batch(list(objs))]

    def new_key(self, obj: BytesLike | None = None) -> KeyT:
        """Make a key for an object that `set` brings later.

        Args:
            obj: Not used; a key does not depend on its object.
        """
        return self._key(self._native.new_key())

    def set(self, key: KeyT, obj: BytesLike) -> None:
        """Store bytes under a given key, replacing what was there.

        Args:
            key: A key of this connector.
            obj: Bytes-like.
        """
        self._native.set(key[0], obj)

    def get(self, key: KeyT) -> bytes | None:
        """Return the bytes of a key, or None if there are none.

        Args:
            key: A key of this connector.
        """
        return self._native.get(key[0])

    def get_batch(self, keys: Sequence[KeyT]) -> list[BytesLike | None]:
        """Return the bytes of several keys, in order.

        Args:
            keys: Keys of this connector.
        """
        return [*self._native.get_batch([key[0] for key in keys])]

    def exists(self, key: KeyT) -> bool:
        """Tell whether there are bytes of this key.

        Args:
            key: A key of this connector.
        """
        return self._native.exists(key[0])

    def evict(self, key: KeyT) -> None:
        """Remove the bytes of a key, if there are any.

        Args:
            key: A key of this connector.
        """
        self._native.evict(key[0])
