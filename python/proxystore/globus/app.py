"""The identity that proxystore acts under: a user's, or a client's.

A client's identity is used where both `PROXYSTORE_GLOBUS_CLIENT_ID` and
`PROXYSTORE_GLOBUS_CLIENT_SECRET` are set.

Example:
    >>> is_client_login()
    False
"""

from __future__ import annotations

import os
import pathlib
from typing import TYPE_CHECKING
from typing import Any

from proxystore._optional import require
from proxystore.globus.scopes import get_all_scopes_by_resource_server
from proxystore.utils.environment import home_dir

if TYPE_CHECKING:
    from globus_sdk import ClientApp
    from globus_sdk import GlobusApp
    from globus_sdk import UserApp
    from globus_sdk.token_storage import SQLiteTokenStorage

__all__ = [
    'PROXYSTORE_GLOBUS_CLIENT_ID',
    'PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME',
    'PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME',
    'get_client_app',
    'get_client_credentials_from_env',
    'get_globus_app',
    'get_token_storage',
    'get_user_app',
    'is_client_login',
]

PROXYSTORE_GLOBUS_CLIENT_ID = 'a3379dba-a492-459a-a8df-5e7676a0472f'
"""Application that users sign in to."""
PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME = 'PROXYSTORE_GLOBUS_CLIENT_ID'
PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME = 'PROXYSTORE_GLOBUS_CLIENT_SECRET'


def _sdk(module: str = 'globus_sdk') -> Any:
    return require(module, extra='globus', user='proxystore.globus')


def get_token_storage(
    filepath: str | pathlib.Path | None = None, *, namespace: str = 'DEFAULT'
) -> SQLiteTokenStorage:
    """Open the file of tokens; it is made if need be, for the user alone.

    Args:
        filepath: Its path; `storage.db` in proxystore's directory if None.
        namespace: Part of the file that is used.
    """
    path = pathlib.Path(home_dir(), 'storage.db') if filepath is None else filepath
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    storage: SQLiteTokenStorage = _sdk('globus_sdk.token_storage').SQLiteTokenStorage(
        path, namespace=namespace
    )
    path.chmod(0o600)
    return storage


def _config() -> Any:
    return _sdk().GlobusAppConfig(
        token_storage=get_token_storage(), request_refresh_tokens=True
    )


def get_user_app() -> UserApp:
    """Return the application of a user, who is asked to sign in at need."""
    app: UserApp = _sdk().UserApp(
        'proxystore',
        client_id=PROXYSTORE_GLOBUS_CLIENT_ID,
        scope_requirements=get_all_scopes_by_resource_server(),
        config=_config(),
    )
    return app


def get_client_app(
    client_id: str | None = None, client_secret: str | None = None
) -> ClientApp:
    """Return the application of a client identity.

    Args:
        client_id: Its id; that of the environment if neither is given.
        client_secret: Its secret.

    Raises:
        ValueError: If only one of the two is given, or set.
    """
    if client_id is None and client_secret is None:
        client_id, client_secret = get_client_credentials_from_env()
    if client_id is None or client_secret is None:
        raise ValueError(
            'client_id and client_secret belong together: give both or neither'
        )
    app: ClientApp = _sdk().ClientApp(
        'proxystore',
        client_id=client_id,
        client_secret=client_secret,
        scope_requirements=get_all_scopes_by_resource_server(),
        config=_config(),
    )
    return app


def get_globus_app() -> GlobusApp:
    """Return the application of a client if one is set, else of a user."""
    return get_client_app() if is_client_login() else get_user_app()


def is_client_login() -> bool:
    """Whether the environment names a client identity."""
    return bool(
        os.environ.get(PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME)
        and os.environ.get(PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME)
    )


def get_client_credentials_from_env() -> tuple[str, str]:
    """Return the id and the secret of the client identity.

    Raises:
        ValueError: If one of the two is not set.
    """
    if not is_client_login():
        raise ValueError(
            f'Set both {PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME} and '
            f'{PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME} to act as a client, or '
            'neither to sign in as a user.'
        )
    return (
        os.environ[PROXYSTORE_GLOBUS_CLIENT_ID_ENV_NAME],
        os.environ[PROXYSTORE_GLOBUS_CLIENT_SECRET_ENV_NAME],
    )
