"""A proxy in place of its target: where a protocol is asked for, but not where a class is."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sized
from typing import SupportsFloat
from typing import SupportsIndex

from proxystore.proxy import Proxy
from proxystore.proxy import ProxyOr
from proxystore.proxy import extract
from proxystore.proxy import resolve
from typing_extensions import reveal_type


class Account:
    owner: str = 'me'


def of_the_class(account: Account) -> str:
    return account.owner


def of_either(account: ProxyOr[Account]) -> str:
    return extract(account).owner if isinstance(account, Proxy) else account.owner


def of_a_protocol(numbers: Iterable[int], sized: Sized) -> int:
    return sum(numbers) + len(sized)


def of_a_number(index: SupportsIndex, real: SupportsFloat) -> None: ...


def of_a_call(function: Callable[[int], float]) -> float:
    return function(3)


account = Proxy(Account)
numbers: Proxy[list[int]] = Proxy(lambda: [3, 1, 2])
texts: Proxy[list[str]] = Proxy(lambda: ['a', 'b'])
ages: Proxy[dict[str, int]] = Proxy(lambda: {'me': 1})
half: Proxy[Callable[[int], float]] = Proxy(lambda: lambda number: number / 2)
whole: Proxy[int] = Proxy(lambda: 6)

# A checker goes by the class here, and that is `Proxy`.
of_the_class(account)
of_the_class(extract(account))
of_either(account)
of_either(Account())
of_a_protocol(numbers, numbers)
of_a_protocol(texts, ages)
of_a_number(whole, whole)
of_a_call(half)

reveal_type(sum(numbers))
reveal_type(sorted(texts))
reveal_type(max(numbers))
reveal_type(list(numbers))
reveal_type(set(texts))
reveal_type(', '.join(texts))
reveal_type(dict(zip(texts, numbers)))
reveal_type([each for each in enumerate(texts)])
first, *rest = numbers
reveal_type(first)
reveal_type(rest)
reveal_type(resolve(account))

if isinstance(account, Account):
    of_the_class(account)
    reveal_type(account.owner)
