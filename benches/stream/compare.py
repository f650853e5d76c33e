"""Objects per second through a stream: proxied, inline, plain data, and ProxyStore 1.1.

    python benches/stream/compare.py [--rounds 5] [--write benches/RESULTS.md]
    python benches/stream/compare.py --sweep --brokers queue --rounds 7

Every system is a producer and a consumer process, ProxyStore 1.1 in a virtual environment of its
own (`.build/bench/v1`). The producer sends arrays as fast as it can; a run ends when the consumer
has used the last one. Rounds are interleaved; tables show medians. It ends with 1 if at 10 kB ours,
as it comes, is slower than plain data by more than the noise. With `--sweep` it prints where inline
and proxied objects cross, by which the defaults of `inline_below` are chosen.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / 'store'))

import compare as store_compare  # noqa: E402
from process import Process  # noqa: E402
from results import replace_section  # noqa: E402

SIZES = {
    '1 kB': 1_000,
    '3 kB': 3_200,
    '10 kB': 10_000,
    '32 kB': 32_000,
    '100 kB': 100_000,
    '320 kB': 320_000,
    '1 MB': 1_000_000,
    '10 MB': 10_000_000,
}
SYSTEMS = ['ours', 'ours inline', 'ours proxied', 'plain', 'v1']
LABELS = {
    'ours': 'ours, as it comes',
    'ours inline': 'ours, all inline',
    'ours proxied': 'ours, all proxied',
    'plain': 'plain data, pickled',
    'v1': 'ProxyStore 1.1',
}
BROKERS = {
    'redis': 'a Redis list',
    'channel': 'a Redis channel',
    'queue': 'a multiprocessing queue',
}
SWEPT = {
    f'{size} kB': size * 1000 for size in (1, 10, 32, 64, 100, 160, 250, 500, 1000)
}
SWEPT_SYSTEMS = ['ours inline', 'ours proxied', 'plain']
PAR = 0.9
"""Medians of one system differ by as much from run to run."""
Rates = dict[str, dict[str, dict[str, float]]]


def count_of(size: int) -> int:
    """So many that a run takes some tenths of a second."""
    return max(8, min(500, 20_000_000 // size))


def measure(
    rounds: int,
    places: dict[str, str],
    sizes: dict[str, int],
    systems: list[str] = SYSTEMS,
) -> Rates:
    rates: Rates = {}
    for broker, place in places.items():
        workers = {}
        for system in systems:
            python = (
                store_compare.environment('v1') if system == 'v1' else sys.executable
            )
            command = [python, str(HERE / 'worker.py'), broker, system, place]
            workers[system] = Process(command, subprocess.DEVNULL)
        seconds: dict[str, dict[str, list[float]]] = defaultdict(
            lambda: defaultdict(list)
        )
        for number in range(-1, rounds):  # the first one warms up
            for word, size in sizes.items():
                count = count_of(size)
                for system, worker in workers.items():
                    took = worker.ask(size=size, count=count)['seconds']
                    if number >= 0:
                        seconds[word][system].append(took / count)
        for worker in workers.values():
            worker.stop()
        rates[broker] = {
            word: {
                system: 1 / statistics.median(times) for system, times in row.items()
            }
            for word, row in seconds.items()
        }
    return rates


def table(rates: dict[str, dict[str, float]]) -> str:
    head = [LABELS[system] for system in SYSTEMS]
    lines = [
        f'| array | {" | ".join(head)} | / plain | / 1.1 |',
        '|---' * (len(head) + 3) + '|',
    ]
    for word, row in rates.items():
        values = ' | '.join(f'{row[system]:.0f}' for system in SYSTEMS)
        plain, older = row['ours'] / row['plain'], row['ours'] / row['v1']
        lines.append(f'| {word} | {values} | {plain:.2f}x | {older:.2f}x |')
    return '\n'.join(lines)


def sweep(rates: dict[str, dict[str, float]]) -> str:
    lines = [
        '| array | inline | proxied | plain | inline / proxied |',
        '|---|---|---|---|---|',
    ]
    for word, row in rates.items():
        inline, proxied, plain = (row[system] for system in SWEPT_SYSTEMS)
        lines.append(
            f'| {word} | {inline:.0f} | {proxied:.0f} | {plain:.0f} '
            f'| {inline / proxied:.2f} |'
        )
    return '\n'.join(lines)


def draw(rates: Rates, sizes: dict[str, int], path: Path) -> None:
    import matplotlib

    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'proxystore'
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    picture, axes = plt.subplots(1, len(rates), figsize=(11, 4.5), sharey=True)
    for one, (broker, by_size) in zip(axes, rates.items(), strict=True):
        for system in SYSTEMS:
            one.plot(
                [sizes[word] for word in by_size],
                [row[system] for row in by_size.values()],
                marker='o',
                label=LABELS[system],
                linewidth=2.5 if system == 'ours' else 1.2,
                linestyle='-' if system.startswith('ours') else '--',
            )
        one.set(xscale='log', yscale='log', xlabel='bytes of the array')
        one.set_title(f'through {BROKERS[broker]}')
        one.grid(True, which='major', alpha=0.3)
    axes[0].set_ylabel('objects per second')
    axes[0].legend(fontsize=8)
    picture.tight_layout()
    picture.savefig(path, metadata={'Date': None})
    plt.close(picture)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--sizes', nargs='*', choices=SIZES, default=list(SIZES))
    parser.add_argument(
        '--brokers', nargs='*', choices=BROKERS, default=['redis', 'queue']
    )
    parser.add_argument('--sweep', action='store_true', help='inline and proxied alone')
    parser.add_argument('--write', type=Path, help='put the tables into this file')
    options = parser.parse_args()
    sizes = SWEPT if options.sweep else {word: SIZES[word] for word in options.sizes}
    with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
        server, address = store_compare.redis_server(Path(folder))
        port = address.split(':')[1]
        places = {
            broker: folder if broker == 'queue' else port for broker in options.brokers
        }
        try:
            systems = SWEPT_SYSTEMS if options.sweep else SYSTEMS
            rates = measure(options.rounds, places, sizes, systems)
        finally:
            server.terminate()
            server.wait()
    if options.sweep:
        for broker, by_size in rates.items():
            print(f'Through {BROKERS[broker]}:\n\n{sweep(by_size)}\n')
        return 0
    text = f"""Made by `make bench-stream`: objects per second from one process to another, with one event for
each object, medians of {options.rounds} interleaved rounds. Proxied objects lie in the same Redis server, or in files
in shared memory. Linux {platform.release()}, {os.cpu_count()} CPUs, CPython {platform.python_version()}.

![objects per second over their size](plots/stream.svg)
"""
    for broker, by_size in rates.items():
        text += f'\nThrough {BROKERS[broker]}:\n\n{table(by_size)}\n'
    print(text)
    at_10_kb = [row['10 kB'] for row in rates.values() if '10 kB' in row]
    missed = sum(row['ours'] < PAR * row['plain'] for row in at_10_kb)
    if options.write:
        replace_section(options.write, 'Streams', text)
        draw(rates, sizes, options.write.parent / 'plots' / 'stream.svg')
    return min(missed, 1)


if __name__ == '__main__':
    sys.exit(main())
