"""The commands of the package: one program, under several names."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ['find', 'proxystore', 'proxystore_endpoint', 'proxystore_relay']


def find() -> str:
    """Return the path of the program.

    It is `$PROXYSTORE_BIN` if that is set, else the package's own, else the
    one that `cargo install proxystore-cli` made: a wheel has the program, a
    build from source has not.

    Raises:
        FileNotFoundError: If there is none; the message says how to get it.

    Example:
        >>> import os
        >>> os.environ['PROXYSTORE_BIN'] = os.devnull
        >>> from proxystore import _command
        >>> _command.find() == os.devnull
        True
        >>> del os.environ['PROXYSTORE_BIN']
    """
    chosen = os.environ.get('PROXYSTORE_BIN')
    if chosen:
        if not Path(chosen).exists():
            raise FileNotFoundError(
                f'PROXYSTORE_BIN names {chosen}, which is not there'
            )
        return chosen
    cargo = Path(os.environ.get('CARGO_HOME') or '~/.cargo').expanduser()
    own = Path(__file__).parent / '_bin' / 'proxystore'
    for path in (own, cargo / 'bin' / 'proxystore'):
        if path.exists():
            return str(path)
    raise FileNotFoundError(
        'this package was built from source, without the program behind its '
        'commands. Install a wheel, which has it, or build it by `cargo install '
        'proxystore-cli` (in a clone: `cargo install --path '
        'crates/proxystore-cli`); if it is elsewhere, set PROXYSTORE_BIN to its path.'
    )


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
