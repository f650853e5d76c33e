"""A Thinker and a task server of Colmena, whose large objects go by proxy."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store.utils import get_key

from tests.conftest import RedisAddress

pytestmark = [
    pytest.mark.integration,
    # What Colmena itself leaves open or calls deprecated.
    pytest.mark.filterwarnings('default'),
]

THRESHOLD = 10_000  # bytes
LARGE = list(range(20_000))
SMALL = [1, 2, 3]


def double(values: Any, *, note: str) -> dict[str, Any]:
    """Runs on a worker: the values doubled, and what they came as."""
    return {
        'process': os.getpid(),
        'kind': type(values).__name__,
        'was': 'by proxy' if type(values) is Proxy else 'as it was',
        'note': f'{note}, doubled',
        'values': [2 * value for value in values],
    }


def fail(values: Any) -> None:
    raise ValueError(f'{len(values)} values are too many')


@pytest.fixture(params=['pipes', 'redis'])
def queues(
    request: pytest.FixtureRequest, store: Store[Any], redis_server: RedisAddress
) -> Iterator[Any]:
    """Queues between a thinker and a task server, which proxy what is large."""
    from colmena.queue.python import PipeQueues
    from colmena.queue.redis import RedisQueues

    options: dict[str, Any] = {
        'topics': ['large', 'small', 'failing'],
        'serialization_method': 'pickle',
        'proxystore_name': store.name,
        'proxystore_threshold': THRESHOLD,
    }
    if request.param == 'pipes':
        yield PipeQueues(**options)
    else:
        prefix = f'queues-{store.name}'
        queues = RedisQueues(
            hostname=redis_server.host, port=redis_server.port, prefix=prefix, **options
        )
        yield queues
        queues.disconnect()


def test_a_thinker(store: Store[Any], queues: Any) -> None:
    from colmena.task_server.local import LocalTaskServer
    from colmena.thinker import BaseThinker
    from colmena.thinker import agent
    from colmena.thinker import result_processor

    class Thinker(BaseThinker):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__(queues)
            self.results: dict[str, Any] = {}

        @agent(startup=True)  # type: ignore[untyped-decorator]
        def ask(self) -> None:
            for topic, values in (('large', LARGE), ('small', SMALL)):
                self.queues.send_inputs(
                    values, input_kwargs={'note': topic}, method='double', topic=topic
                )
            self.queues.send_inputs(LARGE, method='fail', topic='failing')

        def keep(self, result: Any) -> None:
            self.results[result.topic] = result
            if len(self.results) == 3:
                self.done.set()

        large = result_processor(topic='large')(lambda self, result: self.keep(result))
        small = result_processor(topic='small')(lambda self, result: self.keep(result))
        failing = result_processor(topic='failing')(
            lambda self, result: self.keep(result)
        )

    server = LocalTaskServer(queues, [double, fail], threads=False, num_workers=1)
    server.start()
    thinker = Thinker()
    try:
        thinker.start()
        thinker.join(120)
        assert not thinker.is_alive()
    finally:
        queues.send_kill_signal()
        server.join(60)
    assert server.exitcode == 0

    large = thinker.results['large']
    assert large.success, large.failure_info
    sent = large.args[0]
    value = large.value
    # Nobody here has looked into either of them.
    assert store.metrics is not None
    for proxy in (sent, value):
        assert type(proxy) is Proxy
        assert not is_resolved(proxy)
        seen = store.metrics.get_metrics(proxy)
        assert seen is None or 'store.get' not in seen.times
    # The worker has, which evicts, and says how long it took.
    assert not store.exists(get_key(sent))
    assert 'store.get' in large.time.proxy[str(get_key(sent))]['times']
    assert large.message_sizes['inputs'] > THRESHOLD
    assert value['values'] == [2 * each for each in LARGE]
    seen = store.metrics.get_metrics(value)
    assert seen is not None and 'store.get' in seen.times
    assert value['was'] == 'by proxy'
    assert value['kind'] == 'Proxy'
    assert value['process'] not in (os.getpid(), server.pid)
    assert not store.exists(get_key(value))

    small = thinker.results['small']
    assert type(small.args[0]) is list
    assert type(small.value) is dict
    assert small.value['was'] == 'as it was'
    assert small.value['values'] == [2, 4, 6]
    assert small.value['note'] == 'small, doubled'

    failed = thinker.results['failing']
    assert not failed.success
    assert '20000 values are too many' in failed.failure_info.exception


def test_a_store_in_a_model_of_pydantic(store: Store[Any]) -> None:
    """A result carries the store's configuration, from which a worker opens it."""
    from colmena.models import Result
    from colmena.proxy import get_store
    from proxystore.store import unregister_store

    result = Result(
        inputs=((LARGE,), {}),
        method='double',
        topic='large',
        serialization_method='pickle',
        proxystore_name=store.name,
        proxystore_threshold=THRESHOLD,
        proxystore_config=store.config(),
    )
    _, proxies = result.serialize()
    assert [type(each) for each in proxies] == [Proxy]
    again = Result.model_validate_json(result.json(exclude_none=True))
    assert again.proxystore_config == store.config()
    unregister_store(store)
    opened = get_store(again.proxystore_name, again.proxystore_config)
    assert opened is not None
    assert opened is not store
    again.deserialize()
    assert again.args[0] == LARGE
    unregister_store(opened)
    opened.close()
