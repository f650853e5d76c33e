"""Proxies of objects that travelled in the event."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from typing import Any
from typing import TypeVar

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.store.factory import StoreFactory

if TYPE_CHECKING:
    from proxystore.store.types import ConnectorKeyT

T = TypeVar('T')

_CODEC = 5
"""Place of the codec's number in a frame."""
_BYTES, _STR, _NDARRAY, _MESSAGE_PACK = range(1, 5)


class InlineFactory(StoreFactory[Any, T]):
    """Holds an object as bytes.

    It looks like the factory of an object that its store evicted when it was
    resolved: the store is known, and has nothing under the key.
    """

    _in_store = False

    def __new__(cls, frame: bytes, recipe: tuple[Any, ...]) -> InlineFactory[T]:
        """Make one that `__init__` completes."""
        return super().__new__(cls, (), recipe, True)

    def __init__(self, frame: bytes, recipe: tuple[Any, ...]) -> None:
        self._frame = frame
        self._key: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._frame, self._recipe)

    @property
    def key(self) -> ConnectorKeyT:
        """A key of the store, under which there is nothing."""
        if self._key is None:
            self._key = self.get_store().connector.new_key()
        return self._key  # type: ignore[no-any-return]

    def resolve(self) -> T:
        """Decode and return the object.

        Raises:
            UntrustedFrameError: If the store takes no such object.
        """
        name, _, _, settings = self._recipe
        settings = settings or {}
        # A store that is open here says what it takes; an event may be forged.
        store = _core._registry.get(name)
        demands = settings if store is None else store._sealing or {}
        if demands.get('encryption') or demands.get('signing'):
            from proxystore.exceptions import UntrustedFrameError

            raise UntrustedFrameError(
                'an object in an event that was refused: the store '
                f'{name!r} takes signed or encrypted objects only, which do '
                'not travel in events'
            )
        obj: T = _core.decode_frame(
            self._frame,
            settings.get('deserializer'),
            demands.get('pickle', True),
        )
        return obj

    def resolve_async(self) -> None:
        """Do nothing: the object is here."""


def inline_proxy(frame: bytes, recipe: tuple[Any, ...]) -> Proxy[Any]:
    """Return the proxy of an object that travelled in the event.

    It is resolved already, unless decoding may import packages: who only
    passes the proxy on need not have them.
    """
    factory = InlineFactory[Any](frame, recipe)
    proxy: Any = Proxy(factory)
    codec = frame[_CODEC] if len(frame) > _CODEC else 0
    if codec in (_BYTES, _STR, _MESSAGE_PACK) or (
        codec == _NDARRAY and 'numpy' in sys.modules
    ):
        try:
            proxy.__proxy_wrapped__ = factory.resolve()
        except Exception:
            return proxy  # type: ignore[no-any-return]  # its use tells
    return proxy  # type: ignore[no-any-return]
