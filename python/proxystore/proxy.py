"""The proxy: a lazy, transparent stand-in for an object that lives elsewhere.

A proxy is made with a *factory*, a callable without arguments. The first use
of the proxy calls the factory, and from then on the proxy behaves as what the
factory returned, its *target*. Pickling a proxy takes the factory along and
never the target, so a proxy is cheap to send wherever its factory can run.

Example:
    >>> from proxystore.proxy import Proxy
    >>> from proxystore.proxy import is_resolved
    >>> p = Proxy(lambda: [3, 1, 2])
    >>> is_resolved(p)
    False
    >>> sorted(p)
    [1, 2, 3]
    >>> is_resolved(p), isinstance(p, list), type(p) is Proxy
    (True, True, True)
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Generator
from typing import Any
from typing import Generic
from typing import TypeVar
from typing import Union

from proxystore._core import Proxy
from proxystore._core import _proxy_trampoline  # noqa: F401  pickles name it here
from proxystore.exceptions import ProxyStoreError

__all__ = [
    'DefaultClassType',
    'DefaultHashType',
    'FactoryType',
    'Proxy',
    'ProxyLocker',
    'ProxyOr',
    'ProxyResolveError',
    'extract',
    'get_factory',
    'is_resolved',
    'resolve',
]

T = TypeVar('T')

FactoryType = Callable[[], T]
"""A factory: any callable without arguments that returns the target."""
DefaultClassType = Union[type, None]  # noqa: UP007
"""The class that an unresolved proxy answers for, if it was told one."""
DefaultHashType = Union[Exception, int, None]  # noqa: UP007
"""The hash that an unresolved proxy answers, or what hashing it raises."""

ProxyOr = Union[Proxy[T], T]  # noqa: UP007
"""A proxy of something, or the thing itself: `ProxyOr[int]`."""


class ProxyResolveError(ProxyStoreError):
    """The factory of a proxy failed; the proxy stays unresolved.

    A later use of the proxy calls the factory again.

    Args:
        message: What happened.
        cause: The exception that the factory raised, also `__cause__`.
    """

    def __init__(self, message: str, cause: Exception) -> None:
        super().__init__(message)
        self.cause = cause

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross processes too; `args` holds the message only.
        return type(self), (self.args[0], self.cause)


class ProxyLocker(Generic[T]):
    """Keeps a proxy from being resolved by accident.

    The proxy cannot be reached, and so not resolved, until it is unlocked.

    Args:
        proxy: The proxy to keep.

    Example:
        >>> locker = ProxyLocker(Proxy(lambda: 5))
        >>> locker.unlock() + 1
        6
    """

    def __init__(self, proxy: Proxy[T]) -> None:
        self._proxy = proxy

    def __getattribute__(self, name: str) -> Any:
        if name == '_proxy':
            raise AttributeError('The proxy of a ProxyLocker is had by `unlock()`.')
        return super().__getattribute__(name)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.unlock(),)

    def unlock(self) -> Proxy[T]:
        """Return the proxy."""
        proxy: Proxy[T] = super().__getattribute__('_proxy')
        return proxy


def extract(proxy: Proxy[T]) -> T:
    """Return the target itself, resolving the proxy first if need be.

    Args:
        proxy: The proxy.

    Raises:
        ProxyResolveError: The factory failed.

    Example:
        >>> type(extract(Proxy(lambda: 5)))
        <class 'int'>
    """
    target: T = proxy.__proxy_wrapped__
    return target


def resolve(proxy: Proxy[T]) -> None:
    """Resolve a proxy now; a resolved one is left as it is.

    Args:
        proxy: The proxy.

    Raises:
        ProxyResolveError: The factory failed.
    """
    proxy.__proxy_wrapped__  # noqa: B018


def is_resolved(proxy: Proxy[T]) -> bool:
    """Tell whether the proxy holds its target, without resolving it.

    Args:
        proxy: The proxy.
    """
    return proxy.__proxy_resolved__


def get_factory(proxy: Proxy[T]) -> FactoryType[T]:
    """Return the factory of a proxy, without resolving it.

    Args:
        proxy: The proxy.
    """
    return proxy.__proxy_factory__


def _await_generator(generator: Generator[Any, Any, T]) -> Generator[Any, Any, T]:
    # `await p` for a target made by `types.coroutine`: what `__await__`
    # returns must not be such a generator itself.
    return (yield from generator)


def _dask_tokenize(proxy: Proxy[Any]) -> tuple[str, Any]:
    return 'proxystore.proxy.Proxy', proxy.__proxy_factory__


# Dask names a task after its arguments, and asks each of them for these two:
# without them, who submits a proxy would resolve it.
Proxy.__dask_tokenize__ = _dask_tokenize  # type: ignore[attr-defined]
Proxy.__dask_future__ = False  # type: ignore[attr-defined]
