"""Objects by their paths."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ['get_object_path', 'import_from_path']


def get_object_path(obj: Any) -> str:
    """Return the path by which an object can be imported.

    Args:
        obj: A class or a function.

    Example:
        >>> from collections import OrderedDict
        >>> get_object_path(OrderedDict)
        'collections.OrderedDict'
    """
    return f'{obj.__module__}.{obj.__qualname__}'


def import_from_path(path: str) -> Any:
    """Return the object of a path, a class inside a class included.

    Args:
        path: Module and name, with dots.

    Raises:
        ImportError: If the module cannot be imported, or the path has no
            dot.
        AttributeError: If the module has no such object.

    Example:
        >>> import_from_path('collections.OrderedDict')
        <class 'collections.OrderedDict'>
    """
    parts = path.split('.')
    if len(parts) < 2 or not all(parts):
        raise ImportError(
            f'{path!r} is no path of an object: give module and name, such '
            "as 'package.module.Class'"
        )
    for cut in range(len(parts) - 1, 0, -1):
        module_name = '.'.join(parts[:cut])
        try:
            found: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            # Only if this module itself is missing may a shorter one do.
            if cut == 1 or not f'{module_name}.'.startswith(f'{error.name}.'):
                raise
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise ImportError(path)
