"""A fetch that runs in a thread of its own."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from typing import Any


class Pending:
    """Runs a function in a thread; `result` waits for what it returns."""

    def __init__(self, fetch: Callable[[], Any]) -> None:
        self._fetch = fetch
        self._process = os.getpid()
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name='proxystore-resolve')
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._fetch()
        except BaseException as error:
            self._error = error

    def result(self) -> Any:
        """Return what the function returned, or raise what it raised."""
        if self._process != os.getpid():
            # A fork took place: the thread is in the other process.
            return self._fetch()
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._value
