"""Scopes of borrowed references: the time that a task may use them."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import Any
from typing import Protocol
from typing import TypeVar
from typing import runtime_checkable

from typing_extensions import ParamSpec

from proxystore.store.ref import RefMutProxy
from proxystore.store.ref import RefProxy
from proxystore.store.ref import _end_scope

__all__ = ['FutureT', 'FutureWithCallback', 'P', 'mark_refs_out_of_scope', 'submit']

P = ParamSpec('P')


@runtime_checkable
class FutureWithCallback(Protocol):
    """A future of any library that calls back when it is done."""

    def add_done_callback(self, callback: Callable[[Any], Any], /) -> None:
        """Call a function with the future once it is done."""
        ...


FutureT = TypeVar('FutureT', bound=FutureWithCallback)


def mark_refs_out_of_scope(*refs: RefProxy[Any] | RefMutProxy[Any]) -> None:
    """End the scope of borrows: they are given back and cannot be used again.

    They are not resolved. Marking one again does no harm.

    Args:
        refs: The borrows.

    Raises:
        TypeError: If one of them is no borrow.

    Example:
        >>> from proxystore.connectors.local import LocalConnector
        >>> from proxystore.store import Store
        >>> from proxystore.store.ref import borrow, mut_borrow
        >>> with Store('example', LocalConnector(), register=True) as store:
        ...     owner = store.owned_proxy([1, 2, 3])
        ...     reference = borrow(owner)
        ...     mark_refs_out_of_scope(reference)
        ...     mut_borrow(owner).append(4)
        ...     del owner
    """
    for ref in refs:
        # A borrow of a list is an instance of list: only its type tells.
        if not issubclass(type(ref), (RefProxy, RefMutProxy)):
            raise TypeError(
                'Only a RefProxy or a RefMutProxy has a scope, and this is of '
                f'type {type(ref).__name__}.'
            )
    for ref in refs:
        _end_scope(ref)


def submit(
    submit_func: Callable[..., FutureT],
    *,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    register_custom_refs: Iterable[Any] = (),
) -> FutureT:
    """Submit a task whose borrowed arguments go out of scope when it is done.

    Args:
        submit_func: Submits the task, such as the `submit` of an executor,
            and returns a future.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        register_custom_refs: Borrows that lie deeper in the arguments, where
            they are not looked for.

    Returns:
        What `submit_func` returned.

    Raises:
        TypeError: If that has no `add_done_callback`.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> from proxystore.connectors.local import LocalConnector
        >>> from proxystore.store import Store
        >>> from proxystore.store.ref import borrow
        >>> store = Store('example', LocalConnector(), register=True)
        >>> with store, ThreadPoolExecutor() as pool:
        ...     owner = store.owned_proxy([1, 2, 3])
        ...     future = submit(pool.submit, args=(sum, borrow(owner)))
        ...     print(future.result())
        ...     del owner
        6
    """
    kwargs = {} if kwargs is None else dict(kwargs)
    candidates = (*args, *kwargs.values(), *register_custom_refs)
    refs = {
        id(each): each
        for each in candidates
        if issubclass(type(each), (RefProxy, RefMutProxy))
    }
    future = submit_func(*args, **kwargs)
    if not callable(getattr(future, 'add_done_callback', None)):
        raise TypeError(
            f'submit_func returned an object of type {type(future).__name__} without '
            'add_done_callback(): the end of the task cannot be seen.'
        )

    def _end_scopes(_: FutureWithCallback) -> None:
        mark_refs_out_of_scope(*refs.values())

    if refs:
        future.add_done_callback(_end_scopes)
    return future
