"""One process of one system: reads requests as JSON lines, answers with times in seconds."""

from __future__ import annotations

import base64
import gc
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import objects
import systems


def private_bytes() -> int:
    """Memory that this process has to itself: anonymous pages, which a copy would take.

    Pages of a file in shared memory count as private too while one process alone maps them, but
    they are the store's.
    """
    for line in Path('/proc/self/smaps_rollup').read_text().splitlines():
        if line.startswith('Anonymous'):
            return int(line.split()[1]) * 1024
    raise RuntimeError('no Anonymous in smaps_rollup')


def time_puts(
    obj: Any, repeats: int, put: Callable[[Any], Any]
) -> tuple[float, list[Any]]:
    """Seconds of one put, and what the puts returned."""
    gc.collect()
    start = time.perf_counter()
    keys = [put(obj) for _ in range(repeats)]
    return (time.perf_counter() - start) / repeats, keys


def time_gets(
    kind: str, arrived: list[Any], get: Callable[[Any], Any]
) -> dict[str, Any]:
    """Seconds of one get: half of them alone, half with the sum; a single one serves for both."""
    alone = arrived[::2] if len(arrived) > 1 else []
    summed = arrived[1::2] if len(arrived) > 1 else arrived
    gc.collect()
    taken = with_sum = total = 0.0
    for one in alone:
        start = time.perf_counter()
        obj = get(one)
        taken += time.perf_counter() - start
    for one in summed:
        start = time.perf_counter()
        obj = get(one)
        got = time.perf_counter()
        total = objects.total(kind, obj)
        with_sum += time.perf_counter() - start
        if not alone:
            taken += got - start
    return {
        'get': taken / len(alone or summed),
        'get+sum': with_sum / len(summed),
        'sum': total,
    }


class Plain:
    """A system of `systems`."""

    def __init__(self, name: str, place: str) -> None:
        self.system = systems.SYSTEMS[name](place)
        self.kept: dict[str, Any] = {}
        self.objects: dict[tuple[str, int], Any] = {}

    def object_of(self, kind: str, size: int) -> Any:
        obj = self.objects.get((kind, size))
        if obj is None:
            self.objects = {(kind, size): (obj := objects.make(kind, size))}
        return obj

    def put(self, kind: str, size: int, repeats: int) -> dict[str, Any]:
        obj = self.object_of(kind, size)
        taken, keys = time_puts(obj, repeats, self.system.put)
        tickets = [base64.b64encode(self.system.ticket(key)).decode() for key in keys]
        self.kept.update(zip(tickets, keys, strict=True))
        return {'put': taken, 'tickets': tickets, 'sum': objects.total(kind, obj)}

    def get(self, kind: str, tickets: list[str]) -> dict[str, Any]:
        arrived = [self.system.arrive(base64.b64decode(ticket)) for ticket in tickets]
        return time_gets(kind, arrived, self.system.get)

    def private(self, ticket: str) -> dict[str, Any]:
        """The memory of its own that the process has more after a get and a sum."""
        arrived = self.system.arrive(base64.b64decode(ticket))
        gc.collect()
        before = private_bytes()
        obj = self.system.get(arrived)
        objects.total('array', obj)
        return {'private': private_bytes() - before}

    def evict(self, tickets: list[str]) -> dict[str, Any]:
        for ticket in tickets:
            self.system.evict(self.kept.pop(ticket))
        return {}


class Ray(Plain):
    """Puts here; the gets run in an actor, a process of its own."""

    def __init__(self) -> None:
        import ray

        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=6 << 30,
        )
        folder = str(Path(__file__).parent)

        class Getter:
            def get(self, kind: str, refs: list[Any]) -> dict[str, Any]:
                sys.path.insert(0, folder)
                import worker

                return worker.time_gets(kind, refs, ray.get)

        self.ray = ray
        self.getter = ray.remote(Getter).remote()
        self.kept: dict[str, Any] = {}
        self.objects: dict[tuple[str, int], Any] = {}

    def put(self, kind: str, size: int, repeats: int) -> dict[str, Any]:
        obj = self.object_of(kind, size)
        taken, refs = time_puts(obj, repeats, self.ray.put)
        self.kept.update({ref.hex(): ref for ref in refs})
        tickets = [ref.hex() for ref in refs]
        return {'put': taken, 'tickets': tickets, 'sum': objects.total(kind, obj)}

    def get(self, kind: str, tickets: list[str]) -> dict[str, Any]:
        refs = [self.kept[ticket] for ticket in tickets]
        # In a list of their own they are not fetched before the actor asks for them.
        answer: dict[str, Any] = self.ray.get(self.getter.get.remote(kind, refs))
        return answer

    def evict(self, tickets: list[str]) -> dict[str, Any]:
        for ticket in tickets:
            del self.kept[ticket]
        return {}


def main() -> None:
    name, place = sys.argv[1:3]
    answers = sys.stdout
    sys.stdout = sys.stderr  # what libraries print is no answer
    worker: Any = Ray() if name == 'ray' else Plain(name, place)
    print(json.dumps({'ready': True}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        answer = getattr(worker, request.pop('do'))(**request)
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == '__main__':
    main()
