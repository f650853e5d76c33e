"""Filters: which objects of a stream are dropped, by their metadata.

A filter is called with the metadata of an object and returns whether to drop
it. One given to a producer keeps the object from being sent at all; one given
to a consumer skips it.
"""

from __future__ import annotations

import random
from typing import Any

__all__ = ['NullFilter', 'SamplingFilter']


class NullFilter:
    """Drops nothing.

    Example:
        >>> NullFilter()({'any': 'metadata'})
        False
    """

    def __call__(self, metadata: dict[str, Any]) -> bool:
        """Return False: the object stays in the stream.

        Args:
            metadata: Metadata of an object.
        """
        return False


class SamplingFilter:
    """Drops each object with a given probability.

    Args:
        p: Probability that an object is dropped, from 0 to 1.

    Raises:
        ValueError: If `p` is not from 0 to 1.

    Example:
        >>> SamplingFilter(1.0)({}), SamplingFilter(0.0)({})
        (True, False)
    """

    def __init__(self, p: float) -> None:
        if not 0 <= p <= 1:
            raise ValueError(
                f'p={p} is no probability: it must be from 0 (drop nothing) '
                'to 1 (drop everything)'
            )
        self._p = p

    def __call__(self, metadata: dict[str, Any]) -> bool:
        """Return whether the object is dropped.

        Args:
            metadata: Metadata of an object; not looked at.
        """
        return random.random() < self._p
