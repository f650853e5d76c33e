"""The server that the other tests use is real and answers."""

from __future__ import annotations

import multiprocessing

import redis

from tests.conftest import RedisAddress


def read(address: RedisAddress, key: str) -> bytes | None:
    with redis.Redis(*address) as client:
        return client.get(key)


def test_another_process_reads_what_was_written(redis_server: RedisAddress) -> None:
    with redis.Redis(*redis_server) as client:
        client.set('tests:services', b'value')
        with multiprocessing.get_context('spawn').Pool(1) as pool:
            assert pool.apply(read, (redis_server, 'tests:services')) == b'value'
            pool.close()
            pool.join()
        client.delete('tests:services')
