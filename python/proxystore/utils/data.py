"""Sizes in words, and bytes in chunks."""

from __future__ import annotations

import re
from collections.abc import Generator

__all__ = ['bytes_to_readable', 'chunk_bytes', 'readable_to_bytes']

_DECIMAL = {'B': 1, 'KB': 10**3, 'MB': 10**6, 'GB': 10**9, 'TB': 10**12}
_BINARY = {'KIB': 2**10, 'MIB': 2**20, 'GIB': 2**30, 'TIB': 2**40}


def bytes_to_readable(size: int, precision: int = 3) -> str:
    """Return a number of bytes as people read it.

    Args:
        size: Bytes.
        precision: Most digits after the point.

    Raises:
        ValueError: If `size` is negative.

    Example:
        >>> bytes_to_readable(123_456_789, 2)
        '123.46 MB'
    """
    if size < 0:
        raise ValueError(f'a size of {size} bytes cannot be negative')
    unit = 'B'
    for name, factor in _DECIMAL.items():
        if size >= factor:
            unit = name
    value = round(size / _DECIMAL[unit], precision)
    return f'{int(value) if value == int(value) else value} {unit}'


def readable_to_bytes(size: str) -> int:
    """Return the number of bytes that a text such as `1.5 GB` means.

    Args:
        size: A number, and a unit: B, KB, MB, GB, TB (powers of 1000) or
            KiB, MiB, GiB, TiB (powers of 1024), in any case. Bytes if there
            is no unit.

    Raises:
        ValueError: If the text is something else.

    Example:
        >>> readable_to_bytes('1.5 KB')
        1500
    """
    match = re.fullmatch(r'\s*([0-9]*\.?[0-9]+)\s*([A-Za-z]*)\s*', size)
    factor = {**_DECIMAL, **_BINARY, '': 1}.get(
        match.group(2).upper() if match else '?'
    )
    if match is None or factor is None:
        raise ValueError(
            f'{size!r} is no size: give a number and one of '
            f'{", ".join(_DECIMAL)}, KiB, MiB, GiB, TiB'
        )
    return int(float(match.group(1)) * factor)


def chunk_bytes(data: bytes, chunk_size: int) -> Generator[bytes, None, None]:
    """Yield a bytes object in pieces of equal size; the last may be shorter.

    Args:
        data: The bytes.
        chunk_size: Bytes of a piece.

    Raises:
        ValueError: If `chunk_size` is not positive.

    Example:
        >>> list(chunk_bytes(b'abcde', 2))
        [b'ab', b'cd', b'e']
    """
    if chunk_size <= 0:
        raise ValueError(f'a chunk of {chunk_size} bytes is too small')
    for start in range(0, len(data), chunk_size):
        yield data[start : start + chunk_size]
