"""The cache of a store: objects that were resolved lately."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from typing import Generic
from typing import TypeVar

from proxystore import _core

__all__ = ['KeyT', 'LRUCache', 'ValueT']

KeyT = TypeVar('KeyT')
ValueT = TypeVar('ValueT')


class LRUCache(_core.LRUCache, Generic[KeyT, ValueT]):
    """A mapping of bounded size; what was used longest ago goes first.

    Safe under threads.

    Args:
        maxsize: Most entries; 0 keeps none.
        max_bytes: Most bytes, where a store says how many its objects have;
            None for no limit.

    Raises:
        ValueError: If `maxsize` is negative.

    Example:
        >>> cache = LRUCache(2)
        >>> for number in (1, 2, 3):
        ...     cache.set(number, str(number))
        >>> cache.exists(1), cache.get(3)
        (False, '3')
        >>> cache.hits, cache.misses
        (1, 0)
    """

    if TYPE_CHECKING:

        def get(self, key: KeyT, default: ValueT | None = None) -> ValueT | None:
            """Return the value of a key, which becomes the youngest."""
            ...

        def set(self, key: KeyT, value: ValueT) -> None:
            """Add or replace a value."""
            ...

        def evict(self, key: KeyT) -> None:
            """Remove a key, if it is there."""
            ...

        def exists(self, key: KeyT) -> bool:
            """Tell whether a key is there."""
            ...


def machine_memory() -> int:
    """Return the memory of this machine in bytes."""
    return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
