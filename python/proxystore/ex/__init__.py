"""The extensions of ProxyStore, by a shorter name.

`proxystore.ex` and everything below it are the modules of the package
`proxystore_ex`, the very same objects: `pip install 'proxystore[extensions]'`.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

try:
    _extensions: Any = importlib.import_module('proxystore_ex')
except ModuleNotFoundError as error:
    if error.name != 'proxystore_ex':
        raise
    raise ImportError(
        'proxystore.ex is the package proxystore_ex, which is not installed. '
        "Install it with: pip install 'proxystore[extensions]'",
        name='proxystore_ex',
    ) from error

_HERE = 'proxystore.ex.'
_THERE = 'proxystore_ex.'


class _Alias(MetaPathFinder, Loader):
    """Imports a module below here as the one that it stands for."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if not fullname.startswith(_HERE):
            return None
        return ModuleSpec(fullname, self)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        name = _THERE + spec.name.removeprefix(_HERE)
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise
            raise ModuleNotFoundError(
                f'No module named {spec.name!r}', name=spec.name
            ) from error
        self._own[name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It has run under its own name, and keeps what it was given then.
        module.__spec__ = self._own.pop(module.__name__)


sys.meta_path.insert(0, _Alias())


def __getattr__(name: str) -> Any:
    return getattr(_extensions, name)


def __dir__() -> list[str]:
    return dir(_extensions)
