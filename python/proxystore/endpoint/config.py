"""Configuration files of endpoints.

Example:
    >>> from proxystore.endpoint.config import EndpointConfig
    >>> EndpointConfig(name='left', uuid='5a0f2d1e', port=0).storage.max_object_size
    100000000
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from typing import Literal

from pydantic import Field
from pydantic import field_validator

from proxystore._strict import StrictModel
from proxystore.endpoint.constants import MAX_OBJECT_SIZE_DEFAULT
from proxystore.utils.config import dump
from proxystore.utils.config import load

__all__ = [
    'ENDPOINT_CONFIG_FILE',
    'ENDPOINT_DATABASE_FILE',
    'ENDPOINT_LOG_FILE',
    'ENDPOINT_PID_FILE',
    'EndpointConfig',
    'EndpointRelayAuthConfig',
    'EndpointRelayConfig',
    'EndpointRelayICEServerConfig',
    'EndpointStorageConfig',
    'get_configs',
    'get_log_filepath',
    'get_pid_filepath',
    'read_config',
    'validate_name',
    'write_config',
]

ENDPOINT_CONFIG_FILE = 'config.toml'
ENDPOINT_DATABASE_FILE = 'blobs.db'
ENDPOINT_LOG_FILE = 'log.txt'
ENDPOINT_PID_FILE = 'daemon.pid'


class EndpointRelayICEServerConfig(StrictModel):
    """A STUN server of ProxyStore 1.1: accepted, and without effect."""

    urls: str | list[str]
    username: str | None = None
    credential: str | None = Field(None, repr=False)


class EndpointRelayAuthConfig(StrictModel):
    """How ProxyStore 1.1 proves who it is to a relay: without effect.

    A relay knows endpoints by their public keys, or by a token.
    """

    method: Literal['globus'] | None = None
    kwargs: dict[str, Any] = Field(default_factory=dict, repr=False)


class EndpointRelayConfig(StrictModel):
    """The relay that peers find each other by.

    Attributes:
        address: `https://host:port`, or None for no relay.
        auth: Without effect.
        ice_servers: Without effect.
        peer_channels: Without effect: transfers are striped as needed.
        verify_certificate: Always true; see `certificate`.
        token_file: File with the token that the relay asks for.
        certificate: File with the certificate that the relay's is signed by.
    """

    address: str | None = None
    auth: EndpointRelayAuthConfig = Field(default_factory=EndpointRelayAuthConfig)
    ice_servers: list[EndpointRelayICEServerConfig] | None = None
    peer_channels: int = 1
    verify_certificate: bool = True
    token_file: str | None = None
    certificate: str | None = None


class EndpointStorageConfig(StrictModel):
    """How an endpoint keeps its objects.

    Attributes:
        database_path: The database that objects persist in, or None.
        max_object_size: Largest object in bytes; 0 for no limit.
        memory_limit: Most bytes of objects in memory; half of the machine's
            if None.
        spill: Whether what does not fit goes to the disk.
    """

    database_path: str | None = None
    max_object_size: int = MAX_OBJECT_SIZE_DEFAULT
    memory_limit: int | None = None
    spill: bool = True


class EndpointConfig(StrictModel):
    """An endpoint's configuration.

    Attributes:
        name: Its name, which is that of its folder.
        uuid: What others call it.
        port: TCP port for clients on other hosts of the site; 0 for any.
        host: Name or address of this host, with `host_type='static'`.
        host_type: How clients on other hosts reach it; `'none'` for none.
        relay: The relay.
        storage: How objects are kept.
        peers: How peers come in; see docs/endpoints.md.
        metrics: `{'port': ...}` for Prometheus.
    """

    name: str
    uuid: str
    port: int
    host: str | None = None
    host_type: Literal['ip', 'fqdn', 'static', 'none'] = 'ip'
    relay: EndpointRelayConfig = Field(default_factory=EndpointRelayConfig)
    storage: EndpointStorageConfig = Field(default_factory=EndpointStorageConfig)
    peers: dict[str, Any] | None = None
    metrics: dict[str, int] | None = None

    @field_validator('name')
    @classmethod
    def _check_name(cls, name: str) -> str:
        if not validate_name(name):
            raise ValueError('letters, digits, - and _ make a name')
        return name

    @field_validator('port')
    @classmethod
    def _check_port(cls, port: int) -> int:
        if not 0 <= port <= 65535:
            raise ValueError('a port is a number from 0 to 65535')
        return port


def validate_name(name: str) -> bool:
    """Tell whether a text can be an endpoint's name.

    Args:
        name: Letters, digits, `-` and `_`, at least one.
    """
    return re.fullmatch(r'[A-Za-z0-9_-]{1,100}', name) is not None


def read_config(endpoint_dir: str) -> EndpointConfig:
    """Read the configuration in an endpoint's folder.

    Args:
        endpoint_dir: The folder.

    Raises:
        FileNotFoundError: If there is none.
        ValueError: If it is wrong; the message says where.
    """
    path = Path(endpoint_dir) / ENDPOINT_CONFIG_FILE
    if not path.exists():
        raise FileNotFoundError(f'there is no configuration in {endpoint_dir}')
    with path.open('rb') as file:
        return load(EndpointConfig, file)


def write_config(cfg: EndpointConfig, endpoint_dir: str) -> None:
    """Write a configuration into an endpoint's folder, which is made.

    Args:
        cfg: The configuration.
        endpoint_dir: The folder.
    """
    folder = Path(endpoint_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (folder / ENDPOINT_CONFIG_FILE).open('wb') as file:
        dump(cfg, file)


def get_configs(proxystore_dir: str) -> list[EndpointConfig]:
    """Return the configurations of all endpoints below a folder.

    Args:
        proxystore_dir: Where endpoints are configured.
    """
    found = sorted(Path(proxystore_dir).glob(f'*/{ENDPOINT_CONFIG_FILE}'))
    return [read_config(str(path.parent)) for path in found]


def get_log_filepath(endpoint_dir: str) -> str:
    """Return the path of an endpoint's log.

    Args:
        endpoint_dir: The endpoint's folder.
    """
    return str(Path(endpoint_dir) / ENDPOINT_LOG_FILE)


def get_pid_filepath(endpoint_dir: str) -> str:
    """Return the path of the file with the daemon's process.

    Args:
        endpoint_dir: The endpoint's folder.
    """
    return str(Path(endpoint_dir) / ENDPOINT_PID_FILE)
