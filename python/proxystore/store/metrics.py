"""Times, sizes and cache hits of a store's operations.

A store records them if it was made with `metrics=True`; they are read from
`store.metrics`. Recording appends one tuple to a list, and the numbers are
made of it when someone asks for them.

A program that is started with `PROXYSTORE_TRACE=<directory>` writes down what
each of its processes does; `report` makes a page of that, and `chrome_trace` a
file for the viewers of Chrome and Perfetto.

Example:
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> with Store('example', LocalConnector(), metrics=True) as store:
    ...     key = store.put('hello')
    ...     metrics = store.metrics.get_metrics(key)
    >>> sorted(metrics.times)
    ['store.put', 'store.put.connector', 'store.put.serialize']
"""

from __future__ import annotations

import dataclasses
import math
import os
import threading
import time
from collections import defaultdict
from collections import deque
from collections.abc import Sequence
from typing import Any
from typing import Union
from typing import cast

from proxystore.proxy import Proxy
from proxystore.store._trace import VARIABLE
from proxystore.store._trace import Trace
from proxystore.store._trace import directory_of
from proxystore.store._trace import of_events
from proxystore.store._trace import read_trace
from proxystore.store._trace import write_chrome_trace
from proxystore.store.utils import get_key

__all__ = [
    'KeyT',
    'Metrics',
    'ProxyT',
    'StoreMetrics',
    'TimeStats',
    'chrome_trace',
    'report',
]

_REMEMBERED = 20_000
"""Operations of a store that is not traced, for its report: some 5 MB."""

KeyT = tuple[Any, ...] | Sequence[tuple[Any, ...]]
"""A key, or the keys of a batch, which count as one."""

ProxyT = Union[Proxy[Any], Sequence[Proxy[Any]]]  # noqa: UP007
"""A proxy, or the proxies of a batch, which count as one."""


@dataclasses.dataclass
class TimeStats:
    """Statistics of the times that one operation took.

    Attributes:
        count: How many times were taken.
        avg_time_ms: Their mean, in milliseconds.
        min_time_ms: The shortest, in milliseconds.
        max_time_ms: The longest, in milliseconds.
        last_time_ms: The last one, in milliseconds.
        last_timestamp: When the last one was taken, in seconds since 1970.

    Example:
        >>> stats = TimeStats()
        >>> stats.add_time(1.0)
        >>> stats.add_time(3.0)
        >>> stats.count, stats.avg_time_ms
        (2, 2.0)
    """

    count: int = 0
    avg_time_ms: float = 0
    min_time_ms: float = math.inf
    max_time_ms: float = 0
    last_time_ms: float = 0
    last_timestamp: float = 0

    def __add__(self, other: TimeStats) -> TimeStats:
        """Join two; the `last_*` of the newer one are kept."""
        if not isinstance(other, TimeStats):
            return NotImplemented
        count = self.count + other.count
        total = self.avg_time_ms * self.count + other.avg_time_ms * other.count
        newer = self if self.last_timestamp > other.last_timestamp else other
        return TimeStats(
            count=count,
            avg_time_ms=total / count if count else 0,
            min_time_ms=min(self.min_time_ms, other.min_time_ms),
            max_time_ms=max(self.max_time_ms, other.max_time_ms),
            last_time_ms=newer.last_time_ms,
            last_timestamp=newer.last_timestamp,
        )

    def add_time(self, time_ms: float) -> None:
        """Add one time, taken now.

        Args:
            time_ms: The time in milliseconds.
        """
        self._add(time_ms, time.time())

    def _add(self, time_ms: float, timestamp: float) -> None:
        self.count += 1
        self.avg_time_ms += (time_ms - self.avg_time_ms) / self.count
        self.min_time_ms = min(self.min_time_ms, time_ms)
        self.max_time_ms = max(self.max_time_ms, time_ms)
        self.last_time_ms = time_ms
        self.last_timestamp = timestamp

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as a dictionary."""
        return dataclasses.asdict(self)


@dataclasses.dataclass
class Metrics:
    """What was recorded for one key, or one batch of keys.

    Attributes:
        attributes: Sizes and the like: the last value of each.
        counters: Cache hits and the like: the sum of each.
        times: Statistics of the times of each operation.
    """

    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)
    counters: dict[str, int] = dataclasses.field(default_factory=dict)
    times: dict[str, TimeStats] = dataclasses.field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries."""
        return dataclasses.asdict(self)


class StoreMetrics:
    """Metrics of one store, by key."""

    def __init__(self) -> None:
        # The store appends to this list, under the GIL and without a lock.
        self._events: list[tuple[Any, ...]] = []
        self._folded: defaultdict[Any, Metrics] = defaultdict(Metrics)
        self._folding = threading.RLock()
        self._last: deque[tuple[Any, ...]] = deque(maxlen=_REMEMBERED)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({len(self._metrics)} keys)'

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (dict(self._metrics),)

    @property
    def _metrics(self) -> dict[Any, Metrics]:
        """Metrics by key; the value of each is a dataclass."""
        self._fold()
        return self._folded

    def _fold(self) -> None:
        """Make numbers of what was recorded since."""
        with self._folding:
            count = len(self._events)
            events = self._events[:count]
            del self._events[:count]
            for event in events:
                self._fold_one(*event)
            self._last.extend(events)

    def _fold_one(
        self,
        key: Any,
        operation: str,
        timestamp: float,
        time_ms: float,
        parts: tuple[tuple[str, float], ...],
        size: int | None,
        hit: bool | None,
    ) -> None:
        metrics = self._folded[_hashable(key)]
        for part, part_ms in parts:
            name = f'{operation}.{part}'
            metrics.times.setdefault(name, TimeStats())._add(part_ms, timestamp)
        metrics.times.setdefault(operation, TimeStats())._add(time_ms, timestamp)
        if size is not None:
            plural = 's' if operation.endswith('_batch') else ''
            metrics.attributes[f'{operation}.object_size{plural}'] = size
        if hit is not None:
            name = f'{operation}.cache_{"hits" if hit else "misses"}'
            metrics.counters[name] = metrics.counters.get(name, 0) + 1

    def add_attribute(self, name: str, key: KeyT, value: Any) -> None:
        """Set an attribute of a key, replacing an earlier value.

        Args:
            name: Name of the attribute.
            key: The key, or the keys of a batch.
            value: The value.
        """
        with self._folding:
            self._folded[_hashable(key)].attributes[name] = value

    def add_counter(self, name: str, key: KeyT, value: int) -> None:
        """Add to a counter of a key.

        Args:
            name: Name of the counter.
            key: The key, or the keys of a batch.
            value: What is added.
        """
        with self._folding:
            counters = self._folded[_hashable(key)].counters
            counters[name] = counters.get(name, 0) + value

    def add_time(self, name: str, key: KeyT, time_ms: float) -> None:
        """Add a time of an operation on a key, taken now.

        Args:
            name: Name of the operation.
            key: The key, or the keys of a batch.
            time_ms: The time in milliseconds.
        """
        with self._folding:
            times = self._folded[_hashable(key)].times
            times.setdefault(name, TimeStats()).add_time(time_ms)

    def aggregate_times(self) -> dict[str, TimeStats]:
        """Return the times of each operation, over all keys.

        Example:
            >>> metrics = StoreMetrics()
            >>> metrics.add_time('work', ('a',), 1)
            >>> metrics.add_time('work', ('b',), 3)
            >>> metrics.aggregate_times()['work'].avg_time_ms
            2.0
        """
        with self._folding:
            total: dict[str, TimeStats] = {}
            for metrics in self._metrics.values():
                for name, stats in metrics.times.items():
                    total[name] = total.get(name, TimeStats()) + stats
            return total

    def report(
        self,
        path: str | os.PathLike[str],
        trace: str | os.PathLike[str] | None = None,
    ) -> None:
        """Write a page with a timeline and histograms; see `report`.

        Args:
            path: Path of the page.
            trace: Directory of a trace. If not given: the one of this
                program, or, if it is not traced, the last 20,000 operations
                of this store in this process.
        """
        _write_report(path, trace, self)

    def get_metrics(self, key_or_proxy: KeyT | ProxyT) -> Metrics | None:
        """Return the metrics of a key, a proxy, or a batch of either.

        Args:
            key_or_proxy: What `put`, `put_batch`, `proxy` or `proxy_batch`
                returned. A proxy is not resolved.

        Returns:
            The metrics, or None if nothing was recorded for it.
        """
        return self._metrics.get(_hashable(_keys_of(key_or_proxy)))


def report(
    path: str | os.PathLike[str], trace: str | os.PathLike[str] | None = None
) -> None:
    """Write a page about what the processes of a program did with their stores.

    It is one file that loads nothing from elsewhere: a timeline of all
    processes and threads, and histograms of puts, resolves, bytes and cache
    hits.

    Args:
        path: Path of the page.
        trace: The directory that `PROXYSTORE_TRACE` named when the program
            ran; the value that it has now, if not given.

    Raises:
        FileNotFoundError: If there is no trace.
        ValueError: If no directory is given and the variable is not set.

    Example:
        >>> import pathlib, subprocess, sys, tempfile
        >>> folder = pathlib.Path(tempfile.mkdtemp())
        >>> program = (
        ...     'from proxystore.store import Store; '
        ...     'print(sum(Store("example", register=True).proxy([1, 2, 3])))'
        ... )
        >>> environment = {**os.environ, 'PROXYSTORE_TRACE': str(folder / 'trace')}
        >>> done = subprocess.run([sys.executable, '-c', program], env=environment)
        >>> report(folder / 'report.html', trace=folder / 'trace')
    """
    _write_report(path, trace, None)


def chrome_trace(
    path: str | os.PathLike[str], trace: str | os.PathLike[str] | None = None
) -> None:
    """Write a trace in Chrome's format, for `chrome://tracing` and Perfetto.

    Args:
        path: Path of the JSON file.
        trace: As for `report`.

    Raises:
        FileNotFoundError: If there is no trace.
        ValueError: If no directory is given and the variable is not set.
    """
    write_chrome_trace(_trace_of(trace), path)


def _write_report(
    path: str | os.PathLike[str],
    trace: str | os.PathLike[str] | None,
    metrics: StoreMetrics | None,
) -> None:
    from proxystore.store._report import write_report

    directory = directory_of(trace)
    if directory is None and metrics is not None:
        metrics._fold()
        found = of_events(metrics._last)
        note = (
            f'The last {_REMEMBERED:,} operations of one store in one process; '
            f'{VARIABLE}=<directory> shows all processes.'
        )
    else:
        found, note = _trace_of(trace), f'Trace: {directory}.'
    write_report(found, path, note)


def _trace_of(trace: str | os.PathLike[str] | None) -> Trace:
    directory = directory_of(trace)
    if directory is None:
        raise ValueError(
            f'Which trace? Give its directory as trace=, or set {VARIABLE}.'
        )
    return read_trace(directory)


def _keys_of(key_or_proxy: Any) -> Any:
    # A proxy of a list is an instance of list: only its type tells.
    if issubclass(type(key_or_proxy), Proxy):
        return get_key(key_or_proxy)
    if not isinstance(key_or_proxy, Sequence) or isinstance(key_or_proxy, str):
        return key_or_proxy
    if key_or_proxy and all(issubclass(type(each), Proxy) for each in key_or_proxy):
        return tuple(get_key(cast('Proxy[Any]', each)) for each in key_or_proxy)
    return key_or_proxy


def _hashable(key: Any) -> Any:
    return tuple(key) if isinstance(key, list) else key


def _restore(metrics: dict[Any, Metrics]) -> StoreMetrics:
    restored = StoreMetrics()
    restored._folded.update(metrics)
    return restored
