"""The counter, the stopwatch, guarded tasks, and the warning's class."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import warnings

import pytest
from proxystore.utils.counter import AtomicCounter
from proxystore.utils.tasks import SafeTaskExitError
from proxystore.utils.tasks import exit_on_error
from proxystore.utils.tasks import spawn_guarded_background_task
from proxystore.utils.timer import Timer
from proxystore.warnings import ExperimentalWarning


def test_counter_gives_every_value_once() -> None:
    counter = AtomicCounter()
    seen: list[int] = []

    def work() -> None:
        seen.extend(counter.increment() for _ in range(1000))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(4000))


@pytest.mark.parametrize('size', [0, 1, 3])
def test_counter_ends_at_its_size(size: int) -> None:
    counter = AtomicCounter(size)
    assert [counter.increment() for _ in range(size)] == list(range(size))
    with pytest.raises(ValueError, match=f'ends at {size}'):
        counter.increment()


def test_timer_measures_a_block() -> None:
    with Timer() as timer:
        time.sleep(0.01)
    assert timer.elapsed_ns >= 10_000_000
    assert timer.elapsed_ms == timer.elapsed_ns / 1e6
    assert timer.elapsed_s == timer.elapsed_ns / 1e9


def test_timer_by_hand() -> None:
    timer = Timer()
    assert timer.elapsed_ns == 0
    assert timer.start() is timer
    for name in ('elapsed_ns', 'elapsed_ms', 'elapsed_s'):
        with pytest.raises(RuntimeError, match='still running'):
            getattr(timer, name)
    assert timer.stop() is timer
    assert timer.elapsed_ns > 0


def test_a_task_that_ends_well_does_no_harm() -> None:
    done = []

    async def work(number: int, *, text: str) -> None:
        await asyncio.sleep(0)
        done.append((number, text))

    async def main() -> None:
        task = spawn_guarded_background_task(work, 1, text='x')
        assert isinstance(task, asyncio.Task)
        await task

    asyncio.run(main())
    assert done == [(1, 'x')]


def test_cancelled_and_safely_ended_tasks_do_no_harm() -> None:
    async def sleep() -> None:
        await asyncio.sleep(60)

    async def end() -> None:
        raise SafeTaskExitError

    async def main() -> None:
        cancelled = spawn_guarded_background_task(sleep)
        await asyncio.sleep(0)
        cancelled.cancel()
        ended = spawn_guarded_background_task(end)
        await asyncio.wait([cancelled, ended])
        exit_on_error(cancelled)
        exit_on_error(ended)
        assert isinstance(ended.exception(), SafeTaskExitError)

    asyncio.run(main())


def test_a_task_that_fails_ends_the_program() -> None:
    program = """
import asyncio
from proxystore.utils.tasks import spawn_guarded_background_task

async def fail():
    raise ValueError('on purpose')

async def main():
    task = spawn_guarded_background_task(fail)
    await asyncio.sleep(60)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, '-c', program], capture_output=True, text=True, timeout=50
    )
    assert ended.returncode == 1
    assert 'ValueError: on purpose' in ended.stderr
    assert 'background task' in ended.stderr


def test_experimental_warning_is_a_warning() -> None:
    with pytest.warns(ExperimentalWarning, match='may change'):
        warnings.warn('may change', ExperimentalWarning)
