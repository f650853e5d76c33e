"""One process of one system: reads requests as JSON lines, answers with times in seconds."""

from __future__ import annotations

import base64
import gc
import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import objects
import systems


def private_bytes() -> int:
    """Memory that this process has to itself."""
    total = 0
    for line in Path('/proc/self/smaps_rollup').read_text().splitlines():
        if line.startswith(('Private_Clean', 'Private_Dirty')):
            total += int(line.split()[1]) * 1024
    return total


class Plain:
    """A system of `systems`."""

    def __init__(self, name: str, place: str) -> None:
        self.system = systems.SYSTEMS[name](place)
        self.kept: dict[str, Any] = {}
        self.objects: dict[tuple[str, int], Any] = {}

    def put(self, kind: str, size: int) -> dict[str, Any]:
        obj = self.objects.get((kind, size))
        if obj is None:
            self.objects = {(kind, size): (obj := objects.make(kind, size))}
        gc.collect()
        start = time.perf_counter()
        key = self.system.put(obj)
        taken = time.perf_counter() - start
        ticket = base64.b64encode(self.system.ticket(key)).decode()
        self.kept[ticket] = key
        return {'put': taken, 'ticket': ticket, 'sum': objects.total(kind, obj)}

    def get(self, kind: str, ticket: str) -> dict[str, Any]:
        arrived = self.system.arrive(base64.b64decode(ticket))
        before = private_bytes() if kind == 'memory' else 0
        gc.collect()
        start = time.perf_counter()
        obj = self.system.get(arrived)
        taken = time.perf_counter() - start
        added = private_bytes() - before if kind == 'memory' else 0
        total = objects.total('array' if kind == 'memory' else kind, obj)
        with_sum = time.perf_counter() - start
        return {'get': taken, 'get+sum': with_sum, 'sum': total, 'private': added}

    def evict(self, ticket: str) -> dict[str, Any]:
        self.system.evict(self.kept.pop(ticket))
        return {}


class Ray:
    """Ray: the gets run in an actor, a process of its own."""

    def __init__(self) -> None:
        import ray

        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=6 << 30
        )
        folder = str(Path(__file__).parent)

        class Getter:
            def get(self, kind: str, refs: list[Any]) -> dict[str, Any]:
                sys.path.insert(0, folder)
                import objects

                start = time.perf_counter()
                obj = ray.get(refs[0])
                taken = time.perf_counter() - start
                total = objects.total(kind, obj)
                with_sum = time.perf_counter() - start
                return {'get': taken, 'get+sum': with_sum, 'sum': total}

        self.ray = ray
        self.getter = ray.remote(Getter).remote()
        self.kept: dict[str, Any] = {}
        self.objects: dict[tuple[str, int], Any] = {}

    def put(self, kind: str, size: int) -> dict[str, Any]:
        obj = self.objects.get((kind, size))
        if obj is None:
            self.objects = {(kind, size): (obj := objects.make(kind, size))}
        gc.collect()
        start = time.perf_counter()
        ref = self.ray.put(obj)
        taken = time.perf_counter() - start
        self.kept[ref.hex()] = ref
        return {'put': taken, 'ticket': ref.hex(), 'sum': objects.total(kind, obj)}

    def get(self, kind: str, ticket: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.ray.get(self.getter.get.remote(kind, [self.kept[ticket]]))
        return answer

    def evict(self, ticket: str) -> dict[str, Any]:
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
