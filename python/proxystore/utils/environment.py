"""Where this process runs.

Example:
    >>> import os
    >>> from proxystore.utils.environment import home_dir
    >>> os.environ['PROXYSTORE_HOME'] = '/data/proxystore'
    >>> home_dir()
    '/data/proxystore'
    >>> del os.environ['PROXYSTORE_HOME']
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ['home_dir', 'hostname']


def home_dir() -> str:
    """Return the directory of proxystore's own files, such as endpoints.

    It is `$PROXYSTORE_HOME` if that is set, else `proxystore` in the user's
    data directory (`$XDG_DATA_HOME` or `~/.local/share`). It is not made.
    """
    chosen = os.environ.get('PROXYSTORE_HOME')
    if chosen:
        return str(Path(chosen).expanduser().absolute())
    base = os.environ.get('XDG_DATA_HOME') or '~/.local/share'
    return str(Path(base).expanduser() / 'proxystore')


def hostname() -> str:
    """Return the name of this host."""
    return socket.gethostname()
