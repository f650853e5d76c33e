"""torch's tensors and modules in the exactness table: as in test_exactness."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.proxy.exactness import UNARY
from tests.proxy.exactness import binary
from tests.proxy.exactness import in_place
from tests.proxy.exactness import unary
from tests.proxy.operations import BINARY
from tests.proxy.operations import IN_PLACE
from tests.proxy.test_exactness import check
from tests.proxy.torch_targets import TARGETS
from tests.proxy.torch_targets import UNARY as OF_TORCH

pytestmark = pytest.mark.integration


@pytest.mark.parametrize('operation', OF_TORCH)
def test_torch_on_every_target_of_torch(operation):
    check(unary(operation, OF_TORCH, TARGETS))


@pytest.mark.parametrize('operation', UNARY)
def test_operation(operation):
    check(unary(operation, targets=TARGETS))


@pytest.mark.parametrize('symbol', BINARY)
def test_operator(symbol):
    check(binary(symbol, TARGETS))


@pytest.mark.parametrize('symbol', IN_PLACE)
def test_in_place_operator(symbol):
    check(in_place(symbol, TARGETS))


@pytest.mark.parametrize(
    'tensor', ['torch.ones(2)', 'torch.nn.Parameter(torch.ones(2))']
)
def test_code_that_reads_a_tensors_memory_finds_it(tensor):
    """In a process of its own: where it fails, it crashes."""
    program = f"""
import torch
from proxystore.proxy import Proxy
for p in (Proxy(lambda: {tensor}), Proxy(lambda: Proxy(lambda: {tensor}))):
    assert isinstance(p, torch.Tensor)
    assert torch.as_tensor(p).sum().item() == 2
    p *= 2
    p = Proxy(lambda p=p: p)
    assert torch.as_tensor(p).sum().item() == 4
    assert torch.vmap(lambda x: x + 1)(p).sum().item() == 6
print('all')
"""
    if 'Parameter' in tensor:
        program = program.replace('p *= 2', 'p = Proxy(lambda p=p: p.detach() * 2)')
    ended = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', program],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, 'all\n'), ended.stderr
