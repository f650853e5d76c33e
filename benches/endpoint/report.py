"""The tables."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / 'store'))

from machine import machine
from machine import readable

Samples = dict[str, dict[str, list[float]]]
"""Figure, system, values: seconds unless the figure says otherwise."""
Medians = dict[str, dict[str, float]]

SHOWN = {
    'plain': 'plain TCP',
    'tls': 'TLS',
    'quic': 'QUIC',
    'relay': 'relay, https',
    'ours': 'ours, local',
    'older': 'ProxyStore 1.1',
}

INTRODUCTION = (
    'Made by `make bench-endpoint`: endpoints, relay, clients and ProxyStore 1.1 with a relay of its own on one '
    'machine, all on loopback, rounds interleaved, every object checked by its sum. Clients are Python programs. '
    'A get of 100 MB ends when the bytes are in the memory of the client (ours: mapped; 1.1: `bytes`), the whole '
    'path when all were read. "plain TCP" is one connection of two Python processes, `sendall` and `recv_into` a '
    'buffer that was used before. The link of 50 ms forwards 25 ms later each way; over TCP it ends the connection '
    'on either side, so that only bytes are delayed.'
)


def quantile(values: list[float], part: float) -> float:
    ordered = sorted(values)
    return ordered[round((len(ordered) - 1) * part)]


def tables(samples: Samples, medians: Medians) -> str:
    """One table of times, one of the rest."""
    names = [name for name in SHOWN if any(name in row for row in medians.values())]

    def row(label: str, cells: dict[str, str]) -> str:
        return f'| {label} | ' + ' | '.join(cells.get(n, '-') for n in names) + ' |'

    lines = [f'Medians on {machine()}.', '']
    lines.append('| | ' + ' | '.join(SHOWN[name] for name in names) + ' |')
    lines.append('|---' * (len(names) + 1) + '|')
    for figure, systems in medians.items():
        if figure.startswith('memory'):
            cells = {name: f'{value:.2f}x' for name, value in systems.items()}
            lines.append(row(f'{figure}: peak above idle, in objects', cells))
        elif figure.startswith(('processor', 'MB/s')):
            cells = {name: f'{value:.3g}' for name, value in systems.items()}
            lines.append(row(figure, cells))
        else:
            cells = {name: readable(value) for name, value in systems.items()}
            lines.append(row(figure, cells))
        if figure == '1 kB beside 100 MB':
            late = {n: readable(quantile(v, 0.99)) for n, v in samples[figure].items()}
            lines.append(row(f'{figure}, 99 of 100', late))
        if figure == 'peer get 100 MB':
            rates = {name: f'{0.1 / value:.3g} GB/s' for name, value in systems.items()}
            lines.append(row(f'{figure}, rate', rates))
    return '\n'.join(lines)
