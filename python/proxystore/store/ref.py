"""Ownership of stored objects, by the rules of Rust, checked as they run.

An object has one owner, an `OwnedProxy`. It can be borrowed by any number of
`RefProxy`, or by one `RefMutProxy`, and is evicted when the owner goes. A
reference that is pickled moves to where it is unpickled: the original can no
longer be used.

Example:
    >>> from proxystore.connectors.local import LocalConnector
    >>> from proxystore.store import Store
    >>> with Store('example', LocalConnector(), register=True) as store:
    ...     owner = store.owned_proxy([1, 2, 3])
    ...     reference = borrow(owner)
    ...     print(sum(reference))
    ...     del owner, reference
    6
"""

from __future__ import annotations

import copy
import gc
import os
import sys
from typing import TYPE_CHECKING
from typing import Any
from typing import NoReturn
from typing import TypeVar
from typing import cast

from proxystore import _core
from proxystore.exceptions import ConnectorClosedError
from proxystore.exceptions import ProxyStoreError
from proxystore.proxy import Proxy
from proxystore.proxy import is_resolved
from proxystore.store.exceptions import ProxyResolveMissingKeyError
from proxystore.store.factory import StoreFactory
from proxystore.store.utils import _store_factory

if TYPE_CHECKING:
    from proxystore.store.base import Store
    from proxystore.store.types import SerializerT

__all__ = [
    'BaseRefProxy',
    'BaseRefProxyError',
    'FactoryType',
    'MutableBorrowError',
    'OwnedProxy',
    'RefMutProxy',
    'RefProxy',
    'ReferenceInvalidError',
    'ReferenceNotOwnedError',
    'T',
    'borrow',
    'clone',
    'into_owned',
    'mut_borrow',
    'update',
]

T = TypeVar('T')
FactoryType = StoreFactory[Any, T]
"""The factory of a reference: one of a store."""

_MOVED = (
    'This reference was pickled and has moved: use the one that was unpickled, or '
    'borrow from the owner again.'
)
_OUT_OF_SCOPE = (
    'This reference is out of scope: the task that it was given to has ended, or '
    'mark_refs_out_of_scope() was called. Borrow from the owner again.'
)


class BaseRefProxyError(ProxyStoreError):
    """Base of the errors of references."""


class MutableBorrowError(BaseRefProxyError):
    """A mutable borrow excludes every other borrow."""


class ReferenceInvalidError(BaseRefProxyError):
    """A reference was pickled, and so moved, or is out of scope."""


class ReferenceNotOwnedError(BaseRefProxyError):
    """Only the owner of an object, or its mutable borrower, may do this."""


class BaseRefProxy(_core.ReferenceBase[T]):
    """What owners and borrowers have in common. It is not made itself.

    Args:
        factory: The factory, of a store.
        cache_defaults: As for `Proxy`.
        target: As for `Proxy`.
    """

    # Names of anything kept here look like `__proxy_…__`: whatever this class
    # has hides what the target calls the same.
    __slots__ = ()

    def __init__(
        self,
        factory: FactoryType[T],
        *,
        cache_defaults: bool = False,
        target: T | None = None,
    ) -> None:
        super().__init__(factory, cache_defaults=cache_defaults, target=target)

    def __copy__(self) -> NoReturn:
        raise NotImplementedError(
            'References are not copied, since an object has one owner: use '
            'borrow() or clone().'
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise NotImplementedError(
            'References are not copied, since an object has one owner: use '
            'borrow() or clone().'
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Some libraries pickle an argument more than once, to hash or to
        # resend it: what has moved may be pickled again.
        invalid = self.__proxy_invalid__
        if invalid is None:
            self.__proxy_invalid__ = ReferenceInvalidError(_MOVED)
        elif invalid.args == (_OUT_OF_SCOPE,):
            raise invalid
        return _restore, (
            type(self),
            self.__proxy_factory__,
            self.__proxy_default_class__,
            self.__proxy_default_hash__,
        )


class OwnedProxy(BaseRefProxy[T]):
    """The owner of a stored object, which is evicted when the owner goes.

    Args:
        factory: The factory, of a store.
        cache_defaults: As for `Proxy`.
        target: As for `Proxy`.
    """

    __slots__ = ()

    def __init__(
        self,
        factory: FactoryType[T],
        *,
        cache_defaults: bool = False,
        target: T | None = None,
    ) -> None:
        super().__init__(factory, cache_defaults=cache_defaults, target=target)
        self.__proxy_process__ = os.getpid()

    def __del__(self) -> None:
        # A forked child has a copy, but the parent is the owner.
        elsewhere = self.__proxy_process__ != os.getpid()
        moved = self.__proxy_invalid__ is not None
        if (
            moved
            or elsewhere
            or not isinstance(self.__proxy_factory__, _core.StoreFactoryBase)
        ):
            return
        if not self.__proxy_readers__ and not self.__proxy_writers__:
            _evict(self)
        elif gc.is_finalized(self):
            # The collector found the owner and its borrows in one cycle, and
            # came here first: the last borrow evicts.
            self.__proxy_evicts_last__ = True
        else:
            raise RuntimeError(
                f'Cannot safely delete OwnedProxy: {self.__proxy_readers__} RefProxy '
                f'and {self.__proxy_writers__} RefMutProxy still borrow from it.'
            )


def _evict(owner: OwnedProxy[Any]) -> None:
    store, factory = owner.__proxy_store__, cast('Any', owner.__proxy_factory__)
    try:
        (factory.get_store() if store is None else store).evict(factory.key)
    except ConnectorClosedError:
        pass  # who closed the store has decided what becomes of its objects
    except Exception:
        if not sys.is_finalizing():
            raise


class _Borrow(BaseRefProxy[T]):
    """A borrow, noted by its owner if that is in this process."""

    __slots__ = ()

    def __init__(
        self,
        factory: FactoryType[T],
        *,
        cache_defaults: bool = False,
        owner: OwnedProxy[T] | None = None,
        target: T | None = None,
    ) -> None:
        super().__init__(factory, cache_defaults=cache_defaults, target=target)
        if owner is not None:
            _core._note_borrow(self, owner, issubclass(type(self), RefMutProxy))


class RefProxy(_Borrow[T]):
    """A borrow of an object, to read it; its owner lives at least as long.

    Args:
        factory: The factory, of a store.
        cache_defaults: As for `Proxy`.
        owner: The owner, if it is in this process.
        target: As for `Proxy`.
    """

    __slots__ = ()


class RefMutProxy(_Borrow[T]):
    """The only borrow of an object, to change it: `update` stores the change.

    Args:
        factory: The factory, of a store.
        cache_defaults: As for `Proxy`.
        owner: The owner, if it is in this process.
        target: As for `Proxy`.
    """

    __slots__ = ()


def _restore(
    kind: type[BaseRefProxy[T]],
    factory: FactoryType[T],
    default_class: type | None,
    default_hash: Exception | int | None,
) -> BaseRefProxy[T]:
    """Make a reference of its pickle; the name is wire format."""
    restored = kind(factory)
    restored.__proxy_default_class__ = default_class
    restored.__proxy_default_hash__ = default_hash
    return restored


def _forget_target(owner: OwnedProxy[Any]) -> None:
    """Have an owner fetch its object again, which may have been updated."""
    del owner.__proxy_wrapped__
    _store_of(owner).cache.evict(_store_factory(owner).key)


def _end_scope(ref: _Borrow[Any]) -> None:
    _core._give_back(ref)
    ref.__proxy_invalid__ = ReferenceInvalidError(_OUT_OF_SCOPE)
    if is_resolved(ref):
        del ref.__proxy_wrapped__


def _store_of(proxy: BaseRefProxy[Any]) -> Store[Any]:
    owner: Any = proxy if issubclass(type(proxy), OwnedProxy) else proxy.__proxy_owner__
    store: Store[Any] | None = None if owner is None else owner.__proxy_store__
    return _store_factory(proxy).get_store() if store is None else store


def _check_usable(proxy: Any, kinds: tuple[type[Any], ...], verb: str) -> None:
    kind = type(proxy)
    if issubclass(kind, BaseRefProxy) and proxy.__proxy_invalid__ is not None:
        raise ReferenceInvalidError(*proxy.__proxy_invalid__.args)
    if not issubclass(kind, kinds):
        raise ReferenceNotOwnedError(
            f'Type {kind.__name__} cannot be {verb}, only '
            f'{" and ".join(each.__name__ for each in kinds)} can.'
        )


def _check_lends(proxy: Any, writes: bool) -> None:
    """Say why a borrow was refused, unless that is no longer so."""
    _check_usable(proxy, (OwnedProxy,), 'borrowed')
    _store_factory(proxy)
    if proxy.__proxy_writers__:
        raise MutableBorrowError(
            'The object is borrowed mutably, which excludes other borrows: '
            'let go of the RefMutProxy first.'
        )
    if writes and proxy.__proxy_readers__:
        raise MutableBorrowError(
            'The object is borrowed already, and a mutable borrow excludes '
            'others: let go of them first.'
        )


def borrow(proxy: OwnedProxy[T], *, populate_target: bool = True) -> RefProxy[T]:
    """Borrow an object to read it.

    The owner is not resolved. While the borrow lives, so does the owner.

    Args:
        proxy: The owner.
        populate_target: Whether the borrow holds the target, if the owner
            has it.

    Raises:
        MutableBorrowError: If the object is borrowed mutably.
        ReferenceInvalidError: If the owner has moved.
        ReferenceNotOwnedError: If it is no owner.
    """
    while (made := _core._borrow(RefProxy, proxy, False, populate_target)) is None:
        _check_lends(proxy, writes=False)
    return made


def mut_borrow(proxy: OwnedProxy[T], *, populate_target: bool = True) -> RefMutProxy[T]:
    """Borrow an object to change it; nobody else may borrow it meanwhile.

    The owner is not resolved. `update` stores what was changed.

    Args:
        proxy: The owner.
        populate_target: Whether the borrow holds the target, if the owner
            has it.

    Raises:
        MutableBorrowError: If the object is borrowed.
        ReferenceInvalidError: If the owner has moved.
        ReferenceNotOwnedError: If it is no owner.
    """
    while (made := _core._borrow(RefMutProxy, proxy, True, populate_target)) is None:
        _check_lends(proxy, writes=True)
    return made


def clone(proxy: OwnedProxy[T]) -> OwnedProxy[T]:
    """Copy an object in its store, and return the owner of the copy.

    The owner is not resolved. If it is resolved already, the copy holds a
    deep copy of the target.

    Args:
        proxy: The owner.

    Raises:
        ProxyResolveMissingKeyError: If the object is gone.
        ReferenceInvalidError: If the owner has moved.
        ReferenceNotOwnedError: If it is no owner.
    """
    _check_usable(proxy, (OwnedProxy,), 'cloned')
    factory, store = _store_factory(proxy), _store_of(proxy)
    key = _core.copy_object(store, factory.key)
    if key is None:
        raise ProxyResolveMissingKeyError(factory.key, type(store), store.name)
    copied = _core.store_factory(key, factory._recipe, False, factory.deserializer)
    made = _core._own(OwnedProxy, copied, proxy, False)
    made.__proxy_store__ = store
    if is_resolved(proxy):
        made.__proxy_wrapped__ = copy.deepcopy(proxy.__proxy_wrapped__)
    return made


def into_owned(proxy: Proxy[T], *, populate_target: bool = True) -> OwnedProxy[T]:
    """Make the owner of an object out of an ordinary proxy of it.

    The caller sees to it that there is one owner. Other proxies of the object
    stop to resolve when the owner goes.

    Args:
        proxy: A proxy that a store made.
        populate_target: Whether the owner holds the target, if the proxy
            has it.

    Raises:
        ProxyStoreFactoryError: If no store made it.
        ValueError: If it is a reference already.
    """
    if not issubclass(type(proxy), Proxy) or issubclass(type(proxy), BaseRefProxy):
        raise ValueError(
            'Only an ordinary proxy can be made into an owner, and this is of '
            f'type {type(proxy).__name__}.'
        )
    factory = _store_factory(proxy)
    if factory.evict and type(factory) is StoreFactory:
        # The owner evicts; a borrow that resolves must not.
        factory = _core.store_factory(
            factory.key, factory._recipe, False, factory.deserializer
        )
    return _core._own(OwnedProxy, factory, proxy, populate_target)


def update(
    proxy: OwnedProxy[T] | RefMutProxy[T], *, serializer: SerializerT | None = None
) -> None:
    """Store the target anew, under its key, after it was changed.

    A proxy that is not resolved has not been changed: nothing is done.

    Args:
        proxy: The owner, or the mutable borrow.
        serializer: Used instead of the store's.

    Raises:
        MutableBorrowError: If it is the owner and the object is borrowed.
        NotImplementedError: If the connector cannot replace an object.
        ReferenceInvalidError: If the reference has moved.
        ReferenceNotOwnedError: If it is an immutable borrow, or no reference.
    """
    _check_usable(proxy, (OwnedProxy, RefMutProxy), 'updated')
    if issubclass(type(proxy), OwnedProxy):
        owner: Any = proxy
        if owner.__proxy_writers__ or owner.__proxy_readers__:
            raise MutableBorrowError(
                'The object is borrowed: its owner cannot change it meanwhile.'
            )
    if not is_resolved(proxy):
        return
    store = _store_of(proxy)
    if not callable(getattr(store.connector, 'set', None)):
        raise NotImplementedError(
            f'{type(store.connector).__name__} cannot replace an object: it has '
            'no set(), see proxystore.connectors.protocols.DeferrableConnector.'
        )
    key = _store_factory(proxy).key
    store._set(key, proxy.__proxy_wrapped__, serializer=serializer)
