"""What the figures must hold, and whether they do.

Bars that count time were set on the machine of `reference`.
"""

from __future__ import annotations

from typing import NamedTuple

OURS = 'proxystore'
OLD = 'proxystore 1.1'
PEERS = ('lazy-object-proxy', 'wrapt')

NOISE = 1.10
"""What a shared machine may add."""

ONE_SLOT = (
    'p + 1',
    '1 + p',
    'p == x',
    'len(p)',
    'p[0]',
    'p[0] = v',
    'x in p',
    'bool(p)',
    'hash(p)',
)

PEER_AT_MOST = {
    'attribute get': 0.15,
    'method call': 0.15,
    'construct': 0.5,
    'isinstance(p, T)': 0.6,
    'call': 0.75,
    'np.add(p, 1), 1000': 0.4,
    'array + p, 1000': 0.4,
}
PEER_AT_MOST_ELSE = 1.15

TEN_TIMES = (*ONE_SLOT, 'isinstance(p, T)', 'construct', 'first use, len(P(f))')
OLD_AT_LEAST = {
    **dict.fromkeys(('attribute get', 'attribute set', 'method call', *TEN_TIMES), 10),
    **dict.fromkeys(('call', 'str(p)'), 8),
}
OLD_AT_LEAST_FROM_3_12 = {
    **dict.fromkeys(TEN_TIMES, 10),
    'attribute get': 8,
    'attribute set': 5,
    'method call': 3.5,
    'call': 7,
    'str(p)': 7,
}

NATIVE_PLUS_NS = {
    'attribute get': 20,
    'call': 20,
    'isinstance(p, T)': 20,
    **dict.fromkeys(ONE_SLOT, 13),
}
AT_MOST_NS = dict.fromkeys(
    ('store proxy: pickle.dumps', 'store proxy: pickle.loads'), 4000
)
NATIVE_TIMES = {'iterate 1000': 1.03, 'np.add(p, 1), 1000': 1.6}


class Verdict(NamedTuple):
    """One bar and what was measured."""

    operation: str
    bar: str
    here: str
    """What is judged in its place on this machine, where the bar counts time."""
    measured: str
    holds: bool
    by_noise: bool
    """Whether it holds only within what noise may add."""


def judge(
    minima: dict[str, dict[str, float]], version: tuple[int, int], factor: float
) -> list[Verdict]:
    """Compare minima (operation, implementation, ns) with every bar.

    Bars that count time are taken times `factor`, ratios as they are.
    """
    verdicts = []

    def add(
        operation: str, bar: str, measured: str, excess: float, here: str = ''
    ) -> None:
        within = 1 < excess <= NOISE
        verdicts.append(
            Verdict(operation, bar, here, measured, excess <= NOISE, within)
        )

    old_bars = OLD_AT_LEAST if version < (3, 12) else OLD_AT_LEAST_FROM_3_12
    for operation, times in minima.items():
        ours, native = times[OURS], times.get('native')
        peers = {name: times[name] for name in PEERS if times.get(name)}
        if peers:
            fastest = min(peers, key=peers.__getitem__)
            ratio = ours / peers[fastest]
            most = PEER_AT_MOST.get(operation, PEER_AT_MOST_ELSE)
            add(operation, f'≤ {most}x {fastest}', f'{ratio:.2f}x', ratio / most)
        if operation in old_bars:
            ratio = times[OLD] / ours
            least = old_bars[operation]
            add(
                operation, f'≥ {least}x faster than 1.1', f'{ratio:.1f}x', least / ratio
            )
        if operation in NATIVE_PLUS_NS:
            more = ours - native
            most = NATIVE_PLUS_NS[operation]
            add(
                operation,
                f'≤ native + {most} ns',
                f'+{more:.1f} ns',
                more / (most * factor),
                f'≤ native + {most * factor:.1f} ns',
            )
        if operation in AT_MOST_NS:
            most = AT_MOST_NS[operation]
            add(
                operation,
                f'≤ {most / 1000:.0f} µs',
                f'{ours / 1000:.2f} µs',
                ours / (most * factor),
                f'≤ {most * factor / 1000:.2f} µs',
            )
        if operation in NATIVE_TIMES:
            ratio = ours / native
            most = NATIVE_TIMES[operation]
            add(operation, f'≤ {most}x native', f'{ratio:.3f}x', ratio / most)
    return verdicts
