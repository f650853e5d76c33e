"""What proxystore asks Globus for.

Example:
    >>> ProxyStoreRelayScopes.relay_all.rpartition('/')[2]
    'relay_all'
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from proxystore._optional import require

if TYPE_CHECKING:
    from globus_sdk import TransferClient
    from globus_sdk.scopes import Scope

__all__ = [
    'ProxyStoreRelayScopes',
    'get_all_scopes_by_resource_server',
    'get_auth_scopes_by_resource_server',
    'get_relay_scopes_by_resource_server',
    'get_transfer_scopes_by_resource_server',
    'uses_data_access',
]


class _ProxyStoreRelayScopes:
    """Scopes of the relay server that Globus users share."""

    resource_server = 'ebd5bbed-95e2-47cf-9c80-39e2064274bd'
    relay_all = f'https://auth.globus.org/scopes/{resource_server}/relay_all'


ProxyStoreRelayScopes = _ProxyStoreRelayScopes()


def _scope(text: str) -> Scope:
    scopes = require('globus_sdk.scopes', extra='globus', user='proxystore.globus')
    scope: Scope = scopes.Scope(text)
    return scope


def get_auth_scopes_by_resource_server() -> dict[str, list[Scope]]:
    """Return the scopes that tell who the user is."""
    texts = (
        'openid',
        'email',
        'urn:globus:auth:scope:auth.globus.org:view_identity_set',
    )
    return {'auth.globus.org': [_scope(text) for text in texts]}


def get_relay_scopes_by_resource_server() -> dict[str, list[Scope]]:
    """Return the scopes of the relay server."""
    relay = ProxyStoreRelayScopes
    return {relay.resource_server: [_scope(relay.relay_all)]}


def get_transfer_scopes_by_resource_server(
    collections: Iterable[str] = (),
) -> dict[str, list[Scope]]:
    """Return the scopes that transfer files.

    Args:
        collections: Mapped collections whose data are accessed.
    """
    scope = _scope('urn:globus:auth:scope:transfer.api.globus.org:all')
    for collection in collections:
        scope = scope.with_dependency(
            _scope(f'https://auth.globus.org/scopes/{collection}/data_access')
        )
    return {'transfer.api.globus.org': [scope]}


def get_all_scopes_by_resource_server(
    collections: Iterable[str] = (),
) -> dict[str, list[Scope]]:
    """Return all of them.

    Args:
        collections: Mapped collections whose data are accessed.
    """
    return {
        **get_auth_scopes_by_resource_server(),
        **get_relay_scopes_by_resource_server(),
        **get_transfer_scopes_by_resource_server(collections),
    }


def uses_data_access(client: TransferClient, collection: str) -> bool:
    """Ask Globus whether a collection needs a scope of its own.

    Args:
        client: A client that is signed in.
        collection: UUID of the collection.
    """
    found = client.get_endpoint(collection)
    return (
        found['entity_type'] == 'GCSv5_mapped_collection'
        and not found['high_assurance']
    )
