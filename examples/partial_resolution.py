"""Partial resolution: a factory that fetches only the part that is asked for.

A large array is stored as blocks of rows. A proxy of some of its rows fetches
the blocks that these rows lie in, and no other.

    python examples/partial_resolution.py
"""

from __future__ import annotations

import pickle

import numpy as np
from proxystore.factory import Factory
from proxystore.proxy import Proxy
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store import Store


class RowsFactory(Factory[np.ndarray]):
    """Fetches the rows from `start` to `stop` of an array stored in blocks.

    Args:
        blocks: Proxies of the blocks, in order. Each is fetched when it is
            touched.
        height: Rows of every block but the last.
        start: The first row.
        stop: The row after the last.
    """

    def __init__(
        self, blocks: list[Proxy[np.ndarray]], height: int, start: int, stop: int
    ) -> None:
        self.blocks = blocks
        self.height = height
        self.start = start
        self.stop = stop

    def resolve(self) -> np.ndarray:
        """The rows, as one array."""
        first, last = self.start // self.height, (self.stop - 1) // self.height
        parts = self.blocks[first : last + 1]
        offset = first * self.height
        return np.concatenate(parts)[self.start - offset : self.stop - offset]

    def fetched(self) -> list[int]:
        """Which blocks were fetched."""
        return [
            number for number, block in enumerate(self.blocks) if is_resolved(block)
        ]


class StoredArray:
    """An array in a store, of which any rows can be had by proxy.

    Args:
        array: What to store.
        height: Rows of a block.
        store: Where to store it.
    """

    def __init__(self, array: np.ndarray, height: int, store: Store) -> None:
        parts = [array[row : row + height] for row in range(0, len(array), height)]
        self.blocks = store.proxy_batch(parts, populate_target=False)
        self.height = height
        self.length = len(array)

    def rows(self, start: int, stop: int) -> Proxy[np.ndarray]:
        """A proxy of the rows from `start` to `stop`."""
        if not 0 <= start < stop <= self.length:
            raise IndexError(
                f'rows {start} to {stop} of an array of {self.length} rows'
            )
        return Proxy(RowsFactory(self.blocks, self.height, start, stop))


def norm(vectors: np.ndarray) -> float:
    """Any function; it knows nothing of proxies or blocks."""
    return float(np.linalg.norm(vectors))


def main() -> None:
    with Store('vectors', register=True) as store:
        array = np.random.default_rng(seed=0).random((10_000, 128))
        stored = StoredArray(array, 1_000, store)

        message = pickle.dumps(stored.rows(2_500, 3_500))
        received = pickle.loads(message)

        assert norm(received) == norm(array[2_500:3_500])
        factory = get_factory(received)
        assert isinstance(factory, RowsFactory)
        fetched = factory.fetched()
        print(f'{len(message):,} bytes sent; of 10 blocks fetched: {fetched}')
        assert fetched == [2, 3]


if __name__ == '__main__':
    main()
