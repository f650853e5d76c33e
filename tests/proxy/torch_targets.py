"""torch's objects, and what is done with them, for the exactness table.

torch is 3 GB, so it is imported only when one of these is called.
"""

from __future__ import annotations

import numpy as np


def torch():
    import torch

    return torch


def seeded(make):
    """Make the same thing each time: modules begin with random numbers."""

    def made():
        torch().manual_seed(0)
        return make()

    return made


def with_gradient():
    tensor = torch().ones(3, requires_grad=True)
    (tensor * 2).sum().backward()
    return tensor


def module():
    torch().manual_seed(0)
    return torch().nn.Linear(3, 2)


def gradient_of(p):
    (p * 2).sum().backward()
    return p.grad


def without_gradient(p):
    with torch().no_grad():
        return p * 2


def written_in_place(p):
    p.add_(1)


TARGETS = {
    'tensor float': lambda: torch().tensor([1.5, -2.0, 3.0]),
    'tensor double': lambda: torch().arange(6, dtype=torch().float64).reshape(2, 3),
    'tensor int': lambda: torch().tensor([1, 2, 3]),
    'tensor bool': lambda: torch().tensor([True, False, True]),
    'tensor complex': lambda: torch().tensor([1 + 2j, 3j]),
    'tensor bfloat16': lambda: torch().tensor([1.0, 2.0], dtype=torch().bfloat16),
    'tensor number': lambda: torch().tensor(2),
    'tensor of one': lambda: torch().tensor([2.5]),
    'tensor empty': lambda: torch().empty(0),
    'tensor strided': lambda: torch().arange(12.0).reshape(3, 4)[:, ::2],
    'tensor sparse': lambda: torch().eye(3).to_sparse(),
    'tensor with gradient': with_gradient,
    'Parameter': lambda: torch().nn.Parameter(torch().tensor([1.0, 2.0])),
    'module': seeded(lambda: torch().nn.Linear(3, 2)),
    'Sequential': seeded(
        lambda: torch().nn.Sequential(torch().nn.Linear(3, 2), torch().nn.ReLU())
    ),
    'state of a module': seeded(lambda: torch().nn.Linear(3, 2).state_dict()),
    'Size': lambda: torch().Size([2, 3]),
    'dtype': lambda: torch().float32,
    'device': lambda: torch().device('cpu'),
}

UNARY = {
    'torch.add 1': lambda p: torch().add(p, 1),
    'torch.add to itself': lambda p: torch().add(p, p),
    'torch.add alpha': lambda p: torch().add(p, p, alpha=2),
    'torch.sum': lambda p: torch().sum(p),
    'torch.matmul': lambda p: torch().matmul(p, p),
    'torch.stack': lambda p: torch().stack([p, p]),
    'torch.cat': lambda p: torch().cat([p, p]),
    'torch.where': lambda p: torch().where(p > 0, p, p),
    'torch.equal': lambda p: torch().equal(p, p),
    'torch.allclose': lambda p: torch().allclose(p, p),
    'torch.zeros_like': lambda p: torch().zeros_like(p),
    'torch.clone': lambda p: torch().clone(p),
    'torch.as_tensor': lambda p: torch().as_tensor(p),
    'torch.tensor': lambda p: torch().tensor(p),
    'torch.is_tensor': lambda p: torch().is_tensor(p),
    'relu': lambda p: torch().nn.functional.relu(p),
    'linear': lambda p: torch().nn.functional.linear(p, torch().ones(2, 3).to(p.dtype)),
    'out': lambda p: torch().add(torch().ones(3), 1, out=p),
    'p.sum()': lambda p: p.sum(),
    'p.mean()': lambda p: p.mean(),
    'p.to double': lambda p: p.to(torch().float64),
    'p.numpy()': lambda p: p.numpy(),
    'p.detach().numpy()': lambda p: p.detach().numpy(),
    'p.item()': lambda p: p.item(),
    'p.tolist()': lambda p: p.tolist(),
    'p.reshape(-1)': lambda p: p.reshape(-1),
    'p.T': lambda p: p.T,
    'p.shape': lambda p: p.shape,
    'p.dtype': lambda p: p.dtype,
    'p.device': lambda p: p.device,
    'p.grad': lambda p: p.grad,
    'p.requires_grad': lambda p: p.requires_grad,
    'p.add_(1)': written_in_place,
    'p.backward': gradient_of,
    'p[mask]': lambda p: p[p > 0],
    'np.asarray': lambda p: np.asarray(p),
    'np.sum': lambda p: np.sum(p),
    'np.add': lambda p: np.add(p, 1),
    'tensor + p': lambda p: torch().ones(3) + p,
    'p + tensor': lambda p: p + torch().ones(3),
    'tensor @ p': lambda p: torch().ones(3) @ p,
    'tensor[p]': lambda p: torch().arange(10)[p],
    'tensor[...] = p': lambda p: torch().zeros(3).__setitem__(..., p),
    'tensor.add_(p)': lambda p: torch().zeros(3).add_(p),
    'isinstance Tensor': lambda p: isinstance(p, torch().Tensor),
    'isinstance Parameter': lambda p: isinstance(p, torch().nn.Parameter),
    'isinstance Module': lambda p: isinstance(p, torch().nn.Module),
    'call with a tensor': lambda p: p(torch().ones(1, 3)),
    'call a module with it': lambda p: module()(p),
    'module.parameters': lambda p: list(p.parameters()),
    'module.state_dict': lambda p: p.state_dict(),
    'module.eval': lambda p: p.eval().training,
    'load_state_dict': lambda p: torch().nn.Linear(3, 2).load_state_dict(p),
    'optimizer': lambda p: torch().optim.SGD(p.parameters(), 0.1).step(),
    'optimizer of it': lambda p: torch().optim.SGD([p], 0.1).step(),
    'zeros of dtype': lambda p: torch().zeros(2, dtype=p),
    'zeros on device': lambda p: torch().zeros(2, device=p),
    'zeros of size': lambda p: torch().zeros(p),
    'empty like shape': lambda p: torch().zeros(3).reshape(p),
    'DataLoader': lambda p: list(torch().utils.data.DataLoader(p, batch_size=2)),
    'TensorDataset': lambda p: torch().utils.data.TensorDataset(p)[0],
    'default_collate': lambda p: torch().utils.data.default_collate([p, p]),
    'from_numpy': lambda p: torch().from_numpy(p.numpy()),
    'dlpack': lambda p: torch().from_dlpack(p),
    'np.from_dlpack': lambda p: np.from_dlpack(p),
    'autograd.grad': lambda p: torch().autograd.grad((p * p).sum(), p),
    'no_grad': without_gradient,
    'vmap': lambda p: torch().vmap(lambda row: row * 2)(p),
    'format': lambda p: f'{p}',
}
