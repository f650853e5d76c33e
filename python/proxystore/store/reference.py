"""One line of text that stands for a proxy in any language.

A program in Rust makes and reads the same lines (`proxystore::Reference`):

    redis://127.0.0.1:6379/0#store=results&key=06bq...

Example:
    >>> import tempfile
    >>> from proxystore.connectors.file import FileConnector
    >>> from proxystore.store import Store
    >>> connector = FileConnector(tempfile.mkdtemp())
    >>> with Store('example', connector, register=True) as store:
    ...     line = get_reference(store.proxy('hello'))
    ...     print(proxy_from_reference(line))
    hello
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any

from proxystore import _core
from proxystore.exceptions import ConnectorConfigError
from proxystore.exceptions import ConnectorUnsupportedError
from proxystore.proxy import get_factory

if TYPE_CHECKING:
    from proxystore.proxy import Proxy
    from proxystore.store.base import Store

__all__ = ['get_reference', 'proxy_from_reference']


def get_reference(proxy: Proxy[Any]) -> str:
    """Return the line of text that stands for a proxy, without resolving it.

    Args:
        proxy: A proxy that a store made, over files or Redis.

    Raises:
        ConnectorUnsupportedError: If the object cannot be reached by
            programs in other languages: the proxy was not made by a store,
            or by one with a connector or serializer of its own.
    """
    from urllib.parse import quote

    factory = get_factory(proxy)
    if not isinstance(factory, _core.StoreFactoryBase):
        raise ConnectorUnsupportedError(
            'This proxy was not made by a store: its factory is a '
            f'{type(factory).__name__}, so it has no reference.'
        )
    if not getattr(factory, '_in_store', True):
        raise ConnectorUnsupportedError(
            'This object came in the event of a stream and lies in no store, so '
            'it has no reference: put it into one.'
        )
    name, kind, options, settings = factory._recipe
    url = _url_of(kind, options, settings)
    evict = '&evict=true' if factory.evict else ''
    return f'{url}#store={quote(name)}&key={quote(factory.key[0])}{evict}'


def proxy_from_reference(reference: str | bytes) -> Proxy[Any]:
    """Make the proxy that a line of text stands for.

    Args:
        reference: What `get_reference` returned, or a program in Rust sent.

    Returns:
        A proxy. Its store is the registered one of the reference's name, or
        else is opened, and registered.

    Raises:
        ConnectorConfigError: If the text is no reference.
    """
    from urllib.parse import parse_qsl

    text = reference if isinstance(reference, str) else reference.decode()
    url, mark, rest = text.partition('#')
    parts = (
        dict(parse_qsl(rest.replace('+', '%2B'), strict_parsing=True)) if rest else {}
    )
    unknown = parts.keys() - {'store', 'key', 'evict'}
    if not mark or unknown or not {'store', 'key'} <= parts.keys():
        raise ConnectorConfigError(
            'This is no reference: it should be a URL, followed by '
            '`#store=name&key=...`, as from proxystore.store.reference.get_reference'
        )
    store = _store(parts['store'], url)
    key = store.connector._key(parts['key'])
    return store.proxy_from_key(key, evict=parts.get('evict') == 'true')


def _store(name: str, url: str) -> Store[Any]:
    from proxystore.store import _reopen

    store: Store[Any] | None = _core._registry.get(name)
    if store is not None:
        return store
    kind, options, settings = _connector_of(url)
    return _reopen((name, kind, options, settings))


def _url_of(kind: str, options: Any, settings: dict[str, Any] | None) -> str:
    """Return the URL of a store, with what its objects need to be read."""
    from urllib.parse import quote

    url = _place_of(kind, options)
    sealing = [
        f'{name}={quote(settings[name], safe="/:")}'
        for name in _SEALING
        if settings and settings.get(name) is not None
    ]
    if not sealing:
        return url
    return f'{url}{"&" if "?" in url else "?"}{"&".join(sealing)}'


_SEALING = ('compression', 'encryption', 'signing')
"""Settings that every language reads in a URL."""


def _place_of(kind: str, options: Any) -> str:
    from urllib.parse import quote

    if kind == 'file' and isinstance(options, tuple):
        return f'file://{quote(options[0])}?clear=false'
    if kind == 'redis' and isinstance(options, tuple):
        host, port = options[:2]
        if host.startswith('/'):
            return f'redis+unix://{quote(host)}'
        return (
            f'redis://[{host}]:{port}/0' if ':' in host else f'redis://{host}:{port}/0'
        )
    raise ConnectorUnsupportedError(
        f'Objects of the connector {kind!r} have no reference: use a store '
        'over files or Redis.'
    )


def _connector_of(
    url: str,
) -> tuple[str, tuple[Any, ...], dict[str, Any] | None]:
    """Return kind, options and settings of a store, as in a pickled proxy."""
    from proxystore.store._urls import split_settings

    place, settings = split_settings(url)
    return *_options_of(place), settings or None


def _options_of(url: str) -> tuple[str, tuple[Any, ...]]:
    from urllib.parse import unquote
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.scheme == 'file' and parts.path and parts.query in ('', 'clear=false'):
        return 'file', (unquote(parts.path), False, -1)
    plain = parts.username is None and not parts.query
    if plain and parts.scheme == 'redis' and parts.path in ('', '/', '/0'):
        return 'redis', (parts.hostname or '127.0.0.1', parts.port or 6379, False)
    if plain and parts.scheme == 'redis+unix':
        return 'redis', (unquote(parts.path), 0, False)
    raise ConnectorConfigError(
        f'No connector of this Python package opens this {parts.scheme}:// '
        'reference, or not with its options. Register a store of its name '
        'before, which is then used.'
    )
