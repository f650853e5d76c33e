"""What a reference of `proxystore.store.ref` costs beside a proxy; prints a line of JSON.

Nanoseconds: the minimum of 30 interleaved rounds.
"""

from __future__ import annotations

import gc
import json
import timeit
import warnings

from proxystore.connectors.local import LocalConnector
from proxystore.proxy import Proxy
from proxystore.store import Store
from proxystore.store.ref import borrow
from proxystore.store.ref import mut_borrow
from proxystore.store.scopes import mark_refs_out_of_scope

warnings.simplefilter('ignore')
store = Store('references', LocalConnector(), register=True)
target = [1, 2, 3]
proxy = store.proxy(target)
owner, lender = store.owned_proxy(target), store.owned_proxy(target)
factory = proxy.__proxy_factory__
reference = borrow(owner)
len(proxy), len(owner), len(reference)

CASES = {
    'len': (lambda: len(proxy), lambda: len(owner), lambda: len(reference)),
    'item': (lambda: proxy[0], lambda: owner[0], lambda: reference[0]),
    'method': (
        lambda: proxy.count(1),
        lambda: owner.count(1),
        lambda: reference.count(1),
    ),
    'isinstance': (
        lambda: isinstance(proxy, list),
        lambda: isinstance(owner, list),
        lambda: isinstance(reference, list),
    ),
    'make, let go': (lambda: Proxy(factory), None, lambda: borrow(owner)),
    'make a RefMutProxy, let go': (None, None, lambda: mut_borrow(lender)),
    'put, make, evict': (
        lambda: store.evict(store.proxy(target).__proxy_factory__.key),
        lambda: store.owned_proxy(target),
        None,
    ),
}


def measure() -> dict[str, list[float | None]]:
    best: dict[str, list[float | None]] = {case: [None] * 3 for case in CASES}
    empty = float('inf')
    for _ in range(30):
        empty = min(empty, timeit.timeit(lambda: None, number=2000) / 2000)
        for case, functions in CASES.items():
            for place, function in enumerate(functions):
                if function is not None:
                    number = 200 if 'make' in case else 2000
                    took = timeit.timeit(function, number=number) / number
                    before = best[case][place]
                    best[case][place] = took if before is None else min(before, took)
    return {
        case: [None if one is None else (one - empty) * 1e9 for one in row]
        for case, row in best.items()
    }


gc.disable()
print(json.dumps(measure()))
mark_refs_out_of_scope(reference)  # the owner may go now
