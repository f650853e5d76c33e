"""What goes wrong with endpoints.

What an endpoint could not do is raised as a class that says what it was, and
which is also an `EndpointConnectorError`, as older programs catch it. The four
classes at the end are names of ProxyStore 1.1, whose daemon raised them; of
them only `ObjectSizeExceededError` is still the base of one that is raised.

Example:
    >>> from proxystore.connectors.endpoint import EndpointConnectorError
    >>> from proxystore.endpoint.exceptions import EndpointUnreachableError
    >>> from proxystore.exceptions import ConnectorUnreachableError
    >>> issubclass(EndpointUnreachableError, EndpointConnectorError)
    True
    >>> issubclass(EndpointUnreachableError, ConnectorUnreachableError)
    True
"""

from __future__ import annotations

from proxystore.connectors.endpoint import EndpointConnectorError
from proxystore.exceptions import ConnectorClosedError
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorFullError
from proxystore.exceptions import ConnectorKeyError
from proxystore.exceptions import ConnectorPermissionError
from proxystore.exceptions import ConnectorTimeoutError
from proxystore.exceptions import ConnectorUnreachableError
from proxystore.exceptions import ConnectorUnsupportedError
from proxystore.exceptions import ObjectTooLargeError
from proxystore.exceptions import WrongHostError

__all__ = [
    'EndpointClosedError',
    'EndpointConfigError',
    'EndpointConnectorError',
    'EndpointFullError',
    'EndpointKeyError',
    'EndpointObjectTooLargeError',
    'EndpointPermissionError',
    'EndpointTimeoutError',
    'EndpointUnreachableError',
    'EndpointUnsupportedError',
    'EndpointWrongHostError',
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


class EndpointConfigError(EndpointConnectorError, ConnectorConfigError):
    """No endpoint of that name is configured here, or no peer of that name is known."""


class EndpointKeyError(EndpointConnectorError, ConnectorKeyError):
    """A key is none that an endpoint takes."""


class EndpointUnreachableError(EndpointConnectorError, ConnectorUnreachableError):
    """An endpoint does not run, or its peer cannot be reached."""


class EndpointTimeoutError(EndpointConnectorError, ConnectorTimeoutError):
    """An endpoint or its peer did not answer in time."""


class EndpointPermissionError(EndpointConnectorError, ConnectorPermissionError):
    """An endpoint, a peer or the relay does not let us in."""


class EndpointFullError(EndpointConnectorError, ConnectorFullError):
    """An endpoint has no space left, in memory or on its disk."""


class EndpointObjectTooLargeError(
    EndpointConnectorError, ObjectTooLargeError, ObjectSizeExceededError
):
    """An object is larger than an endpoint takes."""


class EndpointClosedError(EndpointConnectorError, ConnectorClosedError):
    """The connector was closed."""


class EndpointUnsupportedError(EndpointConnectorError, ConnectorUnsupportedError):
    """An endpoint does not do that."""


class EndpointWrongHostError(EndpointConnectorError, WrongHostError):
    """An endpoint serves programs of its own host only, which is another one."""
