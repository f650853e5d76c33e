"""Operators of a proxy: those of its target; `Any` where they have no single type."""

from __future__ import annotations

from collections.abc import AsyncIterator
from collections.abc import Iterator
from datetime import datetime
from datetime import timedelta
from decimal import Decimal
from types import TracebackType

from proxystore.proxy import Proxy
from typing_extensions import reveal_type


class Vector:
    def __matmul__(self, other: Vector) -> float:
        return 0.0

    def __rmul__(self, other: float) -> Vector:
        return self

    async def __aenter__(self) -> int:
        return 1

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


whole: Proxy[int] = Proxy(lambda: 6)
real: Proxy[float] = Proxy(lambda: 1.5)
text: Proxy[str] = Proxy(lambda: 'text')
numbers: Proxy[list[int]] = Proxy(lambda: [1, 2, 3])
members: Proxy[set[str]] = Proxy(lambda: {'me'})
ages: Proxy[dict[str, int]] = Proxy(lambda: {'me': 1})
day: Proxy[datetime] = Proxy(lambda: datetime(2024, 1, 1))
price: Proxy[Decimal] = Proxy(lambda: Decimal(3))
vector = Proxy(Vector)

reveal_type(whole + 1)
reveal_type(1 + whole)
reveal_type(whole - 1)
reveal_type(whole * 2)
reveal_type(real / 2)
reveal_type(whole // 4)
reveal_type(whole % 4)
reveal_type(divmod(whole, 4))
reveal_type(whole << 1)
reveal_type(whole >> 1)
reveal_type(whole & 1)
reveal_type(whole ^ 1)
reveal_type(whole | 1)
reveal_type(2 - real)
reveal_type(-whole)
reveal_type(+real)
reveal_type(abs(real))
reveal_type(~whole)
reveal_type(text + 'x')
reveal_type(numbers + [4])
reveal_type(numbers * 2)
reveal_type(members | {'you'})
reveal_type(ages | {'you': 2})
reveal_type(day + timedelta(1))
reveal_type(price * 2)
reveal_type(vector @ Vector())
reveal_type(2.5 * vector)

# Of several types, or with another proxy: Any.
reveal_type(whole + 1.5)
reveal_type(whole + whole)
reveal_type(day - day)

reveal_type(whole < 7)
reveal_type(text >= 'a')
reveal_type(numbers <= [1])
reveal_type(day > datetime(2023, 1, 1))
reveal_type(whole == 6)
reveal_type('me' in members)
reveal_type(not numbers)

reveal_type(text[0])
reveal_type(text[1:])
reveal_type(numbers[1:])
reveal_type(ages['me'] + 1)
reveal_type(list(reversed(numbers)))
reveal_type(int(whole))
reveal_type(float(real))
reveal_type(round(real))
reveal_type(str(whole))
reveal_type(f'{real:.1f}')
reveal_type(range(10)[whole])
reveal_type(hash(text))

ticks: Proxy[Iterator[int]] = Proxy(lambda: iter([1]))
reveal_type(next(ticks))
del numbers[0]
numbers[0] = 5
numbers += [6]
reveal_type(numbers)


async def beside_a_loop(events: Proxy[AsyncIterator[str]]) -> None:
    reveal_type(await anext(events))
    async with vector as entered:
        reveal_type(entered)
