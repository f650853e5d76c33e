"""The command line `proxystore-endpoint`; the program itself has no Python.

Example:
    >>> from proxystore.endpoint.cli import cli
    >>> callable(cli)
    True
"""

from __future__ import annotations

from proxystore._command import proxystore_endpoint as cli

__all__ = ['cli']
