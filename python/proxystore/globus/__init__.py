"""Signing in to Globus, for the connector that transfers files with it.

The package `globus-sdk` is needed: `pip install 'proxystore[globus]'`.

Example:
    >>> from proxystore.globus.scopes import get_transfer_scopes_by_resource_server
    >>> [*get_transfer_scopes_by_resource_server()]
    ['transfer.api.globus.org']
"""
