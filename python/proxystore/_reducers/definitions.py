"""Functions and classes: what was defined in the program's main module.

Pickle names them as `__main__.Name`, which only a process with the same
main module can look up. cloudpickle brings their definition along instead,
which makes another class of the same name, so that `isinstance` in a worker
that does have the main module says no. So both travel: the name for those
who have the same main module, the definition for all others.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import contextlib
import os
import sys
import weakref
from typing import Any

# A definition that drags more than this along (a large global that a method
# reads) travels by name only, as with pickle.
_LARGEST_DEFINITION = 1 << 20

# Tells this process and those that are forked from it from all others.
_PROGRAM = os.urandom(8)

_real_paths: dict[str, str] = {}

# Of a script, definitions are made once: what a script changes of its classes
# and globals after their first put does not travel. What was typed in is made
# anew each time.
_kept: weakref.WeakKeyDictionary[Any, bytes | None] = weakref.WeakKeyDictionary()


class _TooLargeError(Exception):
    pass


class _SmallFile:
    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.left = _LARGEST_DEFINITION

    def write(self, part: Any) -> int:
        size = len(part)
        self.left -= size
        if self.left < 0:
            raise _TooLargeError
        self.parts.append(bytes(part))
        return size

    def take(self, buffer: Any) -> bool:
        with buffer.raw() as view:
            if view.nbytes > self.left:
                raise _TooLargeError
        return True


def _definition(obj: Any) -> bytes | None:
    import cloudpickle

    file = _SmallFile()
    try:
        cloudpickle.Pickler(file, protocol=5, buffer_callback=file.take).dump(obj)
    except Exception:
        return None
    return b''.join(file.parts)


def _main_file() -> str | None:
    file = getattr(sys.modules.get('__main__'), '__file__', None)
    # What was piped in is called '<stdin>'.
    if not isinstance(file, str) or file.startswith('<'):
        return None
    if file not in _real_paths:
        _real_paths[file] = os.path.realpath(file)
    return _real_paths[file]


def _look_up(qualified_name: str) -> Any:
    found: Any = sys.modules['__main__']
    for name in qualified_name.split('.'):
        found = getattr(found, name)
    return found


def reduce_definition(obj: Any) -> Any:
    """Name and definition of a function or class of the main module."""
    name = obj.__qualname__
    try:
        if _look_up(name) is not obj:
            return NotImplemented
    except AttributeError:
        # Not to be found by name: cloudpickle's business.
        return NotImplemented
    file = _main_file()
    if file is None:
        # A notebook or an interactive session.
        definition = _definition(obj)
    else:
        try:
            definition = _kept[obj]
        except (KeyError, TypeError):
            definition = _definition(obj)
            with contextlib.suppress(TypeError):
                _kept[obj] = definition
    return rebuild_definition, (name, file, _PROGRAM, definition)


def rebuild_definition(
    name: str,
    file: str | None,
    program: bytes,
    definition: bytes | None,
) -> Any:
    """The function or class, by name where the main module is the same."""
    same = program == _PROGRAM or (file is not None and file == _main_file())
    if same or definition is None:
        try:
            return _look_up(name)
        except AttributeError:
            if definition is None:
                raise
    import cloudpickle

    return cloudpickle.loads(definition)
