"""Endpoints: daemons that hold objects at each site and fetch them from peers.

The daemon is a program of its own, `proxystore-endpoint`. Here is what
configures and starts it from Python; objects are put and fetched with
`proxystore.connectors.endpoint.EndpointConnector`.

Example:
    >>> from proxystore.endpoint.config import validate_name
    >>> validate_name('my-endpoint')
    True
"""

from __future__ import annotations
