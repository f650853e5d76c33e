"""Consumers beside an event loop."""

from __future__ import annotations

import asyncio
import queue
import subprocess
import sys
import threading
from typing import Any

import pytest
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.stream import StreamConsumer
from proxystore.stream import StreamProducer
from proxystore.stream._worker import Worker
from proxystore.stream.shims.queue import QueuePublisher
from proxystore.stream.shims.queue import QueueSubscriber


def test_objects_as_they_come() -> None:
    line: queue.Queue[bytes] = queue.Queue()
    store = Store('async-stream', LocalConnector(), register=True)
    producer = StreamProducer[Any](QueuePublisher({'t': line}), default_store=store)

    def produce() -> None:
        for i in range(6):
            producer.send('t', [i], metadata={'i': i})
        producer.close(topics=['t'])

    async def main() -> None:
        thread = threading.Thread(target=produce)
        thread.start()
        with StreamConsumer[Any](QueueSubscriber(line)) as consumer:
            first = await consumer.anext()
            assert type(first) is Proxy
            assert first == [0]
            metadata, second = await consumer.anext_with_metadata()
            assert (metadata, second) == ({'i': 1}, [1])
            assert type(await consumer.anext_object()) is list
            assert await consumer.anext_object_with_metadata() == ({'i': 3}, [3])
            assert [proxy[0] async for proxy in consumer] == [4, 5]
            producer.publisher = QueuePublisher({'t': line})
        thread.join()

    asyncio.run(main())
    store.close()


def test_the_end_is_the_same_for_each() -> None:
    async def main() -> None:
        for name in (
            'anext',
            'anext_with_metadata',
            'anext_object',
            'anext_object_with_metadata',
        ):
            line: queue.Queue[bytes] = queue.Queue()
            StreamProducer[Any](QueuePublisher({'t': line})).close(topics=['t'])
            with StreamConsumer[Any](QueueSubscriber(line)) as consumer:
                with pytest.raises(StopAsyncIteration):
                    await getattr(consumer, name)()

    asyncio.run(main())


def test_a_message_that_a_cancelled_task_waited_for_is_not_lost() -> None:
    line: queue.Queue[bytes] = queue.Queue()
    producer = StreamProducer[Any](QueuePublisher({'t': line}))
    consumer = StreamConsumer[Any](QueueSubscriber(line))

    async def give_up() -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(consumer.anext(), 0.02)

    async def receive() -> list[Any]:
        producer.send('t', 1)
        producer.send('t', 2)
        return [await consumer.anext(), await consumer.anext()]

    asyncio.run(give_up())
    assert asyncio.run(receive()) == [1, 2]  # in another event loop
    consumer.close()


def test_an_error_is_raised_once() -> None:
    line: queue.Queue[bytes] = queue.Queue()
    producer = StreamProducer[Any](QueuePublisher({'t': line}))
    consumer = StreamConsumer[Any](QueueSubscriber(line, timeout=0.01))

    async def main() -> None:
        with pytest.raises(queue.Empty):
            await consumer.anext()
        producer.send('t', 1)
        assert await consumer.anext() == 1

    asyncio.run(main())
    consumer.close()


@pytest.mark.parametrize('inline_below', [None, 0, 100_000])
def test_the_thread_is_asked_once_for_a_batch(
    monkeypatch: pytest.MonkeyPatch, inline_below: int | None
) -> None:
    asked = []
    call = Worker.call

    def counted(worker: Worker, function: Any) -> Any:
        asked.append(function)
        return call(worker, function)

    monkeypatch.setattr(Worker, 'call', counted)
    line: queue.Queue[bytes] = queue.Queue()
    with Store('async-batches', LocalConnector(), register=True) as store:

        def send() -> StreamConsumer[Any]:
            producer = StreamProducer[Any](
                QueuePublisher({'t': line}),
                default_store=None if inline_below is None else store,
                inline_below=inline_below,
                batch_size=3,
            )
            for i in range(6):
                producer.send('t', [i], metadata={'i': i})
            producer.close_topics('t')
            return StreamConsumer[Any](QueueSubscriber(line))

        async def main() -> None:
            assert [each[0] async for each in send()] == [*range(6)]
            assert len(asked) == 3  # two batches and the end
            # What a filter drops is evicted, which may take a while: in the thread.
            consumer = send()
            consumer._filter = lambda metadata: metadata['i'] == 1
            assert [each[0] async for each in consumer] == [0, 2, 3, 4, 5]
            assert len(asked) == 3 + 6

        asyncio.run(main())


def test_a_program_ends_though_it_waits_for_a_message() -> None:
    program = (
        'import asyncio, queue\n'
        'from proxystore.stream import StreamConsumer\n'
        'from proxystore.stream.shims.queue import QueueSubscriber\n'
        'consumer = StreamConsumer(QueueSubscriber(queue.Queue()))\n'
        'async def main():\n'
        '    try: await asyncio.wait_for(consumer.anext(), 0.01)\n'
        '    except asyncio.TimeoutError: print("ends")\n'
        'asyncio.run(main())\n'
    )
    ran = subprocess.run(
        [sys.executable, '-c', program],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == 'ends\n'
