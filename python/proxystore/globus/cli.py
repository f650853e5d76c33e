"""Command line: sign in to Globus, and out.

Example:
    >>> sorted(cli.commands)
    ['login', 'logout']
"""

from __future__ import annotations

from proxystore._optional import require
from proxystore.globus.app import get_user_app
from proxystore.globus.scopes import get_all_scopes_by_resource_server

click = require('click', extra='globus', user='proxystore.globus.cli')

__all__ = ['cli', 'login', 'logout']


@click.group()  # type: ignore[untyped-decorator, unused-ignore]
def cli() -> None:
    """Sign in to Globus, or out."""


@cli.command()  # type: ignore[untyped-decorator, unused-ignore]
@click.option('--collection', '-c', multiple=True, help='Collection to access.')  # type: ignore[untyped-decorator, unused-ignore]
@click.option('--domain', '-d', multiple=True, help='Domain to sign in with.')  # type: ignore[untyped-decorator, unused-ignore]
@click.option('--force', is_flag=True, help='Sign in again.')  # type: ignore[untyped-decorator, unused-ignore]
def login(collection: tuple[str, ...], domain: tuple[str, ...], force: bool) -> None:
    """Sign in."""
    from globus_sdk.gare import GlobusAuthorizationParameters

    app = get_user_app()
    app.add_scope_requirements(get_all_scopes_by_resource_server(collection))
    if not (force or app.login_required()):
        click.echo('You are signed in already: --force signs in again.')
        return
    domains = list(domain) or None
    parameters = GlobusAuthorizationParameters(
        session_required_single_domain=domains, prompt='login' if force else None
    )
    app.login(auth_params=parameters, force=force)


@cli.command()  # type: ignore[untyped-decorator, unused-ignore]
def logout() -> None:
    """Sign out: the tokens of this machine are revoked and removed."""
    get_user_app().logout()
