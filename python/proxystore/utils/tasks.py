"""Background tasks of asyncio whose failure does not go unseen."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable
from collections.abc import Coroutine
from typing import Any

__all__ = ['SafeTaskExitError', 'exit_on_error', 'spawn_guarded_background_task']

logger = logging.getLogger(__name__)


class SafeTaskExitError(Exception):
    """Raised in a guarded task to end it without ending the program."""


def exit_on_error(task: asyncio.Task[Any]) -> None:
    """End the program if a finished task failed; a callback of tasks.

    A task that was cancelled, or ended by `SafeTaskExitError`, has not
    failed.

    Args:
        task: The task, finished.

    Raises:
        SystemExit: With the code 1, if the task failed.
    """
    if task.cancelled():
        return
    error = task.exception()
    if error is None or isinstance(error, SafeTaskExitError):
        return
    logger.error(
        'The background task %r failed, and the program ends.',
        task.get_name(),
        exc_info=error,
    )
    sys.exit(1)


def spawn_guarded_background_task(
    coro: Callable[..., Coroutine[Any, Any, None]],
    *args: Any,
    **kwargs: Any,
) -> asyncio.Task[Any]:
    """Run a coroutine in the background and end the program if it fails.

    Keep what is returned: the event loop itself keeps only a weak reference.

    Args:
        coro: A coroutine function.
        args: Its positional arguments.
        kwargs: Its keyword arguments.

    Returns:
        The task.

    Example:
        >>> import asyncio
        >>> async def work(seconds):
        ...     await asyncio.sleep(seconds)
        >>> async def main():
        ...     await spawn_guarded_background_task(work, 0)
        >>> asyncio.run(main())
    """
    task = asyncio.create_task(coro(*args, **kwargs))
    task.add_done_callback(exit_on_error)
    return task
