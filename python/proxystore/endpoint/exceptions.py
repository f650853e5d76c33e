"""What goes wrong with endpoints, by the names of ProxyStore 1.1.

Connectors raise the classes of `proxystore.exceptions`; these are bases that
older programs catch.

Example:
    >>> from proxystore.endpoint.exceptions import ObjectSizeExceededError
    >>> issubclass(ObjectSizeExceededError, Exception)
    True
"""

from __future__ import annotations

__all__ = [
    'FileDumpNotAvailableError',
    'ObjectSizeExceededError',
    'PeerRequestError',
    'PeeringNotAvailableError',
]


class FileDumpNotAvailableError(Exception):
    """An endpoint without a database was asked to keep its objects."""


class PeeringNotAvailableError(Exception):
    """An endpoint without peers was asked for one of theirs."""


class PeerRequestError(Exception):
    """A peer did not do what it was asked for."""


class ObjectSizeExceededError(Exception):
    """An object is larger than the endpoint takes."""
