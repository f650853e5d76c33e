"""Files that Globus Transfer carries between sites.

An object is written to a file at this site, and a transfer to each other site
begins at once; a `get` elsewhere waits for the transfer.

The package `globus-sdk` is needed: `pip install 'proxystore[globus]'`. The
tests of this connector talk to a stand-in of the Transfer service.

Example:
    >>> endpoints = GlobusEndpoints([GlobusEndpoint('uuid', '/data', '/mnt', '.*')])
    >>> endpoints.get_by_host('any.host').endpoint_path
    '/data'
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import uuid
from collections.abc import Collection
from collections.abc import Iterator
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Any
from typing import Literal
from typing import NamedTuple

from proxystore.exceptions import ConnectorError
from proxystore.exceptions import ConnectorTimeoutError
from proxystore.globus.client import get_transfer_client
from proxystore.utils.environment import hostname

if TYPE_CHECKING:
    import sys
    from re import Pattern
    from types import TracebackType

    from proxystore.serialize import BytesLike

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = [
    'GLOBUS_MKDIR_EXISTS_ERROR_CODE',
    'GlobusConnector',
    'GlobusEndpoint',
    'GlobusEndpoints',
    'GlobusKey',
]

GLOBUS_MKDIR_EXISTS_ERROR_CODE = 'ExternalError.MkdirFailed.Exists'
"""What Globus says of a directory that is there already."""


class GlobusKey(NamedTuple):
    """Key of an object: its file alone tells whether two are equal.

    Attributes:
        filename: Name of the file.
        task_id: Transfers that carry it.
    """

    filename: str
    task_id: str | tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, tuple) and self[:1] == other[:1]

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.filename)


class GlobusEndpoint:
    """A site.

    Args:
        uuid: UUID of the collection.
        endpoint_path: Directory of the objects, as Globus names it.
        local_path: The same directory, as the hosts of the site name it.
        host_regex: Matches the names of the hosts of the site.
    """

    def __init__(
        self,
        uuid: str,
        endpoint_path: str,
        local_path: str | None,
        host_regex: str | Pattern[str],
    ) -> None:
        for name, value in (('uuid', uuid), ('endpoint_path', endpoint_path)):
            if not isinstance(value, str):
                raise TypeError(f'{name} must be a str, not {type(value).__name__}')
        if local_path is not None and not isinstance(local_path, str):
            raise TypeError(
                f'local_path must be a str, not {type(local_path).__name__}'
            )
        if not isinstance(host_regex, (str, re.Pattern)):
            raise TypeError('host_regex must be a str or a compiled pattern')
        self.uuid = uuid
        self.endpoint_path = endpoint_path
        self.local_path = local_path
        self.host_regex = host_regex

    def _fields(self) -> tuple[Any, ...]:
        return self.uuid, self.endpoint_path, self.local_path, self.host_regex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, GlobusEndpoint) and self._fields() == other._fields()

    def __hash__(self) -> int:
        return hash(self._fields())

    def __repr__(self) -> str:
        return (
            f'GlobusEndpoint(uuid={self.uuid!r}, '
            f'endpoint_path={self.endpoint_path!r}, '
            f'local_path={self.local_path!r}, host_regex={self.host_regex!r})'
        )


class GlobusEndpoints:
    """The sites that objects are carried between.

    Args:
        endpoints: The sites, with different UUIDs.

    Raises:
        ValueError: If there are none, or two have the same UUID.
    """

    def __init__(self, endpoints: Collection[GlobusEndpoint]) -> None:
        if not endpoints:
            raise ValueError('GlobusEndpoints needs at least one GlobusEndpoint')
        self._endpoints = {endpoint.uuid: endpoint for endpoint in endpoints}
        if len(self._endpoints) < len(endpoints):
            raise ValueError('two of the endpoints have the same UUID')

    def __getitem__(self, uuid: str) -> GlobusEndpoint:
        try:
            return self._endpoints[uuid]
        except KeyError:
            raise KeyError(f'no endpoint has the UUID {uuid}') from None

    def __iter__(self) -> Iterator[GlobusEndpoint]:
        return iter(self._endpoints.values())

    def __len__(self) -> int:
        return len(self._endpoints)

    def __repr__(self) -> str:
        return f'GlobusEndpoints({[*self]!r})'

    @classmethod
    def from_dict(
        cls: type[GlobusEndpoints], json_object: dict[str, dict[str, str]]
    ) -> GlobusEndpoints:
        """Make the sites from what `dict` returned.

        Args:
            json_object: The fields of each site by its UUID.
        """
        return cls([GlobusEndpoint(uuid, **of) for uuid, of in json_object.items()])

    @classmethod
    def from_json(cls, json_file: str) -> GlobusEndpoints:
        """Read the sites from a JSON file.

        Args:
            json_file: Path of the file.
        """
        return cls.from_dict(json.loads(Path(json_file).read_text()))

    def dict(self) -> dict[str, dict[str, str]]:
        """Return the fields of each site by its UUID."""
        found: dict[str, dict[str, Any]] = {}
        for endpoint in self:
            regex = endpoint.host_regex
            found[endpoint.uuid] = {
                'endpoint_path': endpoint.endpoint_path,
                'local_path': endpoint.local_path,
                'host_regex': regex if isinstance(regex, str) else regex.pattern,
            }
        return found

    def get_by_host(self, host: str) -> GlobusEndpoint:
        """Return the site of a host.

        Args:
            host: Name of the host.

        Raises:
            ValueError: If it is a host of none.
        """
        for endpoint in self:
            if re.fullmatch(endpoint.host_regex, host) is not None:
                return endpoint
        raise ValueError(f'no endpoint has a host_regex that matches {host!r}')


class GlobusConnector:
    """Carries objects between sites as files.

    Args:
        endpoints: The sites.
        clear: Whether `close` removes the directory of this site.
        buffering: Size of the buffer of files, as for `open`.
        polling_interval: Seconds between looks at a transfer.
        sync_level: Which files a transfer leaves out, see Globus.
        timeout: Longest wait for a transfer, in seconds.
    """

    def __init__(
        self,
        endpoints: GlobusEndpoints | list[GlobusEndpoint] | dict[str, dict[str, str]],
        *,
        clear: bool = True,
        buffering: int = -1,
        polling_interval: int = 1,
        sync_level: int | Literal['exists', 'size', 'mtime', 'checksum'] = 'mtime',
        timeout: int = 60,
    ) -> None:
        if isinstance(endpoints, dict):
            endpoints = GlobusEndpoints.from_dict(endpoints)
        elif isinstance(endpoints, list):
            endpoints = GlobusEndpoints(endpoints)
        if not isinstance(endpoints, GlobusEndpoints):
            raise ValueError(
                'endpoints must be GlobusEndpoints, a list of GlobusEndpoint or '
                f'a dictionary, not {type(endpoints).__name__}'
            )
        self.endpoints = endpoints
        self.clear = clear
        self.buffering = buffering
        self.polling_interval = polling_interval
        self.sync_level = sync_level
        self.timeout = timeout
        self._client: Any = None
        self._arrived: set[str] = set()
        self._lock = threading.Lock()

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
        return f'GlobusConnector(endpoints={self.endpoints!r})'

    def _transfer_client(self) -> Any:
        with self._lock:
            if self._client is None:
                uuids = [endpoint.uuid for endpoint in self.endpoints]
                self._client = get_transfer_client(collections=uuids)
            return self._client

    def _here(self) -> tuple[GlobusEndpoint, Path]:
        endpoint = self.endpoints.get_by_host(hostname())
        if endpoint.local_path is None:
            raise ValueError(f'the endpoint of this host has no local_path: {endpoint}')
        return endpoint, Path(endpoint.local_path)

    def _others(self) -> list[GlobusEndpoint]:
        here, _ = self._here()
        return [endpoint for endpoint in self.endpoints if endpoint != here]

    def _wait(self, key: GlobusKey) -> None:
        """Wait for the transfers of a key, unless they began here."""
        tasks = (key.task_id,) if isinstance(key.task_id, str) else key.task_id
        for task in tasks:
            if task in self._arrived:
                continue
            client = self._transfer_client()
            ended = client.task_wait(
                task, timeout=self.timeout, polling_interval=self.polling_interval
            )
            if not ended:
                raise ConnectorTimeoutError(
                    f'the transfer {task} has not ended within {self.timeout} s'
                )
            status = client.get_task(task)['status']
            if status != 'SUCCEEDED':
                raise ConnectorError(f'the transfer {task} ended as {status}')
            self._arrived.add(task)

    def close(self, clear: bool | None = None) -> None:
        """Close the connector.

        Args:
            clear: Whether the directory of this site is removed, with every
                object in it; as the connector was told if None.
        """
        if self.clear if clear is None else clear:
            shutil.rmtree(self._here()[1], ignore_errors=True)

    def config(self) -> dict[str, Any]:
        """Return what `from_config` needs to make an equal connector."""
        return {
            'endpoints': self.endpoints.dict(),
            'clear': self.clear,
            'buffering': self.buffering,
            'polling_interval': self.polling_interval,
            'sync_level': self.sync_level,
            'timeout': self.timeout,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> GlobusConnector:
        """Make a connector from what `config` returned.

        Args:
            config: The configuration.
        """
        return cls(**config)

    def put(self, obj: BytesLike) -> GlobusKey:
        """Write an object and begin to transfer it.

        Args:
            obj: Bytes-like.
        """
        return self.put_batch([obj])[0]

    def put_batch(self, objs: Sequence[BytesLike]) -> list[GlobusKey]:
        """Write several objects and begin to transfer them, at once.

        Args:
            objs: Bytes-like objects.
        """
        here, directory = self._here()
        directory.mkdir(parents=True, exist_ok=True)
        names = [uuid.uuid4().hex for _ in objs]
        for name, obj in zip(names, objs, strict=True):
            with (directory / name).open('xb', buffering=self.buffering) as file:
                file.write(obj)
        tasks = tuple(self._send(here, to, names) for to in self._others())
        task_id = tasks[0] if len(tasks) == 1 else tasks
        self._arrived.update(tasks)  # at this site the files are there
        return [GlobusKey(name, task_id) for name in names]

    def _send(
        self, here: GlobusEndpoint, there: GlobusEndpoint, names: list[str]
    ) -> str:
        import globus_sdk

        client = self._transfer_client()
        try:
            client.operation_mkdir(there.uuid, path=there.endpoint_path)
        except globus_sdk.TransferAPIError as error:
            if error.code != GLOBUS_MKDIR_EXISTS_ERROR_CODE:
                raise
        sync_level: Any = self.sync_level
        transfer = globus_sdk.TransferData(
            source_endpoint=here.uuid,
            destination_endpoint=there.uuid,
            sync_level=sync_level,
        )
        for name in names:
            transfer.add_item(
                f'{here.endpoint_path}/{name}', f'{there.endpoint_path}/{name}'
            )
        task: str = client.submit_transfer(transfer)['task_id']
        return task

    def get(self, key: GlobusKey) -> BytesLike | None:
        """Wait for an object's transfer and return it, or None.

        Args:
            key: Its key.

        Raises:
            ConnectorTimeoutError: If the transfer has not ended in time.
            ConnectorError: If it failed.
        """
        path = self._here()[1] / key.filename
        self._wait(key)  # before that, a part of the file may be there
        try:
            with path.open('rb', buffering=self.buffering) as file:
                return file.read()
        except FileNotFoundError:
            return None

    def get_batch(self, keys: Sequence[GlobusKey]) -> list[BytesLike | None]:
        """Return several objects, in order.

        Args:
            keys: Their keys.
        """
        return [self.get(key) for key in keys]

    def exists(self, key: GlobusKey) -> bool:
        """Wait for an object's transfer and tell whether it is there.

        Args:
            key: Its key.
        """
        path = self._here()[1] / key.filename
        self._wait(key)  # before that, a part of the file may be there
        return path.exists()

    def evict(self, key: GlobusKey) -> None:
        """Remove an object at every site.

        Args:
            key: Its key.
        """
        import globus_sdk

        path = self._here()[1] / key.filename
        path.unlink(missing_ok=True)
        for endpoint in self._others():
            deletion = globus_sdk.DeleteData(
                endpoint=endpoint.uuid, ignore_missing=True
            )
            deletion.add_item(f'{endpoint.endpoint_path}/{key.filename}')
            self._transfer_client().submit_delete(deletion)
