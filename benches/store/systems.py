"""The systems that are compared: each puts in one process and gets in another.

`put` returns a ticket that the other process can `get`; `evict` removes the object. Whatever is
not part of a put or a get, such as connecting, happens in `__init__`.
"""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any


class ProxyStoreSystem:
    """Ours and ProxyStore 1.1 alike: which one it is depends on the virtual environment."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.opened: Any = None

    @property
    def store(self) -> Any:
        """The store of the process that puts; the other one is told by the proxies."""
        if self.opened is None:
            from proxystore.store import Store

            connector = self.connector(self.place)
            self.opened = Store('bench', connector, cache_size=0, register=True)
        return self.opened

    def connector(self, place: str) -> Any:
        raise NotImplementedError

    def put(self, obj: Any) -> Any:
        return self.store.put(obj)

    def ticket(self, key: Any) -> bytes:
        return pickle.dumps(self.store.proxy_from_key(key))

    def arrive(self, ticket: bytes) -> Any:
        return pickle.loads(ticket)

    def get(self, proxy: Any) -> Any:
        from proxystore.proxy import extract

        return extract(proxy)

    def evict(self, key: Any) -> None:
        self.store.evict(key)


class File(ProxyStoreSystem):
    def connector(self, place: str) -> Any:
        from proxystore.connectors.file import FileConnector

        return FileConnector(place)


class Fresh(File):
    """As at the first use of memory: evicted objects' pages are not kept for the next."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        os.environ['PROXYSTORE_RECYCLED_BYTES'] = '0'


class Redis(ProxyStoreSystem):
    def connector(self, place: str) -> Any:
        from proxystore.connectors.redis import RedisConnector

        host, port = place.rsplit(':', 1)
        return RedisConnector(host, int(port))


class Local(ProxyStoreSystem):
    """In one process, as it can only be."""

    def connector(self, place: str) -> Any:
        from proxystore.connectors.local import LocalConnector

        return LocalConnector()


class Default(ProxyStoreSystem):
    """The embedded default of ours."""

    def connector(self, place: str) -> Any:
        return None


class Joblib:
    """joblib.dump, and load with a copy-on-write mapping."""

    def __init__(self, place: str) -> None:
        import joblib

        self.joblib = joblib
        self.place = Path(place)
        self.count = 0

    def put(self, obj: Any) -> str:
        self.count += 1
        path = str(self.place / f'{os.getpid()}-{self.count}')
        self.joblib.dump(obj, path)
        return path

    def ticket(self, path: str) -> bytes:
        return path.encode()

    def arrive(self, ticket: bytes) -> str:
        return ticket.decode()

    def get(self, path: str) -> Any:
        return self.joblib.load(path, mmap_mode='c')

    def evict(self, path: str) -> None:
        Path(path).unlink()


class Numpy(Joblib):
    """np.save, and np.load with a copy-on-write mapping. Arrays only."""

    def __init__(self, place: str) -> None:
        import numpy

        self.numpy = numpy
        self.place = Path(place)
        self.count = 0

    def put(self, obj: Any) -> str:
        self.count += 1
        path = str(self.place / f'{os.getpid()}-{self.count}.npy')
        self.numpy.save(path, obj)
        return path

    def get(self, path: str) -> Any:
        return self.numpy.load(path, mmap_mode='c')


class Limit(Joblib):
    """The bare calls: open, write, close; open, read into warm memory, close. Arrays and bytes."""

    def __init__(self, place: str) -> None:
        self.place = Path(place)
        self.count = 0
        self.warm = bytearray()

    def put(self, obj: Any) -> str:
        self.count += 1
        path = str(self.place / f'{os.getpid()}-{self.count}')
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        rest = memoryview(obj).cast('B')
        while rest:
            rest = rest[os.write(file, rest) :]
        os.close(file)
        return path

    def get(self, path: str) -> Any:
        import numpy

        file = os.open(path, os.O_RDONLY)
        size = os.fstat(file).st_size
        if len(self.warm) < size:
            self.warm = bytearray(size)
        view = memoryview(self.warm)[:size]
        done = 0
        while done < size:
            done += os.readv(file, [view[done:]])
        os.close(file)
        return numpy.frombuffer(view, dtype='u1')


class Mapped(Limit):
    """The bare calls of a get without a copy: open, map copy-on-write, touch the first number, close."""

    def get(self, path: str) -> Any:
        import mmap

        import numpy

        file = os.open(path, os.O_RDONLY)
        size = os.fstat(file).st_size
        mapping = mmap.mmap(
            file,
            size,
            flags=mmap.MAP_PRIVATE,
            prot=mmap.PROT_READ | mmap.PROT_WRITE,
        )
        os.close(file)
        array = numpy.frombuffer(mapping, dtype='u1')
        array[0]
        return array


SYSTEMS: dict[str, Any] = {
    'file': File,
    'fresh': Fresh,
    'redis': Redis,
    'local': Local,
    'default': Default,
    'joblib': Joblib,
    'numpy': Numpy,
    'limit': Limit,
    'mapped': Mapped,
}
