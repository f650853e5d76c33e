"""Objects in a Redis server, or one that speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple
from urllib.parse import quote

from proxystore import _core
from proxystore.connectors._native import NativeBase
from proxystore.exceptions import ConnectorConfigError

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

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
        username: User of the server's access control.
        password: Password of the user. `'${NAME}'` stands for the environment
            variable of that name, in every process that opens the store;
            anything else stays in this one, see `allow_secret`.
        db: Number of the database.
        tls: Whether to speak TLS.
        ca_file: Certificates (PEM) of the authorities to trust; the system's
            if not given.
        certificate: This client's certificate (PEM), if the server asks.
        private_key: Its private key (PEM).
        server_name: The name in the server's certificate, if it is not
            `hostname`.
        sentinels: Hosts and ports of sentinels, which know the master of
            `service`; hostname and port are not used then.
        service: What the sentinels call the service.
        sentinel_password: The sentinels' own password.
        cluster: Whether the server is a node of a Redis Cluster, which knows
            the others; or hosts and ports of several nodes, to be asked when
            the server does not answer.
        replicas: How many replicas must have an object before its put
            returns.
        namespace: What keys begin with, before a `:`.
        timeout: Most seconds without any byte sent or received.
        connect_timeout: Most seconds for making a connection.
        retries: How often a call is repeated whose connection dropped. In a
            cluster it is repeated until `timeout` has passed, or not at all
            if this is 0.
        allow_secret: Whether a password may travel in proxies as it is.

    Raises:
        ConnectorUnreachableError: If no server answers; the message names
            host and port.
        ConnectorConfigError: If an option is wrong.

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
    _wire_names = ('hostname', 'port', 'clear', 'url')

    def __init__(
        self,
        hostname: str,
        port: int,
        clear: bool = False,
        *,
        username: str | None = None,
        password: str | None = None,
        db: int = 0,
        tls: bool = False,
        ca_file: str | None = None,
        certificate: str | None = None,
        private_key: str | None = None,
        server_name: str | None = None,
        sentinels: Sequence[tuple[str, int]] = (),
        service: str | None = None,
        sentinel_password: str | None = None,
        cluster: bool | Sequence[tuple[str, int]] = False,
        replicas: int | None = None,
        namespace: str | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        retries: int | None = None,
        allow_secret: bool = False,
    ) -> None:
        options = {
            'ca_file': ca_file,
            'certificate': certificate,
            'private_key': private_key,
            'server_name': server_name,
            'sentinel_password': sentinel_password,
            'replicas': replicas,
            'namespace': namespace,
            'timeout': timeout,
            'connect_timeout': connect_timeout,
            'retries': retries,
            'allow_secret': 'true' if allow_secret else None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        self.url: str | None = None
        if cluster:
            if db or sentinels or service or hostname.startswith('/'):
                raise ConnectorConfigError(
                    'A cluster has one database, and finds its servers by itself: '
                    'give no db, no sentinels, no service and no unix socket with '
                    'cluster=True.'
                )
            others = [] if isinstance(cluster, bool) else cluster
            first = (hostname, port)
            known = [first, *((host, at) for host, at in others if (host, at) != first)]
            user = _user(username, password)
            url = f'{"rediss" if tls else "redis"}+cluster://{user}{_hosts(known)}'
            self._open(url + _query(given), clear)
            return
        if given or username or password or db or tls or sentinels or service:
            nodes = sentinels or [(hostname, port)]
            self._open(_url(nodes, service, username, password, db, tls, given), clear)
            return
        self.hostname = hostname
        self.port = port
        self.clear = clear
        self._native = _core.open_redis(hostname, port)

    def _open(self, url: str, clear: bool | None) -> None:
        self._native, parts = _core.open_redis_url(url)
        self.hostname, self.port, cleared, holds_secret, self._place = parts
        self.clear = cleared if clear is None else clear
        if holds_secret:
            from proxystore.connectors._secret import SecretUrl

            url = SecretUrl(url)
        self.url = url

    @classmethod
    def from_url(cls, url: str, *, clear: bool | None = None) -> Self:
        """Open the server that a URL names.

        Args:
            url: `redis://user:${PASSWORD}@host:port/db`, `rediss://` for TLS,
                `redis+cluster://host:port,host:port`,
                `redis+sentinel://host:port,host:port/service/db`,
                `redis+unix:///socket` or `redis+profile://name`; options
                follow a `?`.
            clear: Whether `close()` removes the objects; as the URL says if
                not given.
        """
        connector = cls.__new__(cls)
        connector._open(url, clear)
        return connector

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """Make a connector from what `config` returned."""
        if config.get('url') is not None:
            return cls.from_url(config['url'], clear=config.get('clear'))
        return cls(**{name: value for name, value in config.items() if name != 'url'})

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal connector."""
        config = {
            'hostname': self.hostname,
            'port': self.port,
            'clear': self.clear,
        }
        return config if self.url is None else {**config, 'url': self.url}

    def _wire_options(self) -> tuple[Any, ...]:
        return tuple(self.config().values())

    def __repr__(self) -> str:
        if self.url is not None:
            return f'RedisConnector({self._place})'
        return f'RedisConnector(hostname={self.hostname}, port={self.port})'

    def close(self, clear: bool | None = None) -> None:
        """Close the connections; closing again does no harm.

        Args:
            clear: Whether to remove the objects of proxystore from the
                server; the constructor's `clear` if not given.
        """
        self._native.close(self.clear if clear is None else clear)


def _part(text: Any) -> str:
    return quote(str(text), safe='${}')


def _user(username: str | None, password: str | None) -> str:
    if password is not None:
        return f'{_part(username or "")}:{_part(password)}@'
    return '' if username is None else f'{_part(username)}@'


def _hosts(nodes: Iterable[tuple[str, int]]) -> str:
    return ','.join(
        f'[{host}]:{port}' if ':' in host else f'{_part(host)}:{port}'
        for host, port in nodes
    )


def _query(options: Mapping[str, Any]) -> str:
    query = '&'.join(f'{name}={_part(value)}' for name, value in options.items())
    return f'?{query}' if query else ''


def _url(
    nodes: Sequence[tuple[str, int]],
    service: str | None,
    username: str | None,
    password: str | None,
    db: int,
    tls: bool,
    options: Mapping[str, Any],
) -> str:
    """Return the URL that says all this."""
    scheme = 'rediss' if tls else 'redis'
    user = _user(username, password)
    if service is not None:
        place = f'{user}{_hosts(nodes)}/{_part(service)}/{db}'
        return f'{scheme}+sentinel://{place}{_query(options)}'
    host, _ = nodes[0]
    if host.startswith('/'):
        path = _part(host).replace('%2F', '/')
        return f'redis+unix://{user}{path}{_query({"db": db, **options})}'
    return f'{scheme}://{user}{_hosts(nodes[:1])}/{db}{_query(options)}'
