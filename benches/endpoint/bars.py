"""The figures to reach: ratios of medians of one run, and times."""

from __future__ import annotations

import statistics

from report import SHOWN
from report import Medians
from report import Samples
from report import quantile
from report import readable

TIMES = [
    ('peer get 100 MB', 'tls', 33.0),
    ('peer get 100 MB', 'quic', 13.0),
    ('peer get 100 MB', 'relay', 2.2),
    ('whole path 100 MB', 'tls', 20.0),
    ('peer get 1 kB', 'tls', 12.0),
    ('peer get 1 kB', 'quic', 12.0),
]
"""So many times as fast as ProxyStore 1.1."""

CLOCK = [
    ('local put 1 kB', 'ours', 80e-6),
    ('local get 1 kB', 'ours', 80e-6),
    ('local put 100 MB', 'ours', 0.020),
    ('local get 100 MB', 'ours', 0.020),
    ('cold 1 kB', 'tls', 0.015),
    ('cold 1 kB', 'quic', 0.015),
    ('cold 1 kB', 'relay', 0.025),
]
"""At most so many seconds."""

BESIDE = 0.020
SHARE = 0.5
"""Of plain TCP."""
FAR = 200e6
FAR_RATE = 100e6
MEMORY = 1.2


def judge(samples: Samples, medians: Medians) -> tuple[str, int]:
    """The table of the figures, and how many were missed."""
    lines = ['| figure | way | to reach | measured | |', '|---|---|---|---|---|']
    missed = 0

    def line(figure: str, way: str, bar: str, measured: str, holds: bool) -> None:
        nonlocal missed
        missed += not holds
        end = 'met' if holds else 'missed'
        lines.append(f'| {figure} | {SHOWN[way]} | {bar} | {measured} | {end} |')

    for figure, way, times in TIMES:
        old = medians[figure].get('older')
        if old is not None:
            ratio = old / medians[figure][way]
            bar = f'>= {times:g}x ProxyStore 1.1'
            line(figure, way, bar, f'{ratio:.3g}x', ratio >= times)
    pairs = zip(
        samples['peer get 100 MB']['plain'],
        samples['peer get 100 MB']['tls'],
        strict=True,
    )
    share = statistics.median(plain / tls for plain, tls in pairs)
    bar = f'>= {SHARE:.0%} of plain TCP'
    line('peer get 100 MB', 'tls', bar, f'{share:.0%}', share >= SHARE)
    for figure, way, most in CLOCK:
        value = medians[figure][way]
        line(figure, way, f'<= {readable(most)}', readable(value), value <= most)
    for way in ('tls', 'quic', 'relay'):
        late = quantile(samples['1 kB beside 100 MB'][way], 0.99)
        figure = '1 kB beside 100 MB, 99 of 100'
        line(figure, way, f'<= {readable(BESIDE)}', readable(late), late <= BESIDE)
    for way in ('tls', 'quic'):
        rate = FAR / medians['link 200 MB'][way]
        bar = f'>= {FAR_RATE / 1e6:g} MB/s'
        line('link 200 MB', way, bar, f'{rate / 1e6:.0f} MB/s', rate >= FAR_RATE)
    for figure in ('memory, who gets', 'memory, who gives'):
        for way, value in medians[figure].items():
            if way != 'older':
                bar = f'<= {MEMORY:g}x the object'
                line(figure, way, bar, f'{value:.2f}x', value <= MEMORY)
    return '\n'.join(lines), missed
