"""Pass large objects by reference through distributed programs.

`store.proxy(x)` puts `x` into an object store and returns a *proxy*: a lazy,
transparent stand-in of a few hundred bytes that travels wherever the
program's messages go. Its first use, anywhere, fetches the object.

Example:
    >>> import proxystore as ps
    >>> p = ps.proxy.Proxy(ps.factory.SimpleFactory([1, 2, 3]))
    >>> sum(p)
    6
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from proxystore import connectors
    from proxystore import exceptions
    from proxystore import factory
    from proxystore import proxy
    from proxystore import serialize
    from proxystore import store
    from proxystore import utils
    from proxystore.store._asynchronous import aresolve

__all__ = [
    '__version__',
    'aresolve',
    'connectors',
    'exceptions',
    'factory',
    'proxy',
    'serialize',
    'store',
    'utils',
]

__version__ = '2.0.0'
"""Only digits and dots: dependents parse it."""


def __getattr__(name: str) -> Any:
    # Submodules are imported at their first use: a worker that resolves a
    # proxy pays only for what the proxy needs.
    if name == 'aresolve':
        from proxystore.store._asynchronous import aresolve

        return aresolve
    if name in __all__:
        return importlib.import_module(f'proxystore.{name}')
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
