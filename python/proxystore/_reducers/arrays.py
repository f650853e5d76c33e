"""Arrays of numpy's that are more than an array."""

# pyright: reportMissingImports=false
from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from proxystore import _core


def register(reducers: dict[type, Callable[[Any], Any]], encoders: Any) -> None:
    """Adds this module's reducers."""
    reducers[np.ma.MaskedArray] = reduce_masked


def reduce_masked(array: Any) -> Any:
    """Data and mask as arrays of their own, which lie out of band."""
    mask = array._mask
    return rebuild_masked, (
        array.data,
        None if mask is np.ma.nomask else mask,
        array._fill_value,
        bool(array.hardmask),
    )


def rebuild_masked(
    data: Any,
    mask: Any,
    fill_value: Any,
    hard_mask: bool,
) -> Any:
    """The masked array over its parts."""
    array: Any = np.ma.MaskedArray(
        data,
        mask=np.ma.nomask if mask is None else mask,
        copy=False,
        hard_mask=hard_mask,
    )
    array._fill_value = fill_value
    return array


def reduce_elements(array: Any) -> Any:
    """Elements of some other kind (structures, extended floats) as bytes.

    numpy would copy those of an array with gaps, and bring a read-only array
    back read-only.
    """
    kind = array.dtype
    if kind.itemsize == 0:
        return NotImplemented
    if array.size == 0:
        return rebuild_empty, (array.shape, kind)
    if kind.char == 'O':
        return reduce_objects(array)
    if kind.hasobject:
        return NotImplemented
    fortran_order = array.flags.f_contiguous and not array.flags.c_contiguous
    elements = array.T if fortran_order else np.ascontiguousarray(array)
    return rebuild_elements, (
        kind,
        array.shape,
        'F' if fortran_order else 'C',
        elements.reshape(-1).view(np.uint8),
    )


_FEW = 64
"""Fewer objects are pickled as quickly one by one."""


def reduce_objects(array: Any) -> Any:
    """Texts, numbers and their like as one packed buffer."""
    if array.size < _FEW:
        return NotImplemented
    fortran_order = array.flags.f_contiguous and not array.flags.c_contiguous
    elements = array if fortran_order else np.ascontiguousarray(array)
    packed = _core.pack_objects(elements)
    if packed is None:
        return NotImplemented
    return rebuild_objects, (
        array.shape,
        'F' if fortran_order else 'C',
        pickle.PickleBuffer(packed),
    )


def rebuild_objects(shape: Any, order: Any, packed: Any) -> Any:
    """The array of the packed objects."""
    array: Any = np.empty(shape, dtype=object, order=order)
    _core.unpack_objects(packed, array)
    return array


def rebuild_empty(shape: Any, kind: Any) -> Any:
    """An array without elements."""
    return np.empty(shape, kind)


def rebuild_elements(kind: Any, shape: Any, order: Any, elements: Any) -> Any:
    """The array over its elements."""
    return elements.view(kind).reshape(shape, order=order)


def reduce_subclass(array: Any) -> Any:
    """The array itself, which lies out of band, and its class."""
    return rebuild_subclass, (array.view(np.ndarray), type(array))


def rebuild_subclass(array: Any, array_type: type) -> Any:
    """The array as one of its class."""
    return array.view(array_type)


_PICKLED_AS = ('__reduce__', '__reduce_ex__', '__setstate__')


def keeps_pickling(array_type: type) -> bool:
    """Whether a subclass of `ndarray` is pickled as `ndarray` does it."""
    return all(
        getattr(array_type, name) is getattr(np.ndarray, name) for name in _PICKLED_AS
    )
