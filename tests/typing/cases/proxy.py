"""What a proxy is to a type checker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from collections.abc import Callable
from collections.abc import Coroutine

from proxystore.proxy import Proxy
from proxystore.proxy import ProxyLocker
from proxystore.proxy import ProxyOr
from proxystore.proxy import extract
from proxystore.proxy import get_factory
from proxystore.proxy import is_resolved
from typing_extensions import reveal_type


class Account:
    owner: str = 'me'

    def total(self, month: int) -> float:
        return 1.5 * month

    def __enter__(self) -> int:
        return 1

    def __exit__(self, *args: object) -> None: ...


account = Proxy(Account)
reveal_type(account)
reveal_type(extract(account))
reveal_type(get_factory(account))
reveal_type(is_resolved(account))
reveal_type(account.__proxy_wrapped__)
reveal_type(ProxyLocker(account).unlock())

# Attributes: the plugin tells.
reveal_type(account.owner)
reveal_type(account.total(3))

numbers: Proxy[list[int]] = Proxy(lambda: [1, 2, 3])
reveal_type([-number for number in numbers])
reveal_type(numbers[0])
reveal_type(len(numbers))
reveal_type(1 in numbers)

ages: Proxy[dict[str, int]] = Proxy(lambda: {'me': 1})
reveal_type(ages['me'])
reveal_type([name.upper() for name in ages])

half: Proxy[Callable[[int], float]] = Proxy(lambda: lambda number: number / 2)
reveal_type(half(3))

with account as entered:
    reveal_type(entered)


async def awaiting(
    coroutine: Proxy[Coroutine[None, None, str]], ticks: Proxy[AsyncIterator[int]]
) -> None:
    reveal_type(await coroutine)
    async for tick in ticks:
        reveal_type(tick)


def either(value: ProxyOr[Account]) -> Account:
    if isinstance(value, Proxy):
        return extract(value)
    return value


def of_a_wider_type(proxy: Proxy[object]) -> None: ...


of_a_wider_type(account)
