"""Factories: picklable callables that return the target of a proxy.

Any callable without arguments will do. Those here are for objects and
functions that are at hand; `proxystore.store` has the one that fetches from a
store. A factory of one's own may check a permission, compute the target or
fetch only a part of it.

Example:
    >>> from proxystore.factory import LambdaFactory
    >>> from proxystore.proxy import Proxy
    >>> p = Proxy(LambdaFactory(sorted, [3, 1, 2], reverse=True))
    >>> p[0]
    3
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from typing import Generic
from typing import TypeVar

__all__ = ['Factory', 'LambdaFactory', 'SimpleFactory']

T = TypeVar('T')


class Factory(Generic[T]):
    """Base for factories; a subclass has `resolve`.

    Example:
        >>> from proxystore.proxy import Proxy
        >>> class Constant(Factory[int]):
        ...     def resolve(self) -> int:
        ...         return 42
        >>> Proxy(Constant()) + 1
        43
    """

    def __init__(self) -> None:
        pass

    def __call__(self) -> T:
        """Return what `resolve` returns: what a proxy calls."""
        return self.resolve()

    def resolve(self) -> T:
        """Return the target.

        Raises:
            NotImplementedError: The subclass does not have the method.
        """
        raise NotImplementedError


class SimpleFactory(Factory[T]):
    """Holds the target itself.

    Args:
        obj: The target.
    """

    def __init__(self, obj: T) -> None:
        self._obj = obj

    def resolve(self) -> T:
        """Return the object."""
        return self._obj


class LambdaFactory(Factory[T]):
    """Calls a function.

    Args:
        target: Function that returns the target of the proxy.
        args: Positional arguments of the function.
        kwargs: Keyword arguments of the function.
    """

    def __init__(
        self,
        target: Callable[..., T],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._target = target
        self._args = args
        self._kwargs = kwargs

    def resolve(self) -> T:
        """Call the function and return its result."""
        return self._target(*self._args, **self._kwargs)
