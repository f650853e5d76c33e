"""Owners, borrows and futures, as a type checker sees them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.store import Store
from proxystore.store import get_or_create_store
from proxystore.store.executor import ProxyAlways
from proxystore.store.executor import StoreExecutor
from proxystore.store.future import Future
from proxystore.store.lifetimes import ContextLifetime
from proxystore.store.ref import borrow
from proxystore.store.ref import clone
from proxystore.store.ref import into_owned
from proxystore.store.ref import mut_borrow
from proxystore.store.ref import update
from proxystore.store.scopes import submit
from proxystore.store.utils import get_key
from proxystore.store.utils import resolve_async
from typing_extensions import reveal_type


class Account:
    owner: str = 'me'

    def total(self, month: int) -> float:
        return 1.5 * month


store = Store('references', LocalConnector())
owner = store.owned_proxy(Account())
reveal_type(owner)
reveal_type(extract(owner))
reveal_type(owner.owner)
reveal_type(owner.total(1))
reveal_type(borrow(owner))
reveal_type(borrow(owner).total)
reveal_type(mut_borrow(owner))
reveal_type(clone(owner))
reveal_type(into_owned(store.proxy([1])))
reveal_type(into_owned(store.proxy([1]))[0])
reveal_type(update(owner))
borrow(store.proxy([1]))  # no owner


def use(proxy: Proxy[Account]) -> float:
    return extract(proxy).total(3)


use(owner)
use(borrow(owner))
with ThreadPoolExecutor() as pool:
    reveal_type(submit(pool.submit, args=(use, borrow(owner))))
    with StoreExecutor(pool, store, ProxyAlways()) as executor:
        reveal_type(executor.submit(sum, [1, 2]))
        reveal_type(list(executor.map(abs, [1, 2])))

future: Future[list[int]] = store.future()
reveal_type(future)
reveal_type(future.proxy())
reveal_type(future.result())
reveal_type(future.result(timeout=1))
reveal_type(future.done())
future.set_result('x')
future.set_exception(ValueError())

key = store.put('x')
reveal_type(store.get(key))
reveal_type(store.get(key, default='none'))
reveal_type(store.proxy_batch([1, 2]))
reveal_type(store.locked_proxy([1]).unlock())
named: Proxy[str] = store.proxy_from_key(key)
reveal_type(store.exists(key))
reveal_type(get_key(named))
reveal_type(resolve_async(named))
reveal_type(get_or_create_store(store.config()))
with ContextLifetime(store) as lifetime:
    reveal_type(store.put('x', lifetime=lifetime))
