"""How long the peers take on the machine for which the bars were set.

Bars that count nanoseconds mean that machine, an AMD Zen 5. The peers are the
same everywhere, so what they take here and took there tells how much slower or
faster this machine is for work of this kind.
"""

from __future__ import annotations

import statistics

PEER_NS: dict[tuple[int, int], dict[str, tuple[float, float]]] = {
    (3, 11): {
        'attribute get': (317, 346),
        'attribute get, subclass': (359, 383),
        'attribute set': (115, 31.5),
        'method call': (380, 400),
        'call': (39.9, 40.2),
        'call with keyword': (79.6, 80.4),
        'p + 1': (13.1, 25.4),
        '1 + p': (15.2, 27.5),
        'p == x': (11.0, 11.9),
        'len(p)': (8.8, 9.9),
        'p[0]': (10.9, 11.8),
        'p[0] = v': (11.7, 12.5),
        'x in p': (9.4, 9.5),
        'bool(p)': (12.3, 13.8),
        'hash(p)': (16.6, 17.1),
        'str(p)': (17.6, 18.4),
        'isinstance(p, T)': (69.9, 37.5),
        'hasattr, missing': (559, 583),
        'iterate 1': (25.2, 103),
        'iterate 1000': (3790, 3866),
        'construct': (58.9, 116),
    },
    (3, 13): {
        'attribute get': (409, 427),
        'attribute get, subclass': (457, 468),
        'attribute set': (37.0, 35.6),
        'method call': (503, 522),
        'call': (46.2, 46.6),
        'call with keyword': (109, 111),
        'p + 1': (15.4, 32.8),
        '1 + p': (16.2, 33.2),
        'p == x': (14.4, 15.1),
        'len(p)': (10.6, 11.6),
        'p[0]': (12.8, 13.3),
        'p[0] = v': (13.7, 14.4),
        'x in p': (8.9, 9.6),
        'bool(p)': (13.8, 14.6),
        'hash(p)': (21.3, 21.3),
        'str(p)': (23.4, 24.0),
        'isinstance(p, T)': (86.1, 45.4),
        'hasattr, missing': (708, 749),
        'iterate 1': (29.7, 130),
        'iterate 1000': (3144, 3244),
        'construct': (72.9, 134),
    },
}
"""By interpreter and operation: lazy-object-proxy 1.13.0 and wrapt 2.5.2."""


def factor(
    minima: dict[str, dict[str, float]],
    peers: tuple[str, ...],
    version: tuple[int, int],
) -> tuple[float, int]:
    """Return how many times as long the peers take here, and over how many rows.

    The median of the rows' ratios; an interpreter without times of its own is
    compared with the nearest that has some.
    """
    there = PEER_NS[3, 11] if version < (3, 12) else PEER_NS[3, 13]
    ratios = [
        minima[operation][peer] / took
        for operation, times in there.items()
        for peer, took in zip(peers, times, strict=True)
        if minima.get(operation, {}).get(peer)
    ]
    return (statistics.median(ratios), len(ratios)) if ratios else (1.0, 0)
