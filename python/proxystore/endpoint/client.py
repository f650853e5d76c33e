"""Bytes in and out of an endpoint, as functions.

`EndpointConnector` does the same, and keeps its connection.

Example:
    >>> from proxystore.endpoint import client
    >>> client.get('nowhere', 'key')
    Traceback (most recent call last):
    ...
    proxystore.connectors.endpoint.EndpointConnectorError: endpoint: none of...
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

from proxystore.connectors.endpoint import EndpointConnector
from proxystore.connectors.endpoint import EndpointKey

if TYPE_CHECKING:
    from uuid import UUID

__all__ = ['evict', 'exists', 'get', 'put']

_connectors: dict[str, EndpointConnector] = {}


def _connector(address: str) -> EndpointConnector:
    if address not in _connectors:
        _connectors[address] = EndpointConnector([address])
    return _connectors[address]


def _key(key: str, endpoint: UUID | str | None) -> EndpointKey:
    return EndpointKey(key, None if endpoint is None else str(endpoint))


def evict(
    address: str,
    key: str,
    endpoint: UUID | str | None = None,
    session: Any = None,
) -> None:
    """Remove an object, if there is one.

    Args:
        address: Name or UUID of the endpoint to ask.
        key: The object's name.
        endpoint: UUID of the endpoint that holds it, if another.
        session: Without effect.
    """
    _connector(address).evict(_key(key, endpoint))


def exists(
    address: str,
    key: str,
    endpoint: UUID | str | None = None,
    session: Any = None,
) -> bool:
    """Tell whether there is an object.

    Args:
        address: Name or UUID of the endpoint to ask.
        key: The object's name.
        endpoint: UUID of the endpoint that holds it, if another.
        session: Without effect.
    """
    return _connector(address).exists(_key(key, endpoint))


def get(
    address: str,
    key: str,
    endpoint: UUID | str | None = None,
    session: Any = None,
) -> bytes | None:
    """Return an object's bytes, or None.

    Args:
        address: Name or UUID of the endpoint to ask.
        key: The object's name.
        endpoint: UUID of the endpoint that holds it, if another.
        session: Without effect.
    """
    return _connector(address).get(_key(key, endpoint))


def put(
    address: str,
    key: str,
    data: bytes,
    endpoint: UUID | str | None = None,
    session: Any = None,
) -> None:
    """Store an object.

    Args:
        address: Name or UUID of the endpoint to ask.
        key: The object's name.
        data: Its bytes.
        endpoint: UUID of the endpoint that is to hold it, if another.
        session: Without effect.

    Raises:
        ObjectTooLargeError: Above the endpoint's limit, before it is sent.
    """
    _connector(address).set(_key(key, endpoint), data)
