"""What a connector must have, for those who write their own.

A class that follows [`Connector`][proxystore.connectors.protocols.Connector]
works with every feature of a store. Each object reaches it as one `bytes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import Protocol
from typing import TypeVar
from typing import runtime_checkable

if TYPE_CHECKING:
    from proxystore.serialize import BytesLike

__all__ = ['Connector', 'DeferrableConnector', 'KeyT']

KeyT = TypeVar('KeyT', bound=Any)
"""A connector's keys: hashable, picklable tuples."""


@runtime_checkable
class Connector(Protocol[KeyT]):
    """Puts bytes somewhere under fresh keys, and gets them back.

    A connector may be used from several threads at once. What `get` returned
    stays valid after `evict`. A missing key is no error.

    Example:
        >>> from proxystore.connectors.local import LocalConnector
        >>> isinstance(LocalConnector(), Connector)
        True
    """

    def close(self) -> None:
        """Let go of what is open."""
        ...

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal connector."""
        ...

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Connector[Any]:
        """Make a connector from what `config` returned."""
        ...

    def evict(self, key: KeyT) -> None:
        """Remove the object of a key, if there is one."""
        ...

    def exists(self, key: KeyT) -> bool:
        """Tell whether there is an object of this key."""
        ...

    def get(self, key: KeyT) -> BytesLike | None:
        """Return the object of a key, or None."""
        ...

    def get_batch(self, keys: Sequence[KeyT]) -> Sequence[BytesLike | None]:
        """Return the objects of several keys, in order."""
        ...

    def put(self, obj: BytesLike) -> KeyT:
        """Store an object under a fresh key."""
        ...

    def put_batch(self, objs: Sequence[BytesLike]) -> list[KeyT]:
        """Store several objects under fresh keys, in order."""
        ...


@runtime_checkable
class DeferrableConnector(Connector[KeyT], Protocol[KeyT]):
    """A connector that can make a key first and take its object later.

    `Store.future` needs one.
    """

    def new_key(self, obj: bytes | None = None) -> KeyT:
        """Make a key for an object that `set` brings later."""
        ...

    def set(self, key: KeyT, obj: BytesLike) -> None:
        """Store an object under a given key."""
        ...
