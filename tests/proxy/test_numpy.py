"""numpy's protocols: what an array is made of survives the proxy."""

from __future__ import annotations

import numpy as np
import pytest
from proxystore.proxy import Proxy


def proxy(target):
    return Proxy(lambda: target)


DTYPES = [
    *'?bBhHiIlLqQefdgFDG',
    '>f8',
    'M8[D]',
    'M8[ns]',
    'm8[us]',
    'U5',
    'S5',
    'V3',
    'O',
    [('a', '<i4'), ('b', '>f8')],
    [('when', 'M8[D]'), ('name', 'U3')],
    [('nested', [('x', 'f4'), ('y', 'M8[s]')]), ('matrix', 'f4', (2, 2))],
    np.dtype(
        {
            'names': ['a', 'b'],
            'formats': ['u1', 'f8'],
            'offsets': [0, 8],
            'itemsize': 32,
        }
    ),
]


@pytest.mark.parametrize('dtype', DTYPES, ids=str)
@pytest.mark.parametrize('shape', [(), (3,), (2, 3), (0,)])
def test_every_dtype_survives(dtype, shape):
    array = np.zeros(shape, dtype=dtype)
    result = np.asarray(proxy(array))
    assert result.dtype == array.dtype
    assert result.shape == array.shape
    assert result.strides == array.strides or array.size == 0
    assert result.flags.writeable
    assert np.shares_memory(result, array) or array.size == 0


@pytest.mark.parametrize(
    'scalar',
    [
        np.float64(1),
        np.int8(1),
        np.datetime64('2026-01-01', 'D'),
        np.timedelta64(1, 'ms'),
        np.bool_(True),
        np.complex64(1),
        np.str_('a'),
    ],
)
def test_every_scalar_survives(scalar):
    result = np.asarray(proxy(scalar))
    assert result.dtype == np.asarray(scalar).dtype
    assert result.shape == ()
    assert result == scalar


def test_numbers_in_lists():
    for values in ([1, 2], [1.5, 2], [True, False], [1j, 2]):
        result = np.array([proxy(value) for value in values])
        assert result.dtype == np.array(values).dtype
        assert result.tolist() == values


def test_objects_are_not_proxies_in_arrays():
    target = {'a': 1}
    assert np.asarray(proxy(target)).item() is target


def test_ufuncs():
    array = np.arange(3.0)
    out = np.zeros(3)
    np.add(
        proxy(array),
        proxy(1),
        out=proxy(out),
        where=proxy(np.array([True, False, True])),
    )
    assert out.tolist() == [1, 0, 3]
    assert np.add.reduce(proxy(array)) == 3
    assert np.add.outer(proxy([1, 2]), proxy([3])).tolist() == [[4], [5]]
    np.add.at(proxy(array), proxy([0, 0]), proxy(10))
    assert array[0] == 20
    assert [a.tolist() for a in np.divmod(proxy(np.array([5, 6])), 4)] == [
        [1, 1],
        [1, 2],
    ]


def test_scalars_keep_their_type():
    assert type(np.float64(1) + proxy(1)) is np.float64
    assert type(proxy(1) + np.float32(1)) is np.float32
    assert type(np.int8(1) * proxy(2)) is np.int8


class Refuses:
    __array_ufunc__ = None

    def __radd__(self, other):
        return 'radd'

    def __rmatmul__(self, other):
        return 'rmatmul'

    def __eq__(self, other):
        return 'equal'

    __hash__ = None


class Prioritised:
    __array_priority__ = 1000

    def __radd__(self, other):
        return 'radd'

    def __rmatmul__(self, other):
        return 'rmatmul'


@pytest.mark.parametrize('left', [np.arange(3.0), np.float64(1), np.array(1)])
@pytest.mark.parametrize('right', [Refuses(), Prioritised()])
def test_reflected_operators_of_the_target(left, right):
    assert left + proxy(right) == left + right == 'radd'
    if left.ndim:
        assert left @ proxy(right) == 'rmatmul'


def test_comparison_of_a_target_that_refuses_ufuncs():
    assert (np.arange(3.0) == proxy(Refuses())) == 'equal'


@pytest.mark.filterwarnings('ignore::PendingDeprecationWarning')
def test_subclasses_of_arrays():
    masked = np.ma.array([1, 2, 3], mask=[0, 1, 0])
    matrix = np.asmatrix([[1, 2], [3, 4]])
    for target in (masked, matrix):
        for work in (
            lambda x: np.arange(2)[0] + x,
            lambda x: x + 1,
            lambda x: np.add(1, x),
            lambda x: np.concatenate([x, x]),
            lambda x: np.mean(x),
            lambda x: np.sum(x, axis=0),
        ):
            native, proxied = work(target), work(proxy(target))
            assert type(native) is type(proxied)
            assert repr(native) == repr(proxied)


def test_functions_that_take_arrays_alone():
    array = np.zeros(3)
    np.copyto(proxy(array), 1)
    assert array.tolist() == [1, 1, 1]
    np.put(proxy(array), [0], proxy(7))
    assert array[0] == 7
    assert np.block([[proxy(np.eye(2)), np.zeros((2, 1))]]).shape == (2, 3)
    assert np.einsum('i,i', proxy(array), proxy(array)) == 51
    assert np.where(proxy(array) > 1, proxy(array), 0).tolist() == [7, 0, 0]
    assert np.full(2, proxy(3.5)).tolist() == [3.5, 3.5]
    assert np.arange(10)[proxy(np.array([1, 2]))].tolist() == [1, 2]


def test_functions_with_keywords_and_dicts():
    array = np.arange(4.0)
    assert np.sum(a=proxy(array)) == 6
    assert np.clip(proxy(array), a_min=proxy(1), a_max=2).tolist() == [1, 1, 2, 2]


def test_torch_function_hook():
    class Tensor:
        @classmethod
        def __torch_function__(cls, function, types, args=(), kwargs=None):
            raise AssertionError('never asked: the target is handed over')

    tensor = Tensor()
    p = proxy(tensor)
    hook = p.__torch_function__
    assert hook(lambda *a, **k: (a, k), (Proxy,), (p, [p, 1]), {'x': {'y': p}}) == (
        (tensor, [tensor, 1]),
        {'x': {'y': tensor}},
    )
    assert hook(lambda: 'called', ()) == 'called'
    assert not hasattr(proxy(1), '__torch_function__')
    for wrong in ((), (len,), (len, (), 1), (len, (), (), 1), (1, 2, 3, 4, 5)):
        if wrong == (len,):
            continue
        with pytest.raises(TypeError):
            hook(*wrong)


@pytest.mark.integration
def test_torch():
    import torch

    tensor = torch.arange(4.0)
    p = proxy(tensor)
    assert torch.sum(p) == 6
    assert torch.equal(torch.add(p, 1), tensor + 1)
    assert torch.equal(tensor + p, tensor + tensor)
    assert torch.cat([p, p]).shape == (8,)
    assert torch.nn.functional.relu(p).shape == (4,)
    assert np.asarray(p).dtype == np.float32
    layer = torch.nn.Linear(4, 2)
    assert torch.equal(layer(p), layer(tensor))
    assert torch.equal(proxy(layer)(p), layer(tensor))
    assert torch.is_tensor(p)
