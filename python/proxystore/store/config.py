"""Configuration of stores and connectors, as pydantic models."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import TYPE_CHECKING
from typing import Any
from typing import Literal

from pydantic import Field

from proxystore._nearest import did_you_mean
from proxystore._strict import StrictModel
from proxystore.connectors._options import open_with_options
from proxystore.connectors.protocols import Connector
from proxystore.serialize import BytesLike
from proxystore.utils.config import dump
from proxystore.utils.config import load
from proxystore.utils.imports import import_from_path

if TYPE_CHECKING:
    import sys

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['ConnectorConfig', 'StoreConfig']

_KNOWN = {
    'endpoint': 'proxystore.connectors.endpoint.EndpointConnector',
    'file': 'proxystore.connectors.file.FileConnector',
    'globus': 'proxystore.connectors.globus.GlobusConnector',
    'local': 'proxystore.connectors.local.LocalConnector',
    'multi': 'proxystore.connectors.multi.MultiConnector',
    'objects': 'proxystore.connectors.object_store.ObjectStoreConnector',
    'objectstore': 'proxystore.connectors.object_store.ObjectStoreConnector',
    'redis': 'proxystore.connectors.redis.RedisConnector',
    'sharedmemory': ('proxystore.connectors.shared_memory.SharedMemoryConnector'),
    'shm': 'proxystore.connectors.shared_memory.SharedMemoryConnector',
}


class ConnectorConfig(StrictModel):
    """Which connector, and its options.

    Attributes:
        kind: `'file'`, `'FileConnector'`, `'redis'`, `'local'` and so on, in
            any case, or the full path of a class. A kind that is not known
            is refused by `get_connector_type`, not before.
        options: Keyword arguments of the class's `from_config`.

    Example:
        >>> config = ConnectorConfig(kind='local', options={})
        >>> config.get_connector()
        LocalConnector()
    """

    kind: str
    options: dict[str, Any] = Field(default_factory=dict)

    def get_connector_type(self) -> type[Connector[Any]]:
        """Return the class that `kind` names.

        Raises:
            ValueError: If it names none.
        """
        short = self.kind.lower().removesuffix('connector').replace('_', '')
        path = _KNOWN.get(short, self.kind)
        if '.' not in path:
            hint = did_you_mean(short, _KNOWN)
            raise ValueError(
                f'Unknown connector kind {self.kind!r}.{hint} Known kinds: '
                f'{", ".join(sorted(_KNOWN))}; or give the full path of a '
                'class.'
            )
        connector_type: type[Connector[Any]] = import_from_path(path)
        return connector_type

    def get_connector(self) -> Connector[Any]:
        """Open the connector.

        Raises:
            ConnectorConfigError: If an option is not known, or one is
                missing; the message names the nearest known one.
            ValueError: If `kind` names no connector.
        """
        opened: Connector[Any] = open_with_options(
            self.get_connector_type(), self.options
        )
        return opened


class StoreConfig(StrictModel):
    """What is needed to open a store.

    Attributes:
        name: Name of the store.
        connector: Its connector.
        serializer: Its serializer, if it has one of its own.
        deserializer: Its deserializer, if it has one of its own.
        cache_size: Most objects in its cache.
        metrics: Whether it records metrics.
        populate_target: Whether its new proxies hold their objects.
        auto_register: Whether it is registered when it is opened.
        compression: How its objects are compressed, if they are.
        checksum: Whether every byte of its objects is checked.
        encryption: Names the key that its objects are encrypted with.
        signing: Names the key that its objects are signed with.
        pickle: Whether its objects may be pickled.

    Example:
        >>> config = StoreConfig(name='s', connector={'kind': 'local'})
        >>> config.cache_size
        16
    """

    name: str
    connector: ConnectorConfig
    serializer: Callable[[Any], BytesLike] | None = None
    deserializer: Callable[[BytesLike], Any] | None = None
    cache_size: int = Field(default=16, ge=0)
    metrics: bool = False
    populate_target: bool = True
    auto_register: bool = False
    compression: Literal['auto', 'zstd', 'lz4'] | None = None
    checksum: bool = False
    encryption: str | None = None
    signing: str | None = None
    pickle: bool = True

    @classmethod
    def from_toml(cls, filepath: str | pathlib.Path) -> Self:
        """Read a configuration from a TOML file.

        Args:
            filepath: Path of the file.
        """
        with pathlib.Path(filepath).open('rb') as file:
            return load(cls, file)

    def write_toml(self, filepath: str | pathlib.Path) -> None:
        """Write this configuration to a TOML file.

        Args:
            filepath: Path of the file; its directory is made if need be.
        """
        path = pathlib.Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open('wb') as file:
            dump(self, file)

    @classmethod
    def _from_recipe(cls, recipe: tuple[Any, ...]) -> Self:
        """Make the model of what a proxy carries."""
        name, kind, options, settings = recipe
        settings = dict(settings or ())
        settings.pop('cache_bytes', None)
        if isinstance(options, tuple):
            connector = ConnectorConfig(kind=kind).get_connector_type()
            names = connector._wire_names  # type: ignore[attr-defined]
            kind = f'{connector.__module__}.{connector.__qualname__}'
            options = dict(zip(names, options))  # noqa: B905
        return cls(
            name=name,
            connector=ConnectorConfig(kind=kind, options=options),
            **settings,
        )

    def _to_recipe(self) -> tuple[Any, ...]:
        """Return the plain values that a proxy carries."""
        settings = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name not in ('name', 'connector')
            and getattr(self, name) != field.default
        }
        return (
            self.name,
            self.connector.kind,
            self.connector.options,
            settings or None,
        )
