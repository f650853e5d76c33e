"""The older name of a store in a Redis server."""

from __future__ import annotations

from typing import Any

from proxystore.connectors.redis import RedisConnector
from proxystore.store.base import Store

__all__ = ['RedisStore']


class RedisStore(Store[RedisConnector]):
    """A store whose objects are in a Redis server.

    The same as `Store(name, RedisConnector(hostname, port))`.

    Args:
        name: Name of the store.
        hostname: Name or address of the server.
        port: Its port.
        cache_size: Most resolved objects that are kept for further use.
        kwargs: The other keyword arguments of `Store`.

    Raises:
        ConnectorUnreachableError: If no server answers.

    Example:
        >>> with RedisStore('example', '127.0.0.1', 6379) as store:
        ...     key = store.set('hello')
        ...     store.get(key)
        'hello'
    """

    def __init__(
        self,
        name: str,
        hostname: str,
        port: int,
        cache_size: int = 16,
        **kwargs: Any,
    ) -> None:
        connector = RedisConnector(hostname, port)
        super().__init__(name, connector, cache_size=cache_size, **kwargs)
