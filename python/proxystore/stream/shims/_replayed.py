"""What the subscribers of brokers that keep their messages have in common."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self


class ReplayedSubscriber:
    """Reads a kept stream; in a group, one message is unfinished at a time.

    A subclass asks its broker: `_read`, `_finish`.

    Attributes:
        last_id: Id of the last message, to `start` from another time.
    """

    last_id: str

    def __init__(
        self, topic: str, start: str, group: str | None, timeout: float | None
    ) -> None:
        self.last_id = start
        self._topic = topic
        self._group = group
        self._timeout = timeout
        # What one request brought: ids and messages, and what finishes them.
        self._waiting: list[tuple[str, bytes, Any]] = []
        self._unfinished: Any = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return self.next_message()

    def next_message(self) -> bytes:
        """Wait for a message and return it; the one before is finished.

        Raises:
            TimeoutError: If there is none within `timeout`.
        """
        self._finish_last()
        if not self._waiting:
            self._wait()
        self.last_id, message, unfinished = self._waiting.pop(0)
        if self._group is not None:
            self._unfinished = unfinished
            self._begun(unfinished)
        return message

    def _wait(self) -> None:
        deadline = None if self._timeout is None else time.monotonic() + self._timeout
        while not self._waiting:
            left = None
            if deadline is not None:
                left = max(deadline - time.monotonic(), 0.001)
            self._waiting = self._read(left)
            if self._waiting:
                return
            if deadline is not None and time.monotonic() >= deadline:
                raise TimeoutError(
                    f'no message in the stream {self._topic!r} within {self._timeout} s'
                )

    def _finish_last(self) -> None:
        if self._unfinished is not None:
            self._finish(self._unfinished)
            self._unfinished = None

    def _read(self, left: float | None) -> list[tuple[str, bytes, Any]]:
        """Ask for messages; wait for no longer than `left` seconds."""
        raise NotImplementedError

    def _begun(self, unfinished: Any) -> None:
        """Take note of a message that somebody works on now."""

    def _finish(self, unfinished: Any) -> None:
        """Tell the broker that a message need not be delivered again."""
        raise NotImplementedError
