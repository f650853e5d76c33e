"""The commands of `proxystore-endpoint`, as functions.

Each runs the program and returns its exit status: 0, or another number after
it has said on the standard error what was wrong.

Example:
    >>> from proxystore.endpoint.commands import EndpointStatus
    >>> from proxystore.endpoint.commands import get_status
    >>> get_status('nowhere', '/nonexistent') is EndpointStatus.UNKNOWN
    True
"""

from __future__ import annotations

import enum
import os
import subprocess
from pathlib import Path

from proxystore import _command
from proxystore.endpoint.config import ENDPOINT_CONFIG_FILE
from proxystore.utils.environment import home_dir

__all__ = [
    'EndpointStatus',
    'configure_endpoint',
    'get_status',
    'list_endpoints',
    'remove_endpoint',
    'start_endpoint',
    'stop_endpoint',
]


class EndpointStatus(enum.Enum):
    """Whether an endpoint runs."""

    RUNNING = 1
    """It answers."""
    STOPPED = 2
    """It is configured, and does not run."""
    UNKNOWN = 3
    """There is none of this name."""
    HANGING = 4
    """It was killed, and left its files behind."""


def _run(
    *arguments: str, proxystore_dir: str | None, quiet: bool = False
) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ)
    if proxystore_dir is not None:
        environment['PROXYSTORE_HOME'] = proxystore_dir
    return subprocess.run(
        ['proxystore-endpoint', *arguments],
        executable=_command.find(),
        env=environment,
        text=True,
        stdout=subprocess.DEVNULL if quiet else None,
        stderr=subprocess.DEVNULL if quiet else None,
    )


def get_status(name: str, proxystore_dir: str | None = None) -> EndpointStatus:
    """Tell whether an endpoint runs.

    Args:
        name: The endpoint's name.
        proxystore_dir: Where endpoints are configured.
    """
    folder = Path(proxystore_dir or home_dir()) / name
    if not (folder / ENDPOINT_CONFIG_FILE).exists():
        return EndpointStatus.UNKNOWN
    if not (folder / 'daemon.run').exists():
        return EndpointStatus.STOPPED
    health = _run('health', name, proxystore_dir=proxystore_dir, quiet=True)
    return EndpointStatus.HANGING if health.returncode else EndpointStatus.RUNNING


def configure_endpoint(
    name: str,
    *,
    port: int | None,
    relay_server: str | None,
    host: str = 'ip',
    proxystore_dir: str | None = None,
    peer_channels: int = 1,
    persist_data: bool = False,
    relay_auth: bool = True,
) -> int:
    """Configure a new endpoint.

    Args:
        name: Letters, digits, `-` and `_`.
        port: TCP port for clients on other hosts; any that is free if None.
        relay_server: Address of the relay, or None.
        host: `'ip'`, `'fqdn'`, an address or a name, or `'none'`.
        proxystore_dir: Where endpoints are configured.
        peer_channels: Without effect.
        persist_data: Whether objects outlive the endpoint.
        relay_auth: Without effect.
    """
    arguments = ['configure', name, '--host', host, '--port', str(port or 0)]
    if relay_server is not None:
        arguments += ['--relay-address', relay_server]
    if persist_data:
        arguments.append('--persist')
    return _run(*arguments, proxystore_dir=proxystore_dir).returncode


def list_endpoints(*, proxystore_dir: str | None = None) -> int:
    """Print the endpoints that are configured.

    Args:
        proxystore_dir: Where endpoints are configured.
    """
    return _run('list', proxystore_dir=proxystore_dir).returncode


def remove_endpoint(name: str, *, proxystore_dir: str | None = None) -> int:
    """Remove an endpoint and everything that it holds.

    Args:
        name: The endpoint's name; it must not be running.
        proxystore_dir: Where endpoints are configured.
    """
    return _run('remove', name, proxystore_dir=proxystore_dir).returncode


def start_endpoint(
    name: str,
    *,
    detach: bool = False,
    log_level: str = 'INFO',
    proxystore_dir: str | None = None,
) -> int:
    """Start an endpoint; without `detach`, return when it has ended.

    Args:
        name: The endpoint's name.
        detach: Whether it runs in the background.
        log_level: How much it logs.
        proxystore_dir: Where endpoints are configured.
    """
    arguments = ['--log-level', log_level, 'start', name]
    if detach:
        arguments.append('--detach')
    return _run(*arguments, proxystore_dir=proxystore_dir).returncode


def stop_endpoint(name: str, *, proxystore_dir: str | None = None) -> int:
    """Stop an endpoint that runs on this host.

    Args:
        name: The endpoint's name.
        proxystore_dir: Where endpoints are configured.
    """
    return _run('stop', name, proxystore_dir=proxystore_dir).returncode
