"""Objects at the endpoint of this site, and at its peers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple

from proxystore import _core
from proxystore.connectors._native import NativeBase
from proxystore.exceptions import ConnectorError

if TYPE_CHECKING:
    from uuid import UUID

    from proxystore.serialize import BytesLike

__all__ = ['EndpointConnector', 'EndpointConnectorError', 'EndpointKey']


class EndpointConnectorError(ConnectorError):
    """What went wrong at an endpoint.

    What a connector raises also is of the class of `proxystore.exceptions`
    that says what it was, such as `ConnectorUnreachableError`: see
    `proxystore.endpoint.exceptions`.
    """


class EndpointKey(NamedTuple):
    """Key of an object at an endpoint.

    Attributes:
        object_id: The object's name.
        endpoint_id: UUID of the endpoint that holds it, or None for the one
            of this site.
    """

    object_id: str
    endpoint_id: str | None


class EndpointConnector(NativeBase[EndpointKey]):  # type: ignore[type-var]
    """Keeps objects at the endpoint of this site, and finds those of others.

    An endpoint is a daemon: `proxystore-endpoint configure NAME` makes one,
    `proxystore-endpoint start NAME --detach` starts it. Objects above a
    megabyte lie in memory that it shares with its clients: they are neither
    sent nor copied when they are fetched on its host.

    Args:
        endpoints: UUIDs, public keys or names of endpoints. The first that
            runs at this site is used; with a list of one for each site, the
            same arguments serve everywhere. None at all stands for the only
            endpoint that is configured here.
        proxystore_dir: Where endpoints are configured; `$PROXYSTORE_HOME`
            or the user's data directory if not given.

    Raises:
        EndpointConnectorError: If none of them is configured here or none
            answers; the message says how to start it.

    Example:
        >>> from proxystore.connectors.endpoint import EndpointConnector
        >>> EndpointConnector(['nowhere'], proxystore_dir='/nonexistent')
        Traceback (most recent call last):
        ...
        proxystore.connectors.endpoint.EndpointConnectorError: endpoint: none of...
    """

    _key_class = EndpointKey  # type: ignore[assignment]
    _wire_kind = 'endpoint'
    _wire_names = ('endpoints', 'proxystore_dir')

    def __init__(
        self,
        endpoints: Sequence[str | UUID],
        proxystore_dir: str | None = None,
    ) -> None:
        if isinstance(endpoints, str):
            raise TypeError('endpoints is a list of UUIDs or names, not one text')
        self.endpoints = [str(endpoint) for endpoint in endpoints]
        self.proxystore_dir = proxystore_dir
        try:
            self._native, parts = _core.open_endpoint(self.endpoints, proxystore_dir)
        except ConnectorError as error:
            raise EndpointConnectorError(str(error)) from error
        self.endpoint_uuid, self.endpoint_host, self.address = parts
        _, _, port = self.address.rpartition(':')
        self.endpoint_port = int(port or 0)

    def __repr__(self) -> str:
        return f'EndpointConnector(endpoints={self.endpoints})'

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal connector."""
        return {
            'endpoints': list(self.endpoints),
            'proxystore_dir': self.proxystore_dir,
        }

    def _key(self, name: str) -> EndpointKey:
        object_id, at, endpoint_id = name.rpartition('@')
        return EndpointKey(object_id, endpoint_id) if at else EndpointKey(name, None)

    def set(self, key: EndpointKey, obj: BytesLike) -> None:
        """Store bytes under a given key, replacing what was there.

        Args:
            key: A key of this connector; its endpoint gets the object.
            obj: Bytes-like.
        """
        self._native.set(_name(key), obj)

    def get(self, key: EndpointKey) -> bytes | None:
        """Return the bytes of a key, or None if there are none.

        Args:
            key: A key of this connector, or of one at another site.
        """
        return self._native.get(_name(key))

    def get_batch(self, keys: Sequence[EndpointKey]) -> list[BytesLike | None]:
        """Return the bytes of several keys, in order.

        Args:
            keys: Keys of this connector, or of others.
        """
        return [*self._native.get_batch([_name(key) for key in keys])]

    def exists(self, key: EndpointKey) -> bool:
        """Tell whether there are bytes of this key.

        Args:
            key: A key of this connector, or of one at another site.
        """
        return self._native.exists(_name(key))

    def evict(self, key: EndpointKey) -> None:
        """Remove the bytes of a key, if there are any.

        Args:
            key: A key of this connector, or of one at another site.
        """
        self._native.evict(_name(key))


def _name(key: EndpointKey) -> str:
    object_id, endpoint_id = key
    return object_id if endpoint_id is None else f'{object_id}@{endpoint_id}'
