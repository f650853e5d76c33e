"""torch's tensors and modules on the CPU."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from proxystore.serialize import deserialize
from proxystore.serialize import serialize

pytestmark = pytest.mark.integration

N = 100_000


@pytest.fixture
def torch() -> Any:
    import torch

    return torch


def layout(frame: bytes) -> tuple[int, list[int]]:
    """Length of the stream, lengths of the buffers."""
    (stream,) = struct.unpack_from('<Q', frame, 16)
    (count,) = struct.unpack_from('<I', frame, 24)
    return stream, list(struct.unpack_from(f'<{count}Q', frame, 32))


def round_trip(obj: Any) -> Any:
    return deserialize(serialize(obj))


def test_elements_lie_out_of_band(torch: Any) -> None:
    tensor = torch.arange(N, dtype=torch.float32)
    cases = [tensor, {'a': tensor}, [tensor.reshape(100, -1).T], tensor.bfloat16()]
    for obj in cases:
        stream, buffers = layout(serialize(obj))
        assert stream < 400
        assert sum(buffers) >= 2 * N
    back = round_trip(tensor)
    assert torch.equal(back, tensor)
    back[0] = 5
    assert tensor[0] == 0


KINDS = [
    'float64', 'float32', 'float16', 'bfloat16', 'complex64', 'complex128',
    'int64', 'int32', 'int16', 'int8', 'uint8', 'bool', 'float8_e4m3fn', 'float8_e5m2',
]  # fmt: skip


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('shape', [(), (0,), (3, 0), (7,), (40, 30)])
def test_every_kind_and_shape(torch: Any, kind: str, shape: tuple[int, ...]) -> None:
    tensor = torch.arange(torch.tensor(shape).prod().int().item() if shape else 1)
    tensor = (tensor % 2).reshape(shape).to(getattr(torch, kind))
    for back in (round_trip(tensor), round_trip([tensor])[0]):
        assert type(back) is torch.Tensor
        assert back.dtype == tensor.dtype
        assert back.shape == tensor.shape
        assert back.stride() == tensor.stride()
        assert torch.equal(back.to(torch.complex128), tensor.to(torch.complex128))
        if back.numel():
            back.fill_(1)


def test_slices_leave_their_storage_behind(torch: Any) -> None:
    base = torch.arange(N, dtype=torch.float64).reshape(100, -1)
    for part in (
        base[0, :10],
        base[5:7, ::3],
        base[:, 0],
        base.T[3],
        base[0].expand(3, -1),
    ):
        frame = serialize(part)
        assert len(frame) < 8 * part.numel() + 1000
        back = deserialize(frame)
        assert torch.equal(back, part)
        assert back.untyped_storage().nbytes() <= 8 * part.numel()


def test_the_order_of_axes_is_kept(torch: Any) -> None:
    images = torch.randn(2, 3, 8, 8).to(memory_format=torch.channels_last)
    for tensor in (
        images,
        torch.randn(30, 40).T,
        torch.randn(3, 1, 5).permute(2, 1, 0),
    ):
        back = round_trip(tensor)
        assert back.stride() == tensor.stride()
        assert torch.equal(back, tensor)


def test_what_is_more_than_elements(torch: Any) -> None:
    leaf = torch.randn(1000, requires_grad=True)
    back = round_trip(leaf)
    assert back.requires_grad and back.is_leaf
    assert torch.equal(back, leaf)
    parameter = torch.nn.Parameter(torch.randn(1000))
    back = round_trip(parameter)
    assert type(back) is torch.nn.Parameter
    assert torch.equal(back, parameter)
    assert sum(layout(serialize(parameter))[1]) == 4000
    conjugate = torch.randn(10, dtype=torch.complex64).conj()
    assert torch.equal(round_trip(conjugate), conjugate)
    sparse = torch.eye(5).to_sparse()
    assert torch.equal(round_trip(sparse).to_dense(), torch.eye(5))
    marked = torch.ones(3)
    marked.label = 'mine'
    assert round_trip(marked).label == 'mine'


def test_a_tensor_met_twice_is_one(torch: Any) -> None:
    tensor = torch.arange(1000)
    first, second = round_trip([tensor, tensor])
    assert first is second


def test_modules(torch: Any) -> None:
    model = torch.nn.Sequential(
        torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.BatchNorm1d(64)
    )
    model[0].weight.requires_grad_(False)
    frame = serialize(model)
    assert sum(layout(frame)[1]) >= 64 * 64 * 4
    back = deserialize(frame)
    data = torch.randn(8, 64)
    model.eval(), back.eval()
    assert torch.equal(back(data), model(data))
    assert not back[0].weight.requires_grad
    assert back[0].bias.requires_grad
    state = round_trip(model.state_dict())
    model.load_state_dict(state)
    tied = torch.nn.Linear(8, 8)
    both = torch.nn.ModuleList([tied, tied])
    first, second = round_trip(both)
    assert first.weight is second.weight


def test_a_view_can_be_written_to_all_the_same(torch: Any, tmp_path: Any) -> None:
    # torch knows no read-only tensors: writing to one would kill the process.
    from proxystore.connectors.file import FileConnector
    from proxystore.store import Store

    connector = FileConnector(str(tmp_path / 'store'))
    with Store('torch', connector, register=False) as store:
        key = store.put(torch.arange(1_000_000))
        view = store.get(key, access='view')
        view[0] = 5
        assert store.get(key)[0] == 0
