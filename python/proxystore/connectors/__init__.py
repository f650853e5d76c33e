"""Connectors move the bytes of a store to a place that keeps them.

Example:
    >>> from proxystore.connectors.local import LocalConnector
    >>> connector = LocalConnector()
    >>> key = connector.put(b'bytes')
    >>> connector.get(key)
    b'bytes'
"""
