"""The commands of the package: one program, under several names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ['find', 'proxystore', 'proxystore_endpoint', 'proxystore_relay']


def find() -> str:
    """Return the path of the program: `$PROXYSTORE_BIN`, or the package's own.

    Raises:
        FileNotFoundError: If the package was built without it; the message
            says how to get it.

    Example:
        >>> import os
        >>> os.environ['PROXYSTORE_BIN'] = os.devnull
        >>> from proxystore import _command
        >>> _command.find() == os.devnull
        True
        >>> del os.environ['PROXYSTORE_BIN']
    """
    chosen = os.environ.get('PROXYSTORE_BIN')
    path = Path(chosen) if chosen else Path(__file__).parent / '_bin' / 'proxystore'
    if not path.exists():
        raise FileNotFoundError(
            f'the program {path} is not there: this package was built without '
            'its commands. Install a wheel that has them, or build them with '
            '`cargo install --path crates/proxystore-cli` in a clone and set '
            'PROXYSTORE_BIN to the path of `proxystore`.'
        )
    return str(path)


def _become(name: str) -> None:
    """Replace this process with the program."""
    try:
        program = find()
    except FileNotFoundError as error:
        sys.exit(f'{name}: {error}')
    os.execv(program, [name, *sys.argv[1:]])


def proxystore() -> None:
    """Run the command `proxystore`."""
    _become('proxystore')


def proxystore_endpoint() -> None:
    """Run the command `proxystore-endpoint`."""
    _become('proxystore-endpoint')


def proxystore_relay() -> None:
    """Run the command `proxystore-relay`."""
    _become('proxystore-relay')
