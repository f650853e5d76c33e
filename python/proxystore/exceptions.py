"""Every error that proxystore raises, by what a caller can do about it.

All derive from [`ProxyStoreError`][proxystore.exceptions.ProxyStoreError];
those that stand for a failure that Python has a class for derive from that
class too, so `except ConnectionError` or `except PermissionError` work.

The classes that ProxyStore 1.x had are kept at their old places
(`proxystore.store.exceptions`, `proxystore.serialize`, `proxystore.proxy`)
and derive from the same base.

Example:
    >>> from proxystore.exceptions import ConnectorUnreachableError
    >>> issubclass(ConnectorUnreachableError, ConnectionError)
    True
"""

from __future__ import annotations

__all__ = [
    'ConnectorClosedError',
    'ConnectorConfigError',
    'ConnectorError',
    'ConnectorFullError',
    'ConnectorKeyError',
    'ConnectorPermissionError',
    'ConnectorTimeoutError',
    'ConnectorUnreachableError',
    'ConnectorUnsupportedError',
    'FrameError',
    'InlineSecretError',
    'NewerFrameError',
    'ObjectTooLargeError',
    'ProxyStoreError',
    'SerializationError',
    'UntrustedFrameError',
    'WrongHostError',
]


class ProxyStoreError(Exception):
    """Base of every error that proxystore raises."""


class ConnectorError(ProxyStoreError):
    """A connector failed; the subclasses say how."""


class ConnectorConfigError(ConnectorError, ValueError):
    """An option of a connector is wrong; the message names it."""


class InlineSecretError(ConnectorConfigError, TypeError):
    """A store that was given a password as it is cannot be sent elsewhere."""


class ConnectorKeyError(ConnectorError, ValueError):
    """A key cannot be a key of this connector."""


class ConnectorUnreachableError(ConnectorError, ConnectionError):
    """The service does not answer, or the directory is not there."""


class ConnectorTimeoutError(ConnectorError, TimeoutError):
    """No answer within the configured time."""


class ConnectorPermissionError(ConnectorError, PermissionError):
    """The operating system or the service refuses access."""


class ConnectorFullError(ConnectorError, OSError):
    """No space is left where the object would go; nothing of it is kept."""


class ObjectTooLargeError(ConnectorError, ValueError):
    """The object is larger than the connector takes."""


class ConnectorClosedError(ConnectorError, RuntimeError):
    """The connector was closed."""


class ConnectorUnsupportedError(ConnectorError, TypeError):
    """The connector has no such ability."""


class WrongHostError(ConnectorError):
    """The object lives on another host or in another container."""


class SerializationError(ProxyStoreError):
    """An object could not be turned into bytes, or bytes into an object."""

    # Its old place, where ProxyStore 1.x looks for it when one is unpickled.
    __module__ = 'proxystore.serialize'


class FrameError(SerializationError, ValueError):
    """Stored bytes are truncated, corrupted or no frame at all."""


class NewerFrameError(FrameError):
    """A frame was written by a newer version of proxystore."""


class UntrustedFrameError(FrameError):
    """The store demands a signature or encryption that stored bytes lack.

    They were written without the store's key or with another one, were
    changed since, or were moved from another object's key. Nothing of them
    was decoded.
    """
