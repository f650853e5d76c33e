"""A counter that threads may share."""

from __future__ import annotations

import threading

__all__ = ['AtomicCounter']


class AtomicCounter:
    """Counts up from zero; every value is given out once.

    Args:
        size: How many values there are, or None for no limit.

    Example:
        >>> counter = AtomicCounter()
        >>> counter.increment(), counter.increment()
        (0, 1)
    """

    def __init__(self, size: int | None = None) -> None:
        self._size = size
        self._value = 0
        self._lock = threading.Lock()

    def increment(self) -> int:
        """Return the value, and count it up by one.

        Raises:
            ValueError: If all `size` values were given out.
        """
        with self._lock:
            if self._size is not None and self._value >= self._size:
                raise ValueError(
                    f'This counter ends at {self._size}, and all of its values '
                    'were given out.'
                )
            value = self._value
            self._value += 1
            return value
