"""Connectors by URL."""

from __future__ import annotations

from typing import Any
from urllib.parse import SplitResult
from urllib.parse import parse_qsl
from urllib.parse import unquote
from urllib.parse import urlsplit

from proxystore._nearest import did_you_mean
from proxystore.exceptions import ConnectorConfigError


def open_connector(url: str) -> Any:
    """Open the connector that a URL names.

    Args:
        url: `memory://`, `shm://`, `file:///directory`, `redis://host:port`,
            `redis+unix:///socket`, `s3://bucket/prefix`, `gs://` or `az://`,
            or `endpoint://name`; options follow a `?`.

    Raises:
        ConnectorConfigError: If the URL is none of these, or an option is
            not known; the message names the nearest one.
    """
    parts = urlsplit(url)
    kind = _KINDS.get(parts.scheme)
    if kind is None:
        hint = did_you_mean(parts.scheme, _KINDS, '{}://')
        raise ConnectorConfigError(
            f'{parts.scheme or url!r} is no kind of store that a URL can '
            f'name.{hint} Known: {", ".join(f"{one}://" for one in _KINDS)}'
        )
    return kind(parts)


def split_settings(url: str) -> tuple[str, dict[str, Any]]:
    """Take the options of the store out of a URL of its connector.

    Returns:
        The URL without them, and the options.

    Raises:
        ConnectorConfigError: If one of them has no sound value.
    """
    place, mark, query = url.partition('?')
    settings: dict[str, Any] = {}
    rest = []
    for pair in query.split('&') if mark else ():
        name, _, text = pair.partition('=')
        if name not in _SETTINGS:
            rest.append(pair)
            continue
        if name in settings:
            raise ConnectorConfigError(f'the option {name!r} is given twice')
        try:
            settings[name] = _SETTINGS[name](unquote(text))
        except ValueError as error:
            raise ConnectorConfigError(f'{name}={text!r} in a URL: {error}') from None
    return (f'{place}?{"&".join(rest)}' if rest else place), settings


def _options(parts: SplitResult, known: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a URL, each read by its type."""
    options = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            hint = did_you_mean(name, known)
            listed = ', '.join(known) or 'none'
            raise ConnectorConfigError(
                f'{parts.scheme}:// has no option {name!r}.{hint} Options: {listed}'
            )
        try:
            options[name] = known[name](text)
        except ValueError as error:
            raise ConnectorConfigError(
                f'{name}={text!r} in a {parts.scheme}:// URL: {error}'
            ) from None
    return options


def _flag(text: str) -> bool:
    if text.lower() in ('', '1', 'true', 'yes'):
        return True
    if text.lower() in ('0', 'false', 'no'):
        return False
    raise ValueError('give true or false')


def _endpoint(parts: SplitResult) -> Any:
    from proxystore.connectors.endpoint import EndpointConnector

    if parts.path.strip('/') or ':' in parts.netloc or '@' in parts.netloc:
        raise ConnectorConfigError(
            'an endpoint:// URL names endpoints by UUID or name, with commas '
            'between: endpoint://left,right'
        )
    options = _options(parts, {'dir': str})
    names = [unquote(name) for name in parts.netloc.split(',') if name]
    return EndpointConnector(names, options.get('dir'))


def _memory(parts: SplitResult) -> Any:
    from proxystore.connectors.local import LocalConnector

    _options(parts, {})
    return LocalConnector()


def _shared_memory(parts: SplitResult) -> Any:
    from proxystore.connectors.shared_memory import SharedMemoryConnector

    return SharedMemoryConnector(
        **_options(parts, {'dir': str, 'spill_dir': str, 'limit': int})
    )


def _file(parts: SplitResult) -> Any:
    from proxystore.connectors.file import FileConnector

    if parts.netloc not in ('', 'localhost') or not parts.path.startswith('/'):
        raise ConnectorConfigError(
            'a file:// URL has three slashes and an absolute path: '
            'file:///var/data/objects'
        )
    options = _options(parts, {'clear': _flag})
    return FileConnector(unquote(parts.path), **{'clear': False, **options})


def _object_store(parts: SplitResult) -> Any:
    from proxystore.connectors.object_store import ObjectStoreConnector

    return ObjectStoreConnector.from_url(_whole(parts))


def _whole(parts: SplitResult) -> str:
    rest = f'?{parts.query}' if parts.query else ''
    rest += f'#{parts.fragment}' if parts.fragment else ''
    return f'{parts.scheme}://{parts.netloc}{parts.path}{rest}'


def _redis(parts: SplitResult) -> Any:
    from proxystore.connectors.redis import RedisConnector

    if parts.scheme == 'redis' and not (
        parts.username or parts.password or parts.path.strip('/') or parts.query
    ):
        # As the constructor: what travels is host and port.
        try:
            return RedisConnector(parts.hostname or '127.0.0.1', parts.port or 6379)
        except ValueError as error:
            raise ConnectorConfigError(f'in the URL of a server: {error}') from None
    return RedisConnector.from_url(_whole(parts))


_SETTINGS: dict[str, Any] = {
    'checksum': _flag,
    'compression': str,
    'encryption': str,
    'pickle': _flag,
    'signing': str,
}

_KINDS = {
    'az': _object_store,
    'az+profile': _object_store,
    'endpoint': _endpoint,
    'file': _file,
    'gs': _object_store,
    'gs+profile': _object_store,
    'memory': _memory,
    'redis': _redis,
    'rediss': _redis,
    'redis+cluster': _redis,
    'rediss+cluster': _redis,
    'redis+profile': _redis,
    'redis+sentinel': _redis,
    'rediss+sentinel': _redis,
    'redis+unix': _redis,
    's3': _object_store,
    's3+profile': _object_store,
    'shm': _shared_memory,
}
