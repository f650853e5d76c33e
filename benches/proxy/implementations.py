"""The kinds of proxy that are compared, each made in its own way."""

from __future__ import annotations

import atexit
import pickle
import shutil
import tempfile
from typing import Any

from operations import Operation
from operations import Target
from operations import identity
from operations import make_list


class Maker:
    """A picklable factory, the same for every kind of proxy."""

    def __init__(self, target: Any) -> None:
        self.target = target

    def __call__(self) -> Any:
        return self.target


class NativeConstructed:
    __slots__ = ('factory',)

    def __init__(self, factory: Any) -> None:
        self.factory = factory


def proxy_class(implementation: str, operation: Operation) -> type | None:
    """Return the class, or None where the package has none for the operation."""
    if implementation in ('proxystore', 'proxystore 1.1'):
        from proxystore.proxy import Proxy

        return Proxy
    if operation.kind in ('unresolved', 'store'):
        return None  # neither of the others pickles its factory
    if implementation == 'lazy-object-proxy':
        from lazy_object_proxy.cext import Proxy

        return Proxy
    if implementation == 'wrapt':
        import wrapt

        if operation.kind == 'call':
            return wrapt.CallableObjectProxy
        if operation.name.startswith('first use'):
            return None  # made with the target, not with a factory
        if operation.kind == 'iterate':
            return wrapt.ObjectProxy
        return getattr(wrapt, 'BaseObjectProxy', wrapt.ObjectProxy)
    raise ValueError(implementation)


def namespace(implementation: str, operation: Operation) -> dict[str, Any] | None:
    """Return what the statement of an operation finds, or None."""
    target = operation.target()
    names: dict[str, Any] = {'T': Target, 'f': make_list}
    if 'np.' in operation.statement or 'array' in operation.statement:
        import numpy as np

        names.update(np=np, array=np.arange(1000.0))
    names.update(dumps=pickle.dumps, loads=pickle.loads)
    if implementation == 'native':
        if operation.kind == 'store':
            return None
        names.update(p=target, P=NativeConstructed)
        if operation.kind == 'class':
            names['P'] = (
                NativeConstructed if operation.name == 'construct' else identity_call
            )
        if operation.kind == 'unresolved':
            names['p'] = Maker(
                target
            )  # a proxy's pickle is its factory's and a little more
            names['data'] = pickle.dumps(names['p'])
        return names
    made = proxy_class(implementation, operation)
    if made is None:
        return None
    names['P'] = made
    if operation.kind == 'store':
        names['p'] = stored(target)
        names['data'] = pickle.dumps(names['p'])
        return names
    if operation.kind == 'class':
        return names
    if operation.kind == 'subclass':
        made = type('Subclass', (made,), {})
    proxy = made(target if implementation == 'wrapt' else Maker(target))
    if operation.kind == 'unresolved':
        names['data'] = pickle.dumps(proxy)
    elif operation.target is not identity:
        str(proxy)  # resolves, whatever the kind
    names['p'] = proxy
    return names


def stored(target: Any) -> Any:
    """Return a proxy that a store made, of files below a path of 100 characters."""
    from proxystore.connectors.file import FileConnector
    from proxystore.store import Store

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder += '/' + 'x' * (99 - len(folder))
    return Store('benchmark', FileConnector(folder)).proxy(target)


def identity_call(factory: Any) -> Any:
    return factory()
