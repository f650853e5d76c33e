"""Owners and borrows: who may do what, and when the object goes."""

from __future__ import annotations

import concurrent.futures
import copy
import gc
import multiprocessing
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from proxystore.connectors.file import FileConnector
from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.proxy import is_resolved
from proxystore.proxy import resolve
from proxystore.store import Store
from proxystore.store.exceptions import NonProxiableTypeError
from proxystore.store.exceptions import ProxyResolveMissingKeyError
from proxystore.store.exceptions import ProxyStoreFactoryError
from proxystore.store.ref import BaseRefProxy
from proxystore.store.ref import BaseRefProxyError
from proxystore.store.ref import MutableBorrowError
from proxystore.store.ref import OwnedProxy
from proxystore.store.ref import ReferenceInvalidError
from proxystore.store.ref import ReferenceNotOwnedError
from proxystore.store.ref import RefMutProxy
from proxystore.store.ref import RefProxy
from proxystore.store.ref import borrow
from proxystore.store.ref import clone
from proxystore.store.ref import into_owned
from proxystore.store.ref import mut_borrow
from proxystore.store.ref import update
from proxystore.store.scopes import mark_refs_out_of_scope
from proxystore.store.utils import get_key


def test_the_object_goes_with_its_owner(store: Store[Any]) -> None:
    owner = store.owned_proxy([1, 2])
    key = get_key(owner)
    assert type(owner) is OwnedProxy
    assert isinstance(owner, list)
    assert isinstance(owner, OwnedProxy)
    assert is_resolved(owner)
    assert owner == [1, 2]
    assert store.exists(key)
    del owner
    assert not store.exists(key)


def test_what_cannot_be_owned(local_store: Store[Any]) -> None:
    assert local_store.owned_proxy(None) is None
    assert local_store.owned_proxy(True) is True
    with pytest.raises(NonProxiableTypeError):
        local_store.owned_proxy(None, skip_nonproxiable=False)


def test_an_owner_of_a_store_that_is_not_registered() -> None:
    store = Store('nobody knows it', LocalConnector())
    owner = store.owned_proxy([1], populate_target=True)
    key = get_key(owner)
    del owner
    assert not store.exists(key)


def test_an_owner_that_outlives_its_store(store_dir: Path) -> None:
    with Store('short', FileConnector(str(store_dir)), register=True) as store:
        owner = store.owned_proxy([1])
    del owner
    assert not store_dir.exists()


def test_many_borrows_or_one_mutable_one(store: Store[Any]) -> None:
    owner = store.owned_proxy([1])
    first, second = borrow(owner), borrow(owner)
    assert type(first) is RefProxy
    assert first == second == [1]
    with pytest.raises(MutableBorrowError):
        mut_borrow(owner)
    with pytest.raises(MutableBorrowError):
        update(owner)
    del first
    with pytest.raises(MutableBorrowError):
        mut_borrow(owner)
    del second
    mutable = mut_borrow(owner)
    assert type(mutable) is RefMutProxy
    for attempt in (borrow, mut_borrow, update):
        with pytest.raises(MutableBorrowError):
            attempt(owner)
    del mutable
    del owner


def test_a_borrow_keeps_the_owner_alive(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    key = get_key(owner)
    reference = borrow(owner)
    del owner
    assert local_store.exists(key)
    assert reference == [1]
    del reference
    assert not local_store.exists(key)


def test_owner_and_borrow_in_one_cycle(local_store: Store[Any]) -> None:
    # The collector may come to the owner first: no warning, and no leak.
    for _ in range(20):
        owner = local_store.owned_proxy([1])
        key = get_key(owner)
        cycle: list[Any] = [owner, borrow(owner), borrow(owner)]
        cycle.append(cycle)
        del owner, cycle
        gc.collect()
        assert not local_store.exists(key)


def test_deleting_a_borrowed_owner_by_hand_is_refused(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    reference = borrow(owner)
    with pytest.raises(RuntimeError, match='Cannot safely delete OwnedProxy: 1 Ref'):
        OwnedProxy.__del__(owner)
    assert len(reference) == 1
    mark_refs_out_of_scope(reference)


def test_only_owners_are_borrowed(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    reference = borrow(owner)
    for wrong in (reference, local_store.proxy([1]), 1, [1]):
        for attempt in (borrow, mut_borrow, clone, update):
            with pytest.raises(ReferenceNotOwnedError):
                attempt(wrong)  # type: ignore[arg-type]
    assert issubclass(ReferenceNotOwnedError, BaseRefProxyError)
    assert issubclass(OwnedProxy, BaseRefProxy)


def test_borrowing_does_not_resolve_but_shares_a_target(store: Store[Any]) -> None:
    owner = store.owned_proxy([1], populate_target=False)
    reference = borrow(owner)
    assert not is_resolved(owner)
    assert not is_resolved(reference)
    assert reference == [1]
    assert not is_resolved(owner)
    resolve(owner)
    later = borrow(owner)
    assert is_resolved(later)
    assert extract(later) is extract(owner)
    without = borrow(owner, populate_target=False)
    assert not is_resolved(without)
    with pytest.raises(MutableBorrowError):
        mut_borrow(owner)
    del reference, later, without
    mutable = mut_borrow(owner, populate_target=False)
    assert not is_resolved(mutable)


def test_an_unresolved_reference_still_knows_its_class(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    moved = pickle.loads(pickle.dumps(owner))
    assert isinstance(moved, list)
    reference = borrow(moved)
    assert isinstance(reference, list)
    assert not is_resolved(moved)
    with pytest.raises(TypeError, match='unhashable'):
        hash(reference)


def test_update_stores_the_change(store: Store[Any]) -> None:
    owner = store.owned_proxy({'a': 1})
    key = get_key(owner)
    store.get(key)  # it is in the cache now
    owner['b'] = 2
    update(owner)
    assert store.get(key) == {'a': 1, 'b': 2}
    mutable = mut_borrow(owner)
    mutable['c'] = 3
    update(mutable)
    assert store.get(key) == {'a': 1, 'b': 2, 'c': 3}
    del mutable
    assert owner == {'a': 1, 'b': 2, 'c': 3}
    with pytest.raises(ReferenceNotOwnedError):
        update(borrow(owner))  # type: ignore[arg-type]


def test_update_with_a_serializer(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy('a')
    owner += 'b'
    update(owner, serializer=lambda obj: str(obj).encode())
    assert local_store.get(get_key(owner), deserializer=bytes) == b'ab'


def test_update_of_an_unresolved_owner_does_nothing(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1], populate_target=False)
    update(owner)
    assert not is_resolved(owner)
    assert local_store.get(get_key(owner)) == [1]


def test_update_needs_a_connector_that_sets() -> None:
    class Fixed(LocalConnector):
        set = None  # type: ignore[assignment]

    store = Store('fixed', Fixed())
    owner = store.owned_proxy([1])
    with pytest.raises(NotImplementedError, match='Fixed cannot replace'):
        update(owner)


def test_clone_is_an_owner_of_its_own(store: Store[Any]) -> None:
    owner = store.owned_proxy([[1]])
    copied = clone(owner)
    assert type(copied) is OwnedProxy
    assert get_key(copied) != get_key(owner)
    assert is_resolved(copied)
    copied[0].append(2)
    assert owner == [[1]]
    assert store.get(get_key(copied)) == [[1]]
    key = get_key(copied)
    del copied
    assert not store.exists(key)
    assert store.exists(get_key(owner))


def test_clone_does_not_resolve(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1], populate_target=False)
    copied = clone(owner)
    assert not is_resolved(owner)
    assert not is_resolved(copied)
    assert copied == [1]
    local_store.evict(get_key(owner))
    with pytest.raises(ProxyResolveMissingKeyError):
        clone(owner)


def test_references_are_not_copied(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    for make in (copy.copy, copy.deepcopy):
        with pytest.raises(NotImplementedError, match='clone'):
            make(owner)


@pytest.mark.parametrize('evict', [False, True])
def test_into_owned(local_store: Store[Any], evict: bool) -> None:
    p = local_store.proxy([1], evict=evict)
    key = get_key(p)
    owner = into_owned(p)
    assert is_resolved(owner)
    assert extract(owner) is extract(p)
    reference = borrow(owner, populate_target=False)
    assert reference == [1]
    assert local_store.exists(key)  # no borrow evicts
    del owner, reference
    assert not local_store.exists(key)


def test_into_owned_takes_ordinary_proxies_of_stores(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    for wrong in (owner, borrow(owner), [1]):
        with pytest.raises(ValueError, match='ordinary proxy'):
            into_owned(wrong)  # type: ignore[arg-type]
    with pytest.raises(ProxyStoreFactoryError):
        into_owned(Proxy(list))
    p = local_store.proxy([1])
    assert not is_resolved(into_owned(p, populate_target=False))


def test_pickling_moves_the_owner(store: Store[Any]) -> None:
    owner = store.owned_proxy([1])
    key = get_key(owner)
    data = pickle.dumps(owner)
    for use in (len, borrow, mut_borrow, clone, update, resolve):
        with pytest.raises(ReferenceInvalidError, match='has moved'):
            use(owner)
    assert type(repr(owner)) is str
    del owner
    assert store.exists(key)
    owner = pickle.loads(data)
    assert type(owner) is OwnedProxy
    assert owner == [1]
    del owner
    assert not store.exists(key)


@pytest.mark.parametrize('make', [borrow, mut_borrow])
def test_pickling_moves_a_borrow(local_store: Store[Any], make: Any) -> None:
    owner = local_store.owned_proxy([1])
    key = get_key(owner)
    reference = make(owner)
    moved = pickle.loads(pickle.dumps(reference))
    assert type(moved) is make(local_store.owned_proxy([1])).__reduce__()[1][0]
    with pytest.raises(ReferenceInvalidError):
        len(reference)
    pickle.dumps(reference)  # a library may hash and then send an argument
    assert moved == [1]
    del moved
    assert local_store.exists(key)
    del reference
    mut_borrow(owner)


def test_a_pickled_owner_is_small(store_dir: Path) -> None:
    connector = FileConnector('/tmp/' + 's' * 20)
    with Store('store', connector, register=True) as store:
        assert len(pickle.dumps(store.owned_proxy([1]))) < 400


def test_an_attribute_of_the_target_is_never_hidden(local_store: Store[Any]) -> None:
    array = np.arange(4.0)
    owner = local_store.owned_proxy(array)
    assert owner.sum() == 6
    assert borrow(owner).shape == (4,)
    own = {name for kind in OwnedProxy.__mro__[:2] for name in vars(kind)}
    assert all(name.startswith('__') for name in own if not name.startswith('_abc'))


def test_in_place_operators_keep_the_owner(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    same = owner
    owner += [2]
    assert owner is same
    assert type(owner) is OwnedProxy
    assert owner == [1, 2]


def append_and_update(reference: Any) -> str:
    reference.append(2)
    update(reference)
    return type(reference).__name__


def length(reference: Any) -> tuple[str, int]:
    return type(reference).__name__, len(reference)


def keep_nothing(owner: Any) -> int:
    return len(owner)


def test_references_in_another_process(store_dir: Path) -> None:
    context = multiprocessing.get_context('spawn')
    with (
        Store('across', FileConnector(str(store_dir)), register=True) as store,
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool,
    ):
        owner = store.owned_proxy([1])
        key = get_key(owner)
        assert pool.submit(length, borrow(owner)).result() == ('RefProxy', 1)
        gc.collect()
        mutable = mut_borrow(owner)
        assert pool.submit(append_and_update, mutable).result() == 'RefMutProxy'
        mark_refs_out_of_scope(mutable)
        assert owner == [1, 2]  # what this process had is not used again
        assert pool.submit(keep_nothing, owner).result() == 2
        # The owner moved to the worker, and went there.
        deadline = threading.Event()
        for _ in range(1000):
            if not store.connector.exists(key):
                break
            pool.submit(gc.collect).result()
            deadline.wait(0.01)
        assert not store.connector.exists(key)


def test_a_forked_child_evicts_nothing(store_dir: Path) -> None:
    with Store('forked', FileConnector(str(store_dir)), register=True) as store:
        owner = store.owned_proxy([1])
        reference = borrow(owner)
        pid = os.fork()
        if pid == 0:
            owner = reference = None  # type: ignore[assignment]
            gc.collect()
            os._exit(0)
        assert os.waitpid(pid, 0)[1] == 0
        assert store.connector.exists(get_key(owner))
        assert owner.__proxy_readers__ == 1
        del reference
        mut_borrow(owner)


def test_one_thread_wins_the_mutable_borrow(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    won: list[Any] = []
    barrier = threading.Barrier(8)

    def attempt() -> None:
        barrier.wait()
        try:
            won.append(mut_borrow(owner))
        except MutableBorrowError:
            pass

    for _ in range(50):
        threads = [threading.Thread(target=attempt) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        won.clear()
