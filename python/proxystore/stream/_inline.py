"""Proxies of objects that travelled in the event."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import TypeVar

from proxystore.store.factory import StoreFactory

if TYPE_CHECKING:
    from proxystore.store.types import ConnectorKeyT

T = TypeVar('T')


class InlineFactory(StoreFactory[Any, T]):
    """Holds an object as bytes.

    It looks like the factory of an object that its store evicted when it was
    resolved: the store is known, and has nothing under the key. The core
    makes those of messages, without this class's `__new__`.
    """

    _in_store = False
    _key: Any = None

    def __new__(cls, frame: bytes, recipe: tuple[Any, ...]) -> InlineFactory[T]:
        """Make one whose object is a frame."""
        factory = super().__new__(cls, (), recipe, True)
        factory._set_frame(frame)
        return factory

    def __init__(self, frame: bytes, recipe: tuple[Any, ...]) -> None:
        """Do nothing: `__new__` did."""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._frame, self._recipe)

    @property
    def key(self) -> ConnectorKeyT:
        """A key of the store, under which there is nothing."""
        if self._key is None:
            self._key = self.get_store().connector.new_key()
        return self._key  # type: ignore[no-any-return]

    def resolve(self) -> T:
        """Decode and return the object."""
        obj: T = self._decode_inline()
        return obj

    def resolve_async(self) -> None:
        """Do nothing: the object is here."""
