"""Proxies of several objects, put in one batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any

if TYPE_CHECKING:
    from proxystore.store.base import Store
    from proxystore.store.lifetimes import Lifetime
    from proxystore.store.types import DeserializerT
    from proxystore.store.types import SerializerT


def proxy_batch(
    store: Store[Any],
    objs: Sequence[Any],
    *,
    evict: bool,
    lifetime: Lifetime | None,
    serializer: SerializerT | None,
    deserializer: DeserializerT | None,
    populate_target: bool | None,
    skip_nonproxiable: bool,
    snapshot: bool,
    **kwargs: Any,
) -> list[Any]:
    """Do what `Store.proxy_batch` says."""
    if evict and lifetime is not None:
        raise ValueError(
            'evict=True and lifetime= exclude one another: a lifetime evicts by itself'
        )
    start = time.perf_counter()
    populate = store._populate_target if populate_target is None else populate_target
    proxies: list[Any] = list(objs)
    places = []
    for place, obj in enumerate(proxies):
        if obj is None or isinstance(obj, bool):
            if not skip_nonproxiable:
                store.proxy(obj)  # raises
        else:
            places.append(place)
    keys = store.put_batch(
        [proxies[place] for place in places],
        lifetime=lifetime,
        serializer=serializer,
        snapshot=snapshot,
        **kwargs,
    )
    for place, key in zip(places, keys, strict=True):
        proxies[place] = store._proxy_of(
            key,
            evict,
            deserializer,
            proxies[place] if populate else None,
        )
    if store._metrics is not None:
        elapsed_ms = (time.perf_counter() - start) * 1e3
        store._metrics.add_time('store.proxy_batch', keys, elapsed_ms)
    return proxies
