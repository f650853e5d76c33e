"""Scopes: borrows end with the task that they were given to."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from pathlib import Path
from typing import Any

import pytest
from proxystore.connectors.file import FileConnector
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store.ref import ReferenceInvalidError
from proxystore.store.ref import borrow
from proxystore.store.ref import mut_borrow
from proxystore.store.ref import update
from proxystore.store.scopes import FutureWithCallback
from proxystore.store.scopes import mark_refs_out_of_scope
from proxystore.store.scopes import submit


class StepFuture:
    """A future that is done when the test says so."""

    def __init__(self) -> None:
        self.callbacks: list[Any] = []

    def add_done_callback(self, callback: Any) -> None:
        self.callbacks.append(callback)

    def finish(self) -> None:
        for callback in self.callbacks:
            callback(self)


def test_marking_ends_a_borrow(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1], populate_target=False)
    first, second = borrow(owner), borrow(owner)
    mark_refs_out_of_scope(first, second)
    mark_refs_out_of_scope(first)
    for reference in (first, second):
        with pytest.raises(ReferenceInvalidError, match='out of scope'):
            len(reference)
        with pytest.raises(ReferenceInvalidError, match='out of scope'):
            borrow(reference)  # type: ignore[arg-type]
        with pytest.raises(ReferenceInvalidError, match='out of scope'):
            reference.__reduce__()
        assert 'Proxy' in repr(reference)
    assert not is_resolved(owner)
    mark_refs_out_of_scope(mut_borrow(owner))
    mark_refs_out_of_scope()


def test_only_borrows_have_a_scope(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    reference = borrow(owner)
    for wrong in (owner, local_store.proxy([1]), [1]):
        with pytest.raises(TypeError, match='has a scope'):
            mark_refs_out_of_scope(reference, wrong)
    assert len(reference) == 1  # all or none


def test_submit_finds_borrows_without_resolving_them(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1], populate_target=False)
    first, second, deep = borrow(owner), borrow(owner), borrow(owner)
    ordinary = local_store.proxy([2], populate_target=False)
    future = StepFuture()
    seen: list[Any] = []

    def submit_func(*args: Any, **kwargs: Any) -> StepFuture:
        seen.append((args, kwargs))
        return future

    returned = submit(
        submit_func,
        args=(1, first, first, owner, ordinary),
        kwargs={'a': second, 'b': [deep]},
        register_custom_refs=[deep],
    )
    assert returned is future
    assert isinstance(future, FutureWithCallback)
    args, kwargs = seen[0]
    assert args[1] is first
    assert args[2] is first
    assert kwargs['a'] is second
    everything = (first, second, deep, owner, ordinary)
    assert not any(is_resolved(each) for each in everything)
    assert len(first) == 1
    future.finish()
    for reference in (first, second, deep):
        with pytest.raises(ReferenceInvalidError, match='out of scope'):
            len(reference)
    assert len(owner) == 1
    assert len(ordinary) == 1
    mut_borrow(owner)


def test_submit_needs_a_future(local_store: Store[Any]) -> None:
    with pytest.raises(TypeError, match='add_done_callback'):
        submit(lambda: 5)  # type: ignore[type-var]


def test_the_scope_ends_when_the_task_fails(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    reference = borrow(owner)

    def fail(reference: Any) -> None:
        raise KeyError

    with concurrent.futures.ThreadPoolExecutor() as pool:
        future = submit(pool.submit, args=(fail, reference))
        with pytest.raises(KeyError):
            future.result()
    with pytest.raises(ReferenceInvalidError):
        len(reference)


def total(*references: Any, more: Any = ()) -> int:
    return sum(map(sum, references)) + sum(more)


def append_and_update(reference: Any) -> None:
    reference.append(10)
    update(reference)


def test_tasks_of_other_processes(store_dir: Path) -> None:
    context = multiprocessing.get_context('spawn')
    with (
        Store('across', FileConnector(str(store_dir)), register=True) as store,
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool,
    ):
        owner = store.owned_proxy([1, 2])
        future = submit(
            pool.submit,
            args=(total, borrow(owner), borrow(owner)),
            kwargs={'more': borrow(owner)},
        )
        assert future.result() == 9
        while True:  # callbacks run shortly after the result is there
            try:
                mutable = mut_borrow(owner)
                break
            except Exception:
                pass
        done = submit(pool.submit, args=(append_and_update, mutable))
        concurrent.futures.wait([done])
        done.result()
        del mutable
        while len(owner) != 3:
            pass
        assert owner == [1, 2, 10]
        del owner
        assert [n for n in store_dir.iterdir() if not n.name.startswith('.')] == []
