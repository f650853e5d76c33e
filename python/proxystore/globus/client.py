"""Clients of Globus services.

Example:
    >>> get_native_app_auth_client().client_id
    'a3379dba-a492-459a-a8df-5e7676a0472f'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxystore.globus.app import PROXYSTORE_GLOBUS_CLIENT_ID
from proxystore.globus.app import _sdk
from proxystore.globus.app import get_client_credentials_from_env
from proxystore.globus.app import get_globus_app
from proxystore.globus.scopes import uses_data_access

if TYPE_CHECKING:
    import globus_sdk
    from globus_sdk import GlobusApp

__all__ = [
    'get_confidential_app_auth_client',
    'get_native_app_auth_client',
    'get_transfer_client',
]


def get_confidential_app_auth_client(
    client_id: str | None = None, client_secret: str | None = None
) -> globus_sdk.ConfidentialAppAuthClient:
    """Return an authentication client of a client identity.

    Args:
        client_id: Its id; that of the environment if one of the two is None.
        client_secret: Its secret.

    Raises:
        ValueError: If they are neither given nor set in the environment.
    """
    if client_id is None or client_secret is None:
        client_id, client_secret = get_client_credentials_from_env()
    client: globus_sdk.ConfidentialAppAuthClient = _sdk().ConfidentialAppAuthClient(
        client_id=client_id, client_secret=client_secret
    )
    return client


def get_native_app_auth_client(
    client_id: str = PROXYSTORE_GLOBUS_CLIENT_ID, app_name: str | None = None
) -> globus_sdk.NativeAppAuthClient:
    """Return an authentication client that users sign in with.

    Args:
        client_id: Id of the application.
        app_name: Name that Globus logs.
    """
    client: globus_sdk.NativeAppAuthClient = _sdk().NativeAppAuthClient(
        client_id=client_id, app_name=app_name
    )
    return client


def get_transfer_client(
    globus_app: GlobusApp | None = None, collections: Iterable[str] = ()
) -> globus_sdk.TransferClient:
    """Return a client of the transfer service.

    Args:
        globus_app: Identity to act under; by the environment if None.
        collections: Collections that files are moved between.
    """
    app = get_globus_app() if globus_app is None else globus_app
    client: globus_sdk.TransferClient = _sdk().TransferClient(app=app)
    for collection in collections:
        if uses_data_access(client, collection):
            client.add_app_data_access_scope(collection)
    return client
