"""Objects in a bucket: S3 and what speaks its protocol, Google, Azure."""

from __future__ import annotations

from typing import TYPE_CHECKING
from typing import Any
from typing import NamedTuple
from urllib.parse import quote

from proxystore import _core
from proxystore.connectors._native import NativeBase

if TYPE_CHECKING:
    import sys
    from collections.abc import Mapping

    if sys.version_info >= (3, 11):
        from typing import Self
    else:
        from typing_extensions import Self

__all__ = ['ObjectStoreConnector', 'ObjectStoreKey']


class ObjectStoreKey(NamedTuple):
    """Key of an object in a bucket.

    Attributes:
        object_key: The last part of the object's name there.
    """

    object_key: str


class ObjectStoreConnector(NativeBase[ObjectStoreKey]):
    """Keeps objects in a bucket of S3, Google Cloud Storage or Azure Blob.

    What is not given is read from the environment, by the conventions of each
    service, in every process that opens the store: `AWS_ACCESS_KEY_ID` and its
    like, `~/.aws/credentials`, `GOOGLE_APPLICATION_CREDENTIALS`,
    `AZURE_STORAGE_ACCOUNT_NAME` and its like, or the identity of the machine.

    Args:
        url: `s3://bucket/prefix` (also MinIO, Ceph, R2),
            `gs://bucket/prefix`, `az://container/prefix`, or
            `s3+profile://name`. The options below may follow a `?`.
        clear: Whether `close()` removes the objects of the namespace. Others
            are never touched.
        endpoint: Address of the service, if it is not the provider's own,
            such as `http://127.0.0.1:9000`.
        region: Region of the bucket (S3).
        namespace: Under the prefix; stores with the same one share objects.
        username: Access key id (S3) or name of the storage account (Azure).
        password: Secret access key (S3) or account key (Azure). `'${NAME}'`
            stands for the environment variable of that name, in every process
            that opens the store; anything else stays in this one, see
            `allow_secret`.
        session_token: Of temporary credentials (S3); as the password.
        aws_profile: Section of `~/.aws/credentials` to use.
        service_account: File with the key of a service account (Google).
        anonymous: Whether to send requests without credentials.
        virtual_hosted: Whether the bucket is part of the host's name (S3).
        ca_file: Certificates (PEM) of the authorities to trust; the system's
            if not given.
        leases: Whether objects can have leases. Each get asks for the lease
            too, in a small request at the same time.
        timeout: Most seconds without an answer, or any byte of it.
        connect_timeout: Most seconds for making a connection.
        retries: How often a request is repeated that the service was too busy
            for, or whose connection dropped.
        retry_timeout: No request is repeated after so many seconds.
        allow_secret: Whether secrets may travel in proxies as they are.

    Raises:
        ConnectorConfigError: If an option is wrong, or there is no such
            bucket.
        ConnectorUnreachableError: If the service does not answer.
        ConnectorPermissionError: If it refuses the credentials.

    Example:
        >>> connector = ObjectStoreConnector(
        ...     's3://bucket/docs',
        ...     endpoint='http://127.0.0.1:9000',
        ...     username='me',
        ...     password='${MINIO_PASSWORD}',
        ... )
        >>> key = connector.put(b'hello')
        >>> connector.get(key)
        b'hello'
        >>> connector.close(clear=True)
    """

    _key_class = ObjectStoreKey
    _wire_kind = 'objects'
    _wire_names = ('url', 'clear')

    def __init__(
        self,
        url: str,
        clear: bool | None = None,
        *,
        endpoint: str | None = None,
        region: str | None = None,
        namespace: str | None = None,
        username: str | None = None,
        password: str | None = None,
        session_token: str | None = None,
        aws_profile: str | None = None,
        service_account: str | None = None,
        anonymous: bool | None = None,
        virtual_hosted: bool | None = None,
        ca_file: str | None = None,
        leases: bool | None = None,
        timeout: float | None = None,
        connect_timeout: float | None = None,
        retries: int | None = None,
        retry_timeout: float | None = None,
        allow_secret: bool | None = None,
    ) -> None:
        options = {
            'endpoint': endpoint,
            'region': region,
            'namespace': namespace,
            'session_token': session_token,
            'aws_profile': aws_profile,
            'service_account': service_account,
            'anonymous': anonymous,
            'virtual_hosted': virtual_hosted,
            'ca_file': ca_file,
            'leases': leases,
            'timeout': timeout,
            'connect_timeout': connect_timeout,
            'retries': retries,
            'retry_timeout': retry_timeout,
            'allow_secret': allow_secret,
        }
        full = _url(url, username, password, options)
        self._native, (cleared, holds_secret, self._place) = _core.open_object_store(
            full
        )
        self.clear = cleared if clear is None else clear
        if holds_secret:
            from proxystore.connectors._secret import SecretUrl

            full = SecretUrl(full)
        self.url = full

    @classmethod
    def from_url(cls, url: str, *, clear: bool | None = None) -> Self:
        """Open the bucket that a URL names.

        Args:
            url: As in the constructor.
            clear: Whether `close()` removes the objects; as the URL says if
                not given.
        """
        return cls(url, clear)

    def __repr__(self) -> str:
        return f'ObjectStoreConnector({self._place})'

    def close(self, clear: bool | None = None) -> None:
        """Close the connections; closing again does no harm.

        Args:
            clear: Whether to remove the objects of the namespace; the
                constructor's `clear` if not given.
        """
        self._native.close(self.clear if clear is None else clear)


def _url(
    url: str,
    username: str | None,
    password: str | None,
    options: Mapping[str, Any],
) -> str:
    """Return the URL that says all this."""

    def _part(value: Any) -> str:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        return quote(text, safe='${}')

    if username is not None or password is not None:
        scheme, separator, rest = url.partition('://')
        user = _part(username or '')
        if password is not None:
            user += f':{_part(password)}'
        url = f'{scheme}{separator}{user}@{rest}'
    given = [f'{name}={_part(v)}' for name, v in options.items() if v is not None]
    if not given:
        return url
    return f'{url}{"&" if "?" in url else "?"}{"&".join(given)}'
