"""A stopwatch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sys
    from types import TracebackType

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['Timer']


class Timer:
    """Measures how long a block of code takes.

    It may be started again; it then measures anew.

    Example:
        >>> with Timer() as timer:
        ...     total = sum(range(1000))
        >>> timer.elapsed_ns > 0
        True
    """

    def __init__(self) -> None:
        self._start = 0
        self._end = 0
        self._running = False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def elapsed_ns(self) -> int:
        """Nanoseconds between start and stop; 0 if it never ran.

        Raises:
            RuntimeError: If it still runs.
        """
        if self._running:
            raise RuntimeError('The timer is still running: call stop() first.')
        return self._end - self._start

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds between start and stop.

        Raises:
            RuntimeError: If it still runs.
        """
        return self.elapsed_ns / 1e6

    @property
    def elapsed_s(self) -> float:
        """Seconds between start and stop.

        Raises:
            RuntimeError: If it still runs.
        """
        return self.elapsed_ns / 1e9

    def start(self) -> Self:
        """Begin to measure."""
        self._running = True
        self._start = time.perf_counter_ns()
        return self

    def stop(self) -> Self:
        """End the measurement."""
        self._end = time.perf_counter_ns()
        self._running = False
        return self
