"""What owners and borrows count of one another, and give back."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from proxystore import _core
from proxystore.proxy import Proxy
from proxystore.proxy import extract
from proxystore.proxy import is_resolved
from proxystore.store import Store
from proxystore.store.exceptions import ProxyStoreFactoryError
from proxystore.store.ref import MutableBorrowError
from proxystore.store.ref import OwnedProxy
from proxystore.store.ref import ReferenceInvalidError
from proxystore.store.ref import RefMutProxy
from proxystore.store.ref import RefProxy
from proxystore.store.ref import borrow
from proxystore.store.ref import mut_borrow
from proxystore.store.scopes import mark_refs_out_of_scope


def test_a_borrow_is_as_its_owner_is_and_leaves_nothing_behind(
    store: Store[Any],
) -> None:
    owner = store.owned_proxy((1, 2))
    target, factory = extract(owner), owner.__proxy_factory__
    counts = sys.getrefcount(owner), sys.getrefcount(target), sys.getrefcount(factory)
    for _ in range(1000):
        made = borrow(owner), borrow(owner, populate_target=False)
        assert [is_resolved(each) for each in made] == [True, False]
        for each in made:
            assert each.__proxy_factory__ is factory
            assert each.__proxy_default_class__ is owner.__proxy_default_class__
            assert hash(each) == hash((1, 2))
    del made, each
    mutable = mut_borrow(owner)
    assert is_resolved(mutable)
    del mutable
    after = sys.getrefcount(owner), sys.getrefcount(target), sys.getrefcount(factory)
    assert after == counts


def test_the_native_part_takes_references_alone(local_store: Store[Any]) -> None:
    owner, p = local_store.owned_proxy([1]), local_store.proxy([1])
    kind: Any = Proxy
    something: Any = 3
    for wrong in (
        lambda: _core._own(kind, p.__proxy_factory__, p, True),  # type: ignore[arg-type]
        lambda: _core._own(OwnedProxy, something, p, True),
        lambda: _core._own(OwnedProxy, p.__proxy_factory__, something, True),  # type: ignore[arg-type]
        lambda: _core._borrow(kind, owner, False, True),
        lambda: _core._note_borrow(something, owner, False),
        lambda: _core._note_borrow(owner, something, False),
        lambda: _core._give_back(something),
    ):
        with pytest.raises(TypeError):
            wrong()
    assert _core._borrow(RefProxy, p, False, True) is None
    assert _core._borrow(RefProxy, borrow(owner), False, True) is None
    assert owner.__proxy_readers__ == owner.__proxy_writers__ == 0


def test_borrows_that_are_made_by_their_class(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])
    factory: Any = owner.__proxy_factory__
    reference = RefProxy(factory, owner=owner)
    assert reference == [1]
    with pytest.raises(MutableBorrowError):
        mut_borrow(owner)
    reference.__init__(factory, owner=owner)  # type: ignore[misc]
    assert owner.__proxy_readers__ == 1
    del reference
    mutable = RefMutProxy(factory, owner=owner)
    with pytest.raises(MutableBorrowError):
        borrow(owner)
    mark_refs_out_of_scope(mutable)
    mark_refs_out_of_scope(mutable)
    borrow(owner)
    assert RefProxy(factory) == [1]


def test_a_subclass_that_finalizes_gives_back_too(local_store: Store[Any]) -> None:
    gone = []

    class Told(RefProxy[Any]):
        __slots__ = ()

        def __del__(self) -> None:
            gone.append(len(self))

    owner = local_store.owned_proxy([1])
    Told(owner.__proxy_factory__, owner=owner)  # type: ignore[arg-type]
    assert gone == [1]
    mut_borrow(owner)


@pytest.mark.filterwarnings('ignore::pytest.PytestUnraisableExceptionWarning')
def test_giving_back_leaves_a_raised_exception_alone(local_store: Store[Any]) -> None:
    owner = local_store.owned_proxy([1])

    def use() -> None:
        mutable = mut_borrow(owner)
        mutable.__proxy_invalid__ = ReferenceInvalidError('moved')
        # What the owner does on its return fails: it is told, and no more.
        owner.__proxy_factory__ = lambda: [2]
        raise KeyError('mine')

    with pytest.raises(KeyError, match='mine'):
        use()
    mut_borrow(local_store.owned_proxy([1]))
    assert owner.__proxy_writers__ == 0


def test_an_owner_that_no_store_made_lends_nothing() -> None:
    owner: Any = OwnedProxy(lambda: [1])  # type: ignore[arg-type]
    for lend in (borrow, mut_borrow):
        with pytest.raises(ProxyStoreFactoryError):
            lend(owner)
    assert not is_resolved(owner)
