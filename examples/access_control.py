"""Access control: a factory that checks a permission before it hands out the target.

The program that receives the proxy is not changed: whoever may read gets the
object at the first use, whoever may not gets an error, and nothing is fetched.

A factory runs in the reader's process. It keeps honest programs from data
that they should not touch; a guard against dishonest ones belongs into the
service that keeps the data.

    python examples/access_control.py
"""

from __future__ import annotations

import json
import pickle
import tempfile
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from proxystore.factory import Factory
from proxystore.proxy import FactoryType
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from proxystore.store import Store

T = TypeVar('T')

USER: ContextVar[str] = ContextVar('USER')
"""Who runs this program; a real one would ask its login system."""


class GuardedFactory(Factory[T]):
    """Asks a list of grants before it lets another factory fetch the target.

    Args:
        factory: Fetches the target.
        grants: A JSON file: a list of the users who may read.
    """

    def __init__(self, factory: FactoryType[T], grants: Path) -> None:
        self.factory = factory
        self.grants = grants

    def resolve(self) -> T:
        """The target, for those who may have it."""
        user = USER.get('anonymous')
        if user not in json.loads(self.grants.read_text()):
            raise PermissionError(
                f'{user!r} may not read this; ask the owner of {self.grants}'
            )
        return self.factory()


def analyse(measurements: list[float]) -> float:
    """Any function; it knows neither proxies nor permissions."""
    return sum(measurements) / len(measurements)


def main() -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        Store('measurements', register=True) as store,
    ):
        grants = Path(folder) / 'grants.json'
        grants.write_text(json.dumps(['alice']))

        plain = store.proxy([1.0, 2.0, 6.0], populate_target=False)
        guarded = Proxy(GuardedFactory(get_factory(plain), grants))
        message = pickle.dumps(guarded)

        USER.set('alice')
        print('alice:', analyse(pickle.loads(message)))

        USER.set('bob')
        received = pickle.loads(message)
        try:
            analyse(received)
        except ProxyResolveError as error:
            assert isinstance(error.__cause__, PermissionError)
            print('bob:', error.__cause__)
        else:
            raise AssertionError('bob got in')

        # A failed use leaves the proxy as it was: granted now, it works now.
        assert not is_resolved(received)
        grants.write_text(json.dumps(['alice', 'bob']))
        print('bob, granted:', analyse(received))


if __name__ == '__main__':
    main()
