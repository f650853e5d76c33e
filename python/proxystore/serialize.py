"""Objects to bytes, and back.

A [`Store`][proxystore.store.Store] does this by itself, and without joining
the pieces; these functions are for those who move the bytes on their own.

What comes out is one *frame*, described byte by byte in `docs/frame.md`.
Arrays, tables, text, bytes and plain trees of values need no pickle and are
readable from other languages; everything else is pickled, and what pickle
cannot take (lambdas, nested functions) goes to cloudpickle.

Warning:
    Deserializing pickled objects runs code that the bytes name. Do so only
    with bytes that you trust.

Example:
    >>> from proxystore.serialize import deserialize, serialize
    >>> deserialize(serialize({'a': [1, 2, 3]}))
    {'a': [1, 2, 3]}
"""

from __future__ import annotations

from typing import Any
from typing import TypeGuard

from proxystore import _core
from proxystore.exceptions import SerializationError

__all__ = [
    'BytesLike',
    'SerializationError',
    'deserialize',
    'is_bytes_like',
    'serialize',
]

BytesLike = bytes | bytearray | memoryview
"""What bytes may come in as."""


def is_bytes_like(obj: Any) -> TypeGuard[BytesLike]:
    """Whether an object is `bytes`, a `bytearray` or a `memoryview`.

    Args:
        obj: Anything.

    Returns:
        `True` for these types and their subclasses.

    Example:
        >>> is_bytes_like(bytearray(3)), is_bytes_like('text')
        (True, False)
    """
    return isinstance(obj, (bytes, bytearray, memoryview))


def serialize(obj: Any) -> bytes:
    """Turns an object into the bytes of one frame.

    Args:
        obj: Any object that pickle or cloudpickle can take.

    Returns:
        One frame: a joined copy of the object's memory.

    Raises:
        SerializationError: If the object cannot be serialized. Its
            `__cause__` says why.

    Example:
        >>> serialize('text')[:4]
        b'PXF1'
    """
    return _core.serialize(obj)


def deserialize(buffer: BytesLike) -> Any:
    """Turns the bytes of a frame, or of ProxyStore 1.x, into the object.

    The object is a value of its own: it does not lie over `buffer`, and its
    arrays can be written to.

    Args:
        buffer: What [`serialize`][proxystore.serialize.serialize] gave, here
            or in ProxyStore 1.x.

    Returns:
        The object.

    Raises:
        ValueError: If `buffer` is not bytes-like.
        FrameError: If the bytes are truncated, corrupted or nothing that
            `serialize` made. It is a `SerializationError`.
        NewerFrameError: If a newer version made the frame.
        SerializationError: If the bytes are sound but the object cannot be
            made again, for example because its module is missing here. Its
            `__cause__` says why.

    Example:
        >>> deserialize(serialize(b'abc'))
        b'abc'
    """
    if not is_bytes_like(buffer):
        raise ValueError(
            f'Expected data to be a bytes-like type, not {type(buffer)}.',
        )
    return _core.deserialize(buffer)
