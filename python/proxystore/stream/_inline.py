"""Proxies of objects that travelled in the event."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import TypeVar

from proxystore import _core
from proxystore.factory import Factory

if TYPE_CHECKING:
    from proxystore.store.types import DeserializerT

T = TypeVar('T')


class InlineFactory(Factory[T]):
    """Holds an object as bytes, and decodes them at the proxy's first use."""

    __slots__ = ('_deserializer', '_frame')

    def __init__(self, frame: bytes, deserializer: DeserializerT | None = None) -> None:
        self._frame = frame
        self._deserializer = deserializer

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._frame, self._deserializer)

    def resolve(self) -> T:
        """Decode and return the object."""
        obj: T = _core.decode_frame(self._frame, self._deserializer)
        return obj
