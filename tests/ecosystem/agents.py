"""The agents of `test_academy`, in a module that a spawned process can import."""

from __future__ import annotations

import os
from typing import Any

from academy.agent import Agent
from academy.agent import action
from academy.exchange import ProxyStoreExchangeFactory
from academy.handle import Handle

# Academy 1.0.0 leaves it behind when it pickles such a factory for an agent's process.
ProxyStoreExchangeFactory.config = None


class Writer(Agent):
    """Makes lists."""

    @action
    async def write(self, length: int) -> list[int]:
        return list(range(length))

    @action
    async def fail(self) -> None:
        raise LookupError('no such thing')


class Reader(Agent):
    """Sums what it is given, and tells what it came as."""

    def __init__(self, writer: Handle[Writer]) -> None:
        super().__init__()
        self.writer = writer

    @action
    async def read(self, length: int) -> tuple[int, list[str], int]:
        return await self.total(await self.writer.write(length))

    @action
    async def total(self, values: Any, scale: Any = None) -> tuple[int, list[str], int]:
        kinds = [type(each).__name__ for each in (values, scale) if each is not None]
        pairs = zip(values, scale or [1] * len(values), strict=True)
        return sum(value * by for value, by in pairs), kinds, os.getpid()
