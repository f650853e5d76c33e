"""Arrays of every kind and layout."""

from __future__ import annotations

from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from proxystore.serialize import deserialize
from proxystore.serialize import serialize

kinds = (
    hnp.boolean_dtypes()
    | hnp.integer_dtypes()
    | hnp.unsigned_integer_dtypes()
    | hnp.floating_dtypes()
    | hnp.complex_number_dtypes()
    | hnp.datetime64_dtypes()
    | hnp.timedelta64_dtypes()
    | hnp.byte_string_dtypes()
    | hnp.unicode_string_dtypes()
)
kinds = kinds | hnp.array_dtypes(kinds, max_size=3)


@st.composite
def arrays(draw: Any) -> Any:
    kind = draw(kinds)
    shape = draw(hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=40))
    array = np.zeros(shape, kind)
    data = draw(st.binary(min_size=1, max_size=64))
    if kind.names is None and kind.kind not in 'U':
        repeated = np.resize(np.frombuffer(data, 'u1'), array.nbytes)
        if kind.kind == 'b':
            repeated %= 2
        array = repeated.view(kind).reshape(shape) if array.size else array
    match draw(st.integers(0, 5)):
        case 1:
            array = np.asfortranarray(array)
        case 2 if array.ndim:
            array = array[:: draw(st.sampled_from([-1, 2, 3]))]
        case 3:
            array = array.T
        case 4 if array.ndim > 1:
            array = array[:, 1:2]
        case 5:
            array.flags.writeable = False
    return array


def check(back: Any, array: Any) -> None:
    assert type(back) is np.ndarray
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    # Byte by byte: NaNs have many forms.
    assert back.tobytes() == array.tobytes()


@given(arrays())
@settings(max_examples=400, deadline=None)
def test_any_array_arrives_as_it_was(array: Any) -> None:
    back = deserialize(serialize(array))
    check(back, array)
    assert back.flags.writeable
    in_tree, in_pickle = (
        deserialize(serialize([array])),
        deserialize(serialize([array, range(3)])),
    )
    check(in_tree[0], array)
    check(in_pickle[0], array)
    assert in_pickle[0].flags.writeable
