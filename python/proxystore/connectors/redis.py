"""Objects in a Redis server, or one that speaks its protocol."""

from __future__ import annotations

from typing import NamedTuple

from proxystore import _core
from proxystore.connectors._native import NativeBase

__all__ = ['RedisConnector', 'RedisKey']


class RedisKey(NamedTuple):
    """Key of an object in a Redis server.

    Attributes:
        redis_key: The object's key there.
    """

    redis_key: str


class RedisConnector(NativeBase[RedisKey]):
    """Keeps objects in a Redis server.

    Args:
        hostname: Name or address of the server; a path that begins with `/`
            is its unix socket.
        port: Its port; not used with a unix socket.
        clear: Whether `close()` removes the objects of proxystore from the
            server. Other keys are never touched.

    Raises:
        ConnectorUnreachableError: If no server answers; the message names
            host and port.

    Example:
        >>> connector = RedisConnector('127.0.0.1', 6379)
        >>> key = connector.put(b'hello')
        >>> connector.get(key)
        b'hello'
        >>> connector.evict(key)
        >>> connector.close()
    """

    _key_class = RedisKey
    _wire_kind = 'redis'
    _wire_names = ('hostname', 'port', 'clear')

    def __init__(self, hostname: str, port: int, clear: bool = False) -> None:
        self.hostname = hostname
        self.port = port
        self.clear = clear
        self._native = _core.open_redis(hostname, port)

    def __repr__(self) -> str:
        return f'RedisConnector(hostname={self.hostname}, port={self.port})'

    def close(self, clear: bool | None = None) -> None:
        """Close the connections; closing again does no harm.

        Args:
            clear: Whether to remove the objects of proxystore from the
                server; the constructor's `clear` if not given.
        """
        self._native.close(self.clear if clear is None else clear)
