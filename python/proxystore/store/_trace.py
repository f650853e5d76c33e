"""Traces: what the processes of a program did with their stores.

Each line of a trace file is one operation; the core writes them, see
`docs/metrics.md`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from typing import NamedTuple

VARIABLE = 'PROXYSTORE_TRACE'


class Process(NamedTuple):
    """One process of a traced program."""

    host: str
    pid: int
    program: str


class Operation(NamedTuple):
    """One operation that ended. Times are in nanoseconds, `start` since 1970."""

    process: Process
    thread: int
    store: str
    name: str
    start: int
    took: int
    nbytes: int | None
    hit: bool | None
    parts: dict[str, int]

    @property
    def end(self) -> int:
        """When it ended."""
        return self.start + self.took


class Trace(NamedTuple):
    """The operations of all processes, by their start."""

    operations: list[Operation]
    damaged: int
    """Lines that are no operation: cut off when their process was killed."""
    cut: int
    """Processes whose file is full: what they did later is not known."""


_FIELDS = frozenset({'op', 'store', 'thread', 'start', 'took', 'bytes', 'hit'})


def directory_of(trace: str | os.PathLike[str] | None) -> Path | None:
    """Return the directory of a trace: the one given, or else of this program."""
    chosen = trace if trace is not None else os.environ.get(VARIABLE)
    return Path(chosen) if chosen else None


def read_trace(directory: Path) -> Trace:
    """Read what all processes wrote.

    Args:
        directory: What `PROXYSTORE_TRACE` was set to.

    Raises:
        FileNotFoundError: If there is no trace in it.
    """
    files = sorted(directory.glob('*.jsonl'))
    if not files:
        raise FileNotFoundError(
            f'There is no trace in {str(directory)!r}: run the program with '
            f'{VARIABLE} set to this directory.'
        )
    operations: list[Operation] = []
    damaged = cut = 0
    for file in files:
        process = None
        with file.open('rb') as lines:
            for line in lines:
                try:
                    found = json.loads(line)
                    if 'op' in found and process is not None:
                        operations.append(_operation(process, found))
                    elif 'pid' in found:
                        process = Process(
                            str(found['host']), int(found['pid']), str(found['program'])
                        )
                    else:
                        cut += 'cut' in found
                        damaged += 'cut' not in found
                except (ValueError, TypeError, KeyError):
                    damaged += 1
    operations.sort(key=lambda operation: (operation.start, -operation.took))
    return Trace(operations, damaged, cut)


def _operation(process: Process, found: dict[str, Any]) -> Operation:
    return Operation(
        process,
        int(found['thread']),
        str(found['store']),
        str(found['op']),
        int(found['start']),
        int(found['took']),
        None if found.get('bytes') is None else int(found['bytes']),
        found.get('hit'),
        {name: int(took) for name, took in found.items() if name not in _FIELDS},
    )


def of_events(events: Iterable[tuple[Any, ...]]) -> Trace:
    """Make a trace of what the metrics of one store remember."""
    process = Process('this host', os.getpid(), 'this process')
    operations = [
        Operation(
            process,
            0,
            '',
            name,
            int((timestamp - took_ms / 1e3) * 1e9),
            int(took_ms * 1e6),
            size,
            hit,
            {part: int(part_ms * 1e6) for part, part_ms in parts},
        )
        for _, name, timestamp, took_ms, parts, size, hit in events
        if name != 'factory.call'
    ]
    operations.sort(key=lambda operation: (operation.start, -operation.took))
    return Trace(operations, 0, 0)


def write_chrome_trace(trace: Trace, path: str | os.PathLike[str]) -> None:
    """Write a trace in the format of Chrome's and Perfetto's viewers."""
    events: list[dict[str, Any]] = []
    seen: set[Process] = set()
    # Two hosts may have the same process id: the viewers know numbers only.
    numbers: dict[Process, int] = {}
    for operation in trace.operations:
        process = operation.process
        if process not in seen:
            seen.add(process)
            taken = process.pid in numbers.values()
            numbers[process] = len(numbers) + 10**7 if taken else process.pid
            title = f'{process.program} {process.pid} on {process.host}'
            events.append(
                {
                    'name': 'process_name',
                    'ph': 'M',
                    'pid': numbers[process],
                    'tid': 0,
                    'args': {'name': title},
                }
            )
        details: dict[str, Any] = {'store': operation.store}
        if operation.nbytes is not None:
            details['bytes'] = operation.nbytes
        if operation.hit is not None:
            details['cache'] = 'hit' if operation.hit else 'miss'
        for part, took in operation.parts.items():
            details[f'{part}_us'] = took / 1e3
        events.append(
            {
                'name': operation.name,
                'cat': 'proxystore',
                'ph': 'X',
                'ts': operation.start / 1e3,
                'dur': operation.took / 1e3,
                'pid': numbers[process],
                'tid': operation.thread,
                'args': details,
            }
        )
    with Path(path).open('w') as file:
        json.dump({'traceEvents': events, 'displayTimeUnit': 'ms'}, file)
