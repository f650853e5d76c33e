"""Third-party packages that only some parts need."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, *, extra: str, user: str) -> Any:
    """Import a package that not everyone installs.

    Args:
        module: Name of the module.
        extra: The extra of our distribution that installs it.
        user: What needs it, for the message.

    Raises:
        ImportError: If it is not installed; the message says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (
            error.name is None
            or error.name.partition('.')[0] != module.partition('.')[0]
        ):
            raise  # it is there, but something that it needs is not
        raise ModuleNotFoundError(
            f'{user} needs the package that provides {module!r}. '
            f"Install it with: pip install 'proxystore[{extra}]'",
            name=error.name,
        ) from error
