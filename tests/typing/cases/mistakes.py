"""What is refused."""

from __future__ import annotations

from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.store import Store
from proxystore.stream import StreamProducer


class Account:
    owner: str = 'me'


account = Proxy(Account)
wrong: int = extract(account)
account.nobody  # only the plugin sees it
Proxy(3)
Store(3)
StreamProducer(object())
