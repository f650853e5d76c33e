"""Sizes of endpoints.

Example:
    >>> from proxystore.endpoint.constants import MAX_OBJECT_SIZE_DEFAULT
    >>> MAX_OBJECT_SIZE_DEFAULT
    100000000
"""

from __future__ import annotations

__all__ = ['MAX_CHUNK_LENGTH', 'MAX_OBJECT_SIZE_DEFAULT']

MAX_CHUNK_LENGTH: int = 1_000_000
"""Bytes up to which an object is sent; larger ones lie in shared memory."""

MAX_OBJECT_SIZE_DEFAULT: int = 100_000_000
"""Largest object in bytes unless an endpoint is configured otherwise."""
