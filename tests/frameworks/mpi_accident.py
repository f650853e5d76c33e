"""A program for `mpiexec -n 3 python -m mpi4py.futures`: nobody resolves a proxy on its way."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mpi4py.futures import MPIPoolExecutor
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved


class RecordingFactory:
    """Writes down who called it."""

    def __init__(self, record: Path) -> None:
        self.record = record

    def __call__(self) -> range:
        import traceback

        self.record.write_text(''.join(traceback.format_stack()))
        return range(1, 4)


def kept(first: Any, second: Any, third: Any) -> Any:
    """Whether nobody resolved what came, and it again."""
    both = (first, second[0], third)
    unresolved = all(type(each) is Proxy and not is_resolved(each) for each in both)
    return unresolved, first, [first]


def double(values: Any) -> list[int]:
    return [2 * value for value in values]


def main(record: Path) -> None:
    proxy: Any = Proxy(
        RecordingFactory(record), cache_defaults=True, target=range(1, 4)
    )
    del proxy.__proxy_wrapped__
    with MPIPoolExecutor() as pool:
        future = pool.submit(kept, proxy, [proxy], third=proxy)
        assert repr(future)
        unresolved, back, (again,) = future.result()
        assert unresolved
        assert type(back) is type(again) is Proxy
        assert not is_resolved(back)
        assert not is_resolved(again)
        assert not record.exists(), record.read_text()
        print('by nobody,', end=' ')
        # And the program would see it.
        assert pool.submit(double, proxy).result() == [2, 4, 6]
        assert record.exists()
        print('and then by the task that uses it', flush=True)


if __name__ == '__main__':
    main(Path(sys.argv[1]))
