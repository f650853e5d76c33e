"""Executors whose tasks get large arguments and give large results by proxy.

Example:
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> store = Store('example', LocalConnector(), register=True)
    >>> with StoreExecutor(ThreadPoolExecutor(), store, ProxyType(list)) as pool:
    ...     pool.submit(sum, [1, 2, 3]).result()
    6
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
from concurrent.futures import Executor
from concurrent.futures import Future
from typing import TYPE_CHECKING
from typing import Any
from typing import Generic
from typing import TypeVar

from typing_extensions import ParamSpec

from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.store import _reopen
from proxystore.store.base import Store
from proxystore.store.ref import into_owned
from proxystore.store.utils import get_key

if TYPE_CHECKING:
    from proxystore.store.types import ConnectorKeyT

__all__ = [
    'P',
    'ProxyAlways',
    'ProxyLargerThan',
    'ProxyNever',
    'ProxyType',
    'R',
    'StoreExecutor',
]

P = ParamSpec('P')
R = TypeVar('R')


class ProxyAlways:
    """Proxies every argument and result."""

    def __call__(self, obj: Any) -> bool:
        """Return True."""
        return True


class ProxyNever:
    """Proxies nothing."""

    def __call__(self, obj: Any) -> bool:
        """Return False."""
        return False


class ProxyType:
    """Proxies the instances of some types.

    Args:
        types: The types.

    Attributes:
        types: The types.

    Example:
        >>> policy = ProxyType(list, bytes)
        >>> policy([]), policy(1)
        (True, False)
    """

    def __init__(self, *types: type) -> None:
        self.types = types

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}({", ".join(each.__name__ for each in self.types)})'
        )

    def __call__(self, obj: Any) -> bool:
        """Tell whether it is an instance of one of the types."""
        return isinstance(obj, self.types)


class ProxyLargerThan:
    """Proxies what takes more than some bytes when it is serialized.

    For bytes, text and arrays the size is known at once; other objects are
    serialized to learn it.

    Args:
        nbytes: The size in bytes. Below some 10 kB, a proxy costs more than
            it saves with most executors.

    Attributes:
        nbytes: The size in bytes.

    Example:
        >>> policy = ProxyLargerThan(1000)
        >>> policy(b'x' * 2000), policy([1, 2, 3])
        (True, False)
    """

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.nbytes})'

    def __call__(self, obj: Any) -> bool:
        """Tell whether it takes more bytes than that."""
        if isinstance(obj, (bytes, bytearray, str)):
            return len(obj) > self.nbytes
        nbytes = getattr(obj, 'nbytes', None)  # arrays, tables, memoryviews
        if isinstance(nbytes, int):
            return nbytes > self.nbytes
        try:
            return _core.encoded_len(obj) > self.nbytes
        except Exception:
            return False  # the executor may know how to send it


def _is_proxiable(obj: Any) -> bool:
    # Only the type tells: a proxy of True is an instance of bool.
    kind = type(obj)
    return obj is not None and kind is not bool and not issubclass(kind, Proxy)


class _Task(Generic[R]):
    """A function whose result is proxied where it ran."""

    def __init__(
        self,
        function: Callable[..., R],
        recipe: tuple[Any, ...],
        should_proxy: Callable[[Any], bool],
        ownership: bool,
    ) -> None:
        self._function = function
        self._recipe = recipe
        self._should_proxy = should_proxy
        self._ownership = ownership
        self._travelled = False
        # Dask and Parsl name their tasks after the function.
        self.__name__ = getattr(function, '__name__', type(function).__name__)
        self.__doc__ = getattr(function, '__doc__', None)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {'_travelled': True}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # What was not pickled: in a thread, or the result of another task.
        args = tuple(_received(each) for each in args)
        kwargs = {name: _received(each) for name, each in kwargs.items()}
        result = self._function(*args, **kwargs)
        if not _is_proxiable(result) or not self._should_proxy(result):
            return result
        proxy: Proxy[R] = _reopen(self._recipe).proxy(result)
        if self._travelled:
            return _Handover(proxy, self._ownership)
        return into_owned(proxy) if self._ownership else proxy


class _Handover:
    """A proxy on its way: whoever unpickles it gets the proxy, or its owner.

    It may be pickled more than once, which an owner may not. And it is not of
    the target's class and cannot be called, so no framework looks closer.
    """

    def __init__(self, proxy: Proxy[Any], ownership: bool) -> None:
        self._proxy = proxy
        self._ownership = ownership

    def __reduce__(self) -> tuple[Any, ...]:
        return into_owned if self._ownership else _unchanged, (self._proxy,)


def _unchanged(proxy: Proxy[Any]) -> Proxy[Any]:
    return proxy


def _received(argument: Any) -> Any:
    return argument._proxy if type(argument) is _Handover else argument


class StoreExecutor(Executor):
    """An executor that passes large arguments and results through a store.

    It works with the executors of `concurrent.futures` and with clients that
    have `submit` and `map`, such as Dask's, whose `map` gives futures.

    Args:
        executor: Runs the tasks. It must be able to pickle them, unless it
            runs in this process.
        store: Where the objects go. The workers must reach it too.
        should_proxy: Tells whether an argument or a result is proxied;
            nothing is, if not given. `None`, `True`, `False` and proxies are
            passed as they are.
        ownership: Whether a result is the `OwnedProxy` of its object, so that
            it is evicted with it, and an argument is evicted when its task is
            done.
        close_store: Whether `shutdown` closes the store.
    """

    def __init__(
        self,
        executor: Executor,
        store: Store[Any],
        should_proxy: Callable[[Any], bool] | None = None,
        *,
        ownership: bool = True,
        close_store: bool = True,
    ) -> None:
        self.executor = executor
        self.store = store
        self.should_proxy = ProxyNever() if should_proxy is None else should_proxy
        self.ownership = ownership
        self.close_store = close_store
        # One task for a function: some executors know functions by identity.
        self._registered: dict[Any, _Task[Any]] = {}
        # Keys of arguments that are in use, for shutdown.
        self._in_use: dict[ConnectorKeyT, None] = {}

    def _task(self, function: Callable[..., R]) -> _Task[R]:
        task = self._registered.get(function)
        if task is None:
            task = _Task(
                function, self.store._make_recipe(), self.should_proxy, self.ownership
            )
            self._registered[function] = task
        return task

    def _proxied(self, objs: Sequence[Any]) -> tuple[list[Any], list[ConnectorKeyT]]:
        """Put what is to be proxied, in one batch."""
        passed = list(objs)
        places = [
            place
            for place, obj in enumerate(passed)
            if _is_proxiable(obj) and self.should_proxy(obj)
        ]
        if not places:
            return passed, []
        proxies: list[Any] = self.store.proxy_batch([passed[place] for place in places])
        for place, proxy in zip(places, proxies, strict=True):
            # Not the proxy itself: Dask looks into lists and dictionaries.
            passed[place] = _Handover(proxy, ownership=False)
        if not self.ownership:
            return passed, []
        keys = [get_key(proxy) for proxy in proxies]
        self._in_use.update(dict.fromkeys(keys))
        return passed, keys

    def _evict(self, keys: list[ConnectorKeyT]) -> None:
        # Whoever takes a key out evicts it.
        mine = [key for key in keys if self._in_use.pop(key, self) is None]
        if mine:
            self.store._evict_batch(mine)

    def submit(  # type: ignore[override]
        self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs
    ) -> Future[R | Proxy[R]]:
        """Submit a task.

        Args:
            function: The function.
            args: Its positional arguments.
            kwargs: Its keyword arguments.

        Returns:
            The future that the executor returned.
        """
        passed, keys = self._proxied((*args, *kwargs.values()))
        try:
            future = self.executor.submit(
                self._task(function),
                *passed[: len(args)],
                **dict(zip(kwargs, passed[len(args) :], strict=True)),
            )
        except BaseException:
            self._evict(keys)
            raise
        if keys:
            future.add_done_callback(lambda _: self._evict(keys))
        return future

    def map(  # type: ignore[override]
        self,
        function: Callable[..., R],
        *iterables: Iterable[Any],
        **kwargs: Any,
    ) -> Iterator[R | Proxy[R]]:
        """Call a function with the items of iterables, side by side.

        All tasks are submitted at once, and all arguments stored in one
        batch.

        Args:
            function: The function.
            iterables: One for each argument; the shortest one ends the map.
            kwargs: Passed on to the `map` of the executor, such as `timeout`
                and `chunksize`.

        Returns:
            The results in order, or what else the executor's `map` gives:
            Dask's gives futures.
        """
        rows = list(zip(*iterables))  # noqa: B905
        width = len(iterables)
        passed, keys = self._proxied([item for row in rows for item in row])
        columns = [passed[place::width] for place in range(width)]
        try:
            results = self.executor.map(self._task(function), *columns, **kwargs)
        except BaseException:
            self._evict(keys)
            raise
        return self._collected(results, keys)

    def _collected(self, results: Any, keys: list[ConnectorKeyT]) -> Iterator[Any]:
        given: Iterator[Any] = iter(results)
        waiting: list[Any] = []
        if isinstance(results, (list, tuple)):
            waiting = [each for each in results if hasattr(each, 'add_done_callback')]
        if not waiting:
            return self._evict_after(given, keys)
        # Futures: the arguments stay until the last one is done.
        left = dict.fromkeys(range(len(waiting)))

        def _on_done(place: int) -> None:
            left.pop(place, None)
            if not left:
                self._evict(keys)

        for place, future in enumerate(waiting):
            future.add_done_callback(lambda _, place=place: _on_done(place))
        return given

    def _evict_after(
        self, results: Iterator[Any], keys: list[ConnectorKeyT]
    ) -> Iterator[Any]:
        try:
            yield from results
        finally:
            self._evict(keys)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shut the executor down, and close the store if `close_store`.

        Args:
            wait: Whether to wait for the tasks that run. If not, and
                `close_store` is set, they may find the store closed.
            cancel_futures: Whether tasks that have not begun are cancelled.
        """
        _shutdown(self.executor, wait=wait, cancel_futures=cancel_futures)
        if wait:
            self._evict(list(self._in_use))
        if self.close_store:
            self.store.close()


def _shutdown(executor: Any, **options: bool) -> None:
    shutdown = getattr(executor, 'shutdown', None)
    if shutdown is not None:
        try:
            inspect.signature(shutdown).bind(**options)
        except TypeError:
            pass  # Dask's ends the whole cluster, and has no options
        else:
            shutdown(**options)
            return
    executor.close()
