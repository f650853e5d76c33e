"""Types that stores and connectors share.

Example:
    >>> import json
    >>> from proxystore.store.types import SerializerT
    >>> serializer: SerializerT = lambda obj: json.dumps(obj).encode()
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any

from proxystore.connectors.protocols import Connector
from proxystore.serialize import BytesLike

__all__ = ['ConnectorKeyT', 'ConnectorT', 'DeserializerT', 'SerializerT']

ConnectorKeyT = tuple[Any, ...]
"""A key of any connector."""

if TYPE_CHECKING:
    # `Store('name')` alone is a `Store[Connector[Any]]`.
    from typing_extensions import TypeVar

    ConnectorT = TypeVar('ConnectorT', bound=Connector[Any], default=Connector[Any])
else:
    from typing import TypeVar

    ConnectorT = TypeVar('ConnectorT', bound=Connector[Any])
"""A connector."""

SerializerT = Callable[[Any], BytesLike]
"""Turns an object into bytes."""

DeserializerT = Callable[[bytes], Any]
"""Turns bytes into an object; one that takes any `BytesLike` does as well."""
