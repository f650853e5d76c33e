"""The factory runs once: threads, circles, signals, forks, retries."""

from __future__ import annotations

import os
import pickle
import select
import signal
import subprocess
import sys
import textwrap
import threading
import time

import greenlet
import pytest
from proxystore.factory import SimpleFactory
from proxystore.proxy import Proxy
from proxystore.proxy import ProxyResolveError
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve


def in_threads(count, work):
    """Run `work(i)` in that many threads at once, and return what each gave."""
    results = [None] * count
    barrier = threading.Barrier(count)

    def run(i):
        barrier.wait()
        try:
            results[i] = work(i)
        except Exception as e:
            results[i] = e

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.fixture
def eager_switching():
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


def test_one_call_for_many_threads(eager_switching):
    for _ in range(100):
        calls = []

        def factory(calls=calls):
            calls.append(1)
            time.sleep(0)
            return object()

        p = Proxy(factory)
        targets = in_threads(8, lambda i, p=p: id(p.__proxy_wrapped__))
        assert len(calls) == 1
        assert len(set(targets)) == 1


def test_waiting_leaves_the_interpreter_to_others():
    release = threading.Event()
    p = Proxy(lambda: release.wait(60))
    waiter = threading.Thread(target=resolve, args=(p,))
    other = threading.Thread(target=resolve, args=(p,))
    waiter.start()
    other.start()
    # Neither the one that runs the factory nor the one that waits holds us up.
    release.set()
    waiter.join()
    other.join()
    assert p == True  # noqa: E712


def test_a_failure_lets_the_next_thread_try():
    attempts = []

    def factory():
        attempts.append(1)
        if len(attempts) == 1:
            time.sleep(0.01)
            raise ValueError('first')
        return 'second'

    p = Proxy(factory)
    results = in_threads(4, lambda i: str(p))
    failures = [r for r in results if isinstance(r, ProxyResolveError)]
    assert len(failures) == 1
    assert len(attempts) == 2
    assert [r for r in results if r not in failures] == ['second'] * 3


def test_a_factory_that_uses_its_own_proxy():
    p = Proxy(lambda: len(p))
    with pytest.raises(ProxyResolveError) as info:
        resolve(p)
    inner = info.value.cause
    assert isinstance(inner, ProxyResolveError)
    assert isinstance(inner.cause, RecursionError)
    assert not is_resolved(p)


def test_a_circle_in_one_thread():
    p = Proxy(lambda: q + 1)
    q = Proxy(lambda: p + 1)
    with pytest.raises(ProxyResolveError):
        resolve(p)
    assert not is_resolved(p)
    assert not is_resolved(q)


def test_a_greenlet_that_cannot_wait_for_another_of_its_thread():
    """As documented: an error at once instead of a thread that waits for itself."""

    def factory():
        first.parent.switch('in the factory')
        return 'target'

    p = Proxy(factory)
    first = greenlet.greenlet(lambda: p + '!')
    second = greenlet.greenlet(lambda: p + '?')
    assert first.switch() == 'in the factory'
    with pytest.raises(ProxyResolveError) as info:
        second.switch()
    assert isinstance(info.value.cause, RecursionError)
    assert first.switch() == 'target!'
    assert is_resolved(p)
    third = greenlet.greenlet(lambda: p + '.')
    assert third.switch() == 'target.'


@pytest.mark.parametrize('size', [2, 3, 5])
def test_a_circle_of_threads(size):
    proxies = []
    started = threading.Barrier(size)
    called = set()

    def factory(i):
        def make():
            # Once the circle is broken, who waited tries the factory again.
            if i not in called:
                called.add(i)
                started.wait(60)
            return proxies[(i + 1) % size].__proxy_wrapped__

        return make

    proxies += [Proxy(factory(i)) for i in range(size)]
    started_once = in_threads(size, lambda i: resolve(proxies[i]))
    assert all(isinstance(r, ProxyResolveError) for r in started_once)

    def innermost(error):
        return innermost(error.cause) if isinstance(error, ProxyResolveError) else error

    assert any(isinstance(innermost(r), RecursionError) for r in started_once)


def test_a_chain_of_threads_is_no_circle():
    first = Proxy(lambda: time.sleep(0.05) or 1)
    second = Proxy(lambda: first + 1)
    third = Proxy(lambda: second + 1)
    order = [third, second, first]
    results = in_threads(3, lambda i: order[i] + 0)
    assert results == [3, 2, 1]


def test_a_target_set_while_others_wait():
    release = threading.Event()

    def factory():
        release.wait(60)
        return 'made'

    p = Proxy(factory)
    thread = threading.Thread(target=resolve, args=(p,))
    thread.start()
    p.__proxy_wrapped__ = 'set'
    assert p == 'set'
    release.set()
    thread.join()
    assert p == 'made'


CHILD_WAITS = """
    import threading, sys, time
    from proxystore.proxy import Proxy, resolve
    never = threading.Event()
    started = threading.Event()
    def factory():
        started.set()
        never.wait()
    p = Proxy(factory)
    threading.Thread(target=resolve, args=(p,), daemon=True).start()
    started.wait()
    print('waiting', flush=True)
    try:
        resolve(p)
    except KeyboardInterrupt:
        print('interrupted', flush=True)
"""


def test_interrupt_reaches_a_waiting_main_thread():
    child = subprocess.Popen(
        [sys.executable, '-c', textwrap.dedent(CHILD_WAITS)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert child.stdout.readline() == 'waiting\n'
        time.sleep(0.2)  # so that the wait has begun; nothing is asserted of it
        child.send_signal(signal.SIGINT)
        ready, _, _ = select.select([child.stdout], [], [], 60)
        assert ready
        assert child.stdout.readline() == 'interrupted\n'
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        child.stdout.close()


def in_fork(work):
    """Run `work` in a forked child; return its result, or raise after a minute."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read)
            try:
                result = work()
            except BaseException as e:
                result = repr(e)
            os.write(write, pickle.dumps(result))
        finally:
            os._exit(0)
    os.close(write)
    try:
        ready, _, _ = select.select([read], [], [], 60)
        if not ready:
            os.kill(child, signal.SIGKILL)
            pytest.fail('the child hangs')
        with open(read, 'rb', closefd=False) as stream:
            return pickle.loads(stream.read())
    finally:
        os.waitpid(child, 0)
        os.close(read)


# Python 3.12 warns of forking beside threads, which is the point here.
forks_beside_threads = pytest.mark.filterwarnings('ignore:.*fork.*:DeprecationWarning')


@forks_beside_threads
def test_fork_while_another_thread_resolves():
    started, release = threading.Event(), threading.Event()
    parent = os.getpid()

    def factory():
        if os.getpid() == parent:
            started.set()
            release.wait(60)
        return os.getpid()

    p = Proxy(factory)
    thread = threading.Thread(target=resolve, args=(p,))
    thread.start()
    started.wait()
    try:
        in_child = in_fork(lambda: (p + 0, os.getpid()))
        assert in_child[0] == in_child[1] != parent
        # A thread of the child may resolve it as well.
        in_thread = in_fork(lambda: in_threads(2, lambda i: p + 0 == os.getpid()))
        assert in_thread == [True, True]
    finally:
        release.set()
        thread.join()
    assert p == parent


@forks_beside_threads
def test_fork_while_many_threads_wait():
    started, release = threading.Event(), threading.Event()
    parent = os.getpid()

    def factory():
        if os.getpid() == parent:
            started.set()
            release.wait(60)
        return 'made'

    p = Proxy(factory)
    threads = [threading.Thread(target=resolve, args=(p,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    started.wait()
    try:
        for _ in range(20):
            assert in_fork(lambda: str(p)) == 'made'
    finally:
        release.set()
        for thread in threads:
            thread.join()


@forks_beside_threads
def test_fork_inside_the_factory():
    """In the child, the thread that forked still runs the factory."""

    def factory():
        return in_fork(lambda: type_of_error(lambda: str(p)))

    p = Proxy(factory)
    assert p == 'ProxyResolveError'


def type_of_error(work):
    try:
        work()
    except Exception as e:
        return type(e).__name__
    return None


@forks_beside_threads
def test_fork_inside_the_factory_beside_a_thread_of_the_child():
    """A thread of the child waits for the forking thread, which is its own too."""

    def factory():
        def child():
            thread = threading.Thread(target=resolve, args=(p,), daemon=True)
            thread.start()
            thread.join(0.3)
            return thread.is_alive()

        return in_fork(child)

    p = Proxy(factory)
    assert p == True  # noqa: E712


def test_resolved_proxies_survive_a_fork():
    p = Proxy(SimpleFactory([1]))
    resolve(p)
    assert in_fork(lambda: list(p)) == [1]


def test_an_interrupt_in_the_factory_leaves_it_retryable():
    raised = []

    def factory():
        if not raised:
            raised.append(1)
            raise KeyboardInterrupt
        return 'made'

    p = Proxy(factory)
    with pytest.raises(KeyboardInterrupt):
        resolve(p)
    assert p == 'made'


def test_the_chained_cause_has_its_traceback():
    def failing():
        raise OSError('no disk')

    p = Proxy(failing)
    with pytest.raises(ProxyResolveError) as info:
        len(p)
    cause = info.value.__cause__
    frames = []
    traceback = cause.__traceback__
    while traceback is not None:
        frames.append(traceback.tb_frame.f_code.co_name)
        traceback = traceback.tb_next
    assert 'failing' in frames
