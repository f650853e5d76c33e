"""Stores whose objects go when the process that put them ends."""

from __future__ import annotations

import atexit
import os
import weakref
from typing import TYPE_CHECKING
from typing import Any

from proxystore.exceptions import ConnectorUnsupportedError

if TYPE_CHECKING:
    from proxystore import _core


def bind(
    connector: Any, native: _core.NativeConnector | None, lifetime: str
) -> _core.NativeConnector:
    """Return the connector of the core that binds what it puts to this process."""
    if lifetime != 'process':
        raise ValueError(
            f"lifetime={lifetime!r}: it is 'process', or None for objects that "
            'stay until they are evicted. The lifetimes of single objects are '
            'in proxystore.store.lifetimes.'
        )
    if native is None:
        raise ConnectorUnsupportedError(
            f"{type(connector).__name__} cannot keep to lifetime='process': only "
            'connectors of proxystore can tell when a process ends.'
        )
    bound = native.for_process()
    _evict_at_exit(bound)
    return bound


def _evict_at_exit(bound: _core.NativeConnector) -> None:
    """An orderly end leaves nothing for others to sweep."""
    process, reference = os.getpid(), weakref.ref(bound)

    def _evict() -> None:
        alive = reference()
        if alive is not None and os.getpid() == process:
            import contextlib

            # Out of reach: then the lease ends, or the next opener sweeps.
            with contextlib.suppress(Exception):
                alive.evict_bound()

    atexit.register(_evict)
    weakref.finalize(bound, atexit.unregister, _evict).atexit = False
