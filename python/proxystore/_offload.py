"""Blocking calls beside an event loop, in a bounded number of threads."""

from __future__ import annotations

import asyncio
import contextvars
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from typing import TypeVar

T = TypeVar('T')

_THREADS = min(32, (os.cpu_count() or 1) + 4)
_executors: dict[int, ThreadPoolExecutor] = {}
"""By process id: threads do not survive a fork."""


def _executor() -> ThreadPoolExecutor:
    executor = _executors.get(os.getpid())
    if executor is None:
        # Our own, so that a program which fills the loop's default executor
        # with calls that wait for proxies does not wait for itself.
        made = ThreadPoolExecutor(_THREADS, thread_name_prefix='proxystore-async')
        executor = _executors.setdefault(os.getpid(), made)
    return executor


async def offload(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Run a blocking function in a thread and return what it returns."""
    loop = asyncio.get_running_loop()
    context = contextvars.copy_context()
    return await loop.run_in_executor(
        _executor(), lambda: context.run(function, *args, **kwargs)
    )
