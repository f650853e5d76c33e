"""Tensors of torch's in the CPU's memory.

torch pickles a tensor with the whole storage that it lies in, and copies
that; here only the tensor's own elements travel, out of band.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import Any

import torch

# How elements that numpy does not know are passed through it.
_AS_INTEGERS = {2: torch.int16, 1: torch.uint8}


def register(reducers: dict[type, Callable[[Any], Any]], encoders: Any) -> None:
    """Adds this module's reducers."""
    reducers[torch.Tensor] = reduce_tensor


def _is_plain(tensor: torch.Tensor) -> bool:
    return (
        tensor.device.type == 'cpu'
        and tensor.layout is torch.strided
        and tensor.is_leaf
        and not tensor.is_conj()
        and not tensor.is_neg()
        and not tensor.is_quantized
        and not tensor.is_nested
        and not tensor._backward_hooks
        and not tensor.__dict__
    )


def _is_dense(tensor: torch.Tensor) -> bool:
    """Whether the elements lie side by side, in whatever order of axes."""
    expected = 1
    axes = zip(tensor.stride(), tensor.size(), strict=True)
    for stride, size in sorted(axes):
        if size != 1:
            if stride != expected:
                return False
            expected *= size
    return True


def reduce_tensor(tensor: torch.Tensor) -> Any:
    """The elements out of band, if the tensor is nothing but elements."""
    if not _is_plain(tensor):
        return NotImplemented
    flat = tensor.detach()
    if not _is_dense(flat):
        flat = flat.contiguous()
    size, stride = tuple(flat.size()), tuple(flat.stride())
    name = str(flat.dtype).removeprefix('torch.')
    flat = flat.as_strided((flat.numel(),), (1,), flat.storage_offset())
    # What has no buffer for type checkers before Python 3.12.
    memory: Any
    try:
        memory = flat.numpy()
    except TypeError:
        # bfloat16 and the kinds of 8 bits.
        integers = _AS_INTEGERS.get(flat.element_size())
        if integers is None:
            return NotImplemented
        memory = flat.view(integers).numpy()
    except RuntimeError:
        # A torch without numpy.
        return NotImplemented
    return rebuild_tensor, (
        name,
        size,
        stride,
        tensor.requires_grad,
        pickle.PickleBuffer(memory),
    )


def rebuild_tensor(
    dtype: str,
    size: tuple[int, ...],
    stride: tuple[int, ...],
    requires_grad: bool,
    memory: Any,
) -> torch.Tensor:
    """The tensor over its elements."""
    kind = getattr(torch, dtype)
    view = memoryview(memory)
    if view.nbytes == 0:
        tensor = torch.empty_strided(size, stride, dtype=kind)
    else:
        if view.readonly:
            # torch knows no tensors that cannot be written to.
            memory = bytearray(view)
        tensor = torch.frombuffer(memory, dtype=kind).as_strided(size, stride)
    return tensor.requires_grad_(requires_grad) if requires_grad else tensor
