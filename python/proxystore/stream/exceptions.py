"""Errors of streams."""

from __future__ import annotations

from proxystore.exceptions import ProxyStoreError

__all__ = ['TopicClosedError']


class TopicClosedError(ProxyStoreError):
    """An object was sent to a topic that the producer closed."""
