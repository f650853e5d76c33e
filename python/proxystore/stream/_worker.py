"""One thread for the calls of one consumer."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any
from typing import TypeVar

T = TypeVar('T')


class Worker:
    """Runs blocking functions in a thread, one at a time.

    The thread is a daemon: a program may end while a function waits for a
    message that never comes.
    """

    def __init__(self) -> None:
        self._calls: SimpleQueue[Any] = SimpleQueue()
        thread = threading.Thread(
            target=_serve, args=(self._calls,), name='proxystore-stream', daemon=True
        )
        thread.start()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Run a function, and return the future of what it returns."""
        future: Future[T] = Future()
        self._calls.put((function, future))
        return future

    def stop(self) -> None:
        """Let the thread end after what it runs."""
        self._calls.put(None)


def _serve(calls: SimpleQueue[Any]) -> None:
    while True:
        call = calls.get()
        if call is None:
            return
        function, future = call
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function())
            except BaseException as error:
                future.set_exception(error)
        del call, function, future
