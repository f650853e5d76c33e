"""Several connectors in one: each object goes where its policy sends it.

Example:
    >>> from proxystore.connectors.local import LocalConnector
    >>> connector = MultiConnector({
    ...     'small': (LocalConnector(), Policy(priority=1, max_size_bytes=100)),
    ...     'large': (LocalConnector(), Policy()),
    ... })
    >>> connector.put(b'x').connector_name
    'small'
    >>> connector.put(b'x' * 1000).connector_name
    'large'
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple
from typing import TypedDict
from typing import TypeVar

from proxystore import _core
from proxystore.connectors._options import open_with_options
from proxystore.exceptions import ProxyStoreError
from proxystore.utils.environment import hostname
from proxystore.utils.imports import get_object_path
from proxystore.utils.imports import import_from_path

if TYPE_CHECKING:
    import sys
    from types import TracebackType

    from proxystore.connectors.protocols import Connector
    from proxystore.serialize import BytesLike

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = [
    'ConnectorPolicyConfig',
    'KeyT',
    'MultiConnector',
    'MultiConnectorError',
    'MultiKey',
    'Policy',
    'PolicyDict',
]

KeyT = TypeVar('KeyT', bound=tuple[Any, ...])


class MultiConnectorError(ProxyStoreError):
    """No connector suits an object, or the one of a key is not here."""


class PolicyDict(TypedDict):
    """A policy as a plain dictionary.

    Attributes:
        priority: As for `Policy`, like the rest.
        host_pattern: Regular expressions.
        min_size_bytes: Smallest object.
        max_size_bytes: Largest object.
        subset_tags: Tags of the policy.
        superset_tags: Tags of the policy.
    """

    priority: int
    host_pattern: Iterable[str] | str | None
    min_size_bytes: int
    max_size_bytes: int
    subset_tags: list[str]
    superset_tags: list[str]


@dataclasses.dataclass
class Policy:
    """Which objects a connector takes.

    Attributes:
        priority: Of the connectors that take an object, the one with the
            highest priority gets it.
        host_pattern: A regular expression, or several, of which one matches
            the beginning of the names of the hosts that have this connector;
            None stands for every host.
        min_size_bytes: Smallest object that it takes.
        max_size_bytes: Largest object that it takes.
        subset_tags: An object's `subset_tags` must all be among these.
        superset_tags: These must all be among an object's `superset_tags`.

    Example:
        >>> policy = Policy(max_size_bytes=100, subset_tags=['fast'])
        >>> policy.is_valid(size_bytes=10, subset_tags=['fast'])
        True
        >>> policy.is_valid(size_bytes=1000)
        False
    """

    priority: int = 0
    host_pattern: Iterable[str] | str | None = None
    min_size_bytes: int = 0
    max_size_bytes: int = 2**63 - 1
    subset_tags: list[str] = dataclasses.field(default_factory=list)
    superset_tags: list[str] = dataclasses.field(default_factory=list)

    def as_dict(self) -> PolicyDict:
        """Return a plain dictionary, of which `Policy(**…)` makes an equal one."""
        pattern = self.host_pattern
        if pattern is not None and not isinstance(pattern, str):
            pattern = list(pattern)
        return PolicyDict(
            priority=self.priority,
            host_pattern=pattern,
            min_size_bytes=self.min_size_bytes,
            max_size_bytes=self.max_size_bytes,
            subset_tags=list(self.subset_tags),
            superset_tags=list(self.superset_tags),
        )

    def is_valid(
        self,
        *,
        size_bytes: int | None = None,
        subset_tags: Iterable[str] | None = None,
        superset_tags: Iterable[str] | None = None,
    ) -> bool:
        """Tell whether an object is taken, on this host.

        Args:
            size_bytes: Its size; not looked at if not given.
            subset_tags: Tags that must all be tags of the policy; not looked
                at if not given.
            superset_tags: Tags that must include those of the policy; not
                looked at if not given.
        """
        taken = _core.policy_takes(
            self,
            size_bytes,
            None if subset_tags is None else list(subset_tags),
            None if superset_tags is None else list(superset_tags),
        )
        return taken and self.is_valid_on_host()

    def is_valid_on_host(self) -> bool:
        """Tell whether this host has the connector.

        Raises:
            ValueError: If a host pattern is no regular expression.
        """
        pattern = self.host_pattern
        if pattern is None:
            return True
        name = hostname()
        patterns = [pattern] if isinstance(pattern, str) else pattern
        return any(_compiled(each).match(name) is not None for each in patterns)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise ValueError(
            f'host_pattern {pattern!r} is no regular expression: {error}'
        ) from error


ConnectorPolicyConfig = tuple[str, dict[str, Any], PolicyDict]
"""Path of a connector's class, its configuration, and its policy."""


class MultiKey(NamedTuple):
    """Key of an object in one of several connectors.

    Attributes:
        connector_name: Name of the connector.
        connector_key: The key there.
    """

    connector_name: str
    connector_key: Any


class _ConnectorPolicy(NamedTuple):
    connector: Connector[Any]
    policy: Policy


class MultiConnector:
    """Routes objects to several connectors, by their policies.

    Args:
        connectors: The connectors and their policies, by name. Of those that
            take an object, the one with the highest priority gets it; of
            those with the same, the first one.
        dormant_connectors: Configurations of connectors that this host does
            not have. They are kept for the hosts that have them.

    Attributes:
        connectors: The connectors and their policies, by name.
        connectors_by_priority: Their names, highest priority first.
        dormant_connectors: Configurations of those that are not here.
    """

    def __init__(
        self,
        connectors: dict[str, tuple[Connector[Any], Policy]],
        dormant_connectors: dict[str, ConnectorPolicyConfig] | None = None,
    ) -> None:
        self.connectors = {
            name: _ConnectorPolicy(connector, policy)
            for name, (connector, policy) in connectors.items()
        }
        names = list(self.connectors)
        order = _core.policy_order(
            [policy.priority for _, policy in self.connectors.values()]
        )
        self.connectors_by_priority = [names[place] for place in order]
        self.dormant_connectors = dormant_connectors

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        exc_traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.connectors!r})'

    def close(self, clear: bool | None = None) -> None:
        """Close every connector, also if one of them fails.

        Args:
            clear: Passed on to those that take it, if given.
        """
        options = {} if clear is None else {'clear': clear}
        failed: Exception | None = None
        for connector, _ in self.connectors.values():
            close: Any = connector.close
            try:
                close(**options)
            except Exception as error:
                failed = failed or error
        if failed is not None:
            raise failed

    def config(self) -> dict[str, ConnectorPolicyConfig]:
        """Return what `from_config` needs to make an equal connector."""
        live: dict[str, ConnectorPolicyConfig] = {
            name: (
                get_object_path(type(connector)),
                connector.config(),
                policy.as_dict(),
            )
            for name, (connector, policy) in self.connectors.items()
        }
        return (self.dormant_connectors or {}) | live

    @classmethod
    def from_config(cls, config: dict[str, ConnectorPolicyConfig]) -> MultiConnector:
        """Open the connectors that this host has; the others stay dormant.

        Args:
            config: What `config` returned.
        """
        connectors: dict[str, tuple[Connector[Any], Policy]] = {}
        dormant: dict[str, ConnectorPolicyConfig] = {}
        for name, (path, options, policy_dict) in config.items():
            policy = Policy(**policy_dict)
            if policy.is_valid_on_host():
                opened = open_with_options(import_from_path(path), options)
                connectors[name] = opened, policy
            else:
                dormant[name] = (path, options, policy_dict)
        return cls(connectors, dormant or None)

    def _route(
        self,
        size_bytes: int | None,
        subset_tags: Iterable[str],
        superset_tags: Iterable[str],
        *,
        needs: str = 'put',
    ) -> str:
        for name in self.connectors_by_priority:
            if not hasattr(self.connectors[name].connector, needs):
                continue
            if self.connectors[name].policy.is_valid(
                size_bytes=size_bytes,
                subset_tags=subset_tags,
                superset_tags=superset_tags,
            ):
                return name
        size = '' if size_bytes is None else f'{size_bytes} bytes, '
        raise MultiConnectorError(
            f'No connector takes this object: {size}subset_tags='
            f'{list(subset_tags)}, superset_tags={list(superset_tags)}. The '
            f'connectors are {", ".join(self.connectors) or "none"}; see their '
            'policies.'
        )

    def _connector_of(self, key: MultiKey) -> Any:
        name = key[0]
        found = self.connectors.get(name)
        if found is not None:
            return found.connector
        if self.dormant_connectors is not None and name in self.dormant_connectors:
            raise MultiConnectorError(
                f'The connector {name!r} of {key} is dormant: the host_pattern '
                'of its policy excludes this host.'
            )
        raise MultiConnectorError(
            f'There is no connector {name!r}, which {key} is of. The connectors '
            f'are {", ".join(self.connectors) or "none"}.'
        )

    def evict(self, key: MultiKey) -> None:
        """Remove the object of a key, if there is one.

        Args:
            key: The key.

        Raises:
            MultiConnectorError: If its connector is not here.
        """
        self._connector_of(key).evict(key[1])

    def exists(self, key: MultiKey) -> bool:
        """Tell whether there is an object of this key.

        Args:
            key: The key.

        Raises:
            MultiConnectorError: If its connector is not here.
        """
        exists: bool = self._connector_of(key).exists(key[1])
        return exists

    def get(self, key: MultiKey) -> BytesLike | None:
        """Return the object of a key, or None.

        Args:
            key: The key.

        Raises:
            MultiConnectorError: If its connector is not here.
        """
        found: BytesLike | None = self._connector_of(key).get(key[1])
        return found

    def get_batch(self, keys: Sequence[MultiKey]) -> list[BytesLike | None]:
        """Return the objects of several keys, in order.

        Each connector is asked once.

        Args:
            keys: The keys.

        Raises:
            MultiConnectorError: If the connector of one of them is not here.
        """
        found: list[BytesLike | None] = [None] * len(keys)
        for places in _grouped(key[0] for key in keys).values():
            connector = self._connector_of(keys[places[0]])
            objs = connector.get_batch([keys[place][1] for place in places])
            for place, obj in zip(places, objs, strict=True):
                found[place] = obj
        return found

    def new_key(
        self,
        obj: BytesLike | None = None,
        subset_tags: Iterable[str] = (),
        superset_tags: Iterable[str] = (),
    ) -> MultiKey:
        """Make a key for an object that `set` brings later.

        Args:
            obj: The object, if its size is to be looked at.
            subset_tags: As for `put`.
            superset_tags: As for `put`.

        Raises:
            MultiConnectorError: If no connector takes the object.
        """
        size = None if obj is None else _size(obj)
        name = self._route(
            size, tuple(subset_tags), tuple(superset_tags), needs='new_key'
        )
        connector: Any = self.connectors[name].connector
        return MultiKey(name, connector.new_key())

    def set(self, key: MultiKey, obj: BytesLike) -> None:
        """Store an object under a given key.

        Args:
            key: What `new_key` returned.
            obj: Bytes-like.

        Raises:
            MultiConnectorError: If its connector is not here.
        """
        self._connector_of(key).set(key[1], obj)

    def put(
        self,
        obj: BytesLike,
        subset_tags: Iterable[str] = (),
        superset_tags: Iterable[str] = (),
    ) -> MultiKey:
        """Store an object in the connector that its size and tags choose.

        Args:
            obj: Bytes-like.
            subset_tags: Tags that must all be tags of the connector's policy.
            superset_tags: Tags that must include those of the policy.

        Raises:
            MultiConnectorError: If no connector takes the object.
        """
        name = self._route(_size(obj), tuple(subset_tags), tuple(superset_tags))
        return MultiKey(name, self.connectors[name].connector.put(obj))

    def put_batch(
        self,
        objs: Sequence[BytesLike],
        subset_tags: Iterable[str] = (),
        superset_tags: Iterable[str] = (),
    ) -> list[MultiKey]:
        """Store several objects, each where its size and the tags choose.

        All are routed before the first is stored; each connector gets one
        batch.

        Args:
            objs: Bytes-like objects.
            subset_tags: As for `put`.
            superset_tags: As for `put`.

        Raises:
            MultiConnectorError: If no connector takes one of the objects.
        """
        subset_tags, superset_tags = tuple(subset_tags), tuple(superset_tags)
        names = [self._route(_size(obj), subset_tags, superset_tags) for obj in objs]
        keys: dict[int, MultiKey] = {}
        for name, places in _grouped(names).items():
            connector = self.connectors[name].connector
            made = connector.put_batch([objs[place] for place in places])
            for place, key in zip(places, made, strict=True):
                keys[place] = MultiKey(name, key)
        return [keys[place] for place in range(len(objs))]


def _size(obj: BytesLike) -> int:
    return obj.nbytes if isinstance(obj, memoryview) else len(obj)


def _grouped(names: Iterable[str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        groups.setdefault(name, []).append(place)
    return groups
