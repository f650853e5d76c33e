"""Compares the proxy type with native objects and with other proxies.

    python benches/proxy/compare.py [--only TEXT] [--out FILE]

Run it with an interpreter that has proxystore (a release build) and numpy
installed. The first run puts the other packages below `.build/bench/`.

A figure is the least of many short rounds. Those of all implementations are
interleaved, operation by operation, in processes that run one at a time:
ProxyStore 1.1 has our name and so a process of its own. A pass makes new
processes, since where things lie in memory counts. Operations whose best
rounds are still far apart after the last pass get further passes, up to a
limit. Prints Markdown; the exit status is 1 when a bar does not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / 'store'))

from bars import OLD
from bars import OURS
from bars import PEERS
from bars import judge
from machine import machine
from operations import OPERATIONS
from reference import factor

HERE = Path(__file__).resolve().parent
BUILD = HERE.parents[1] / '.build' / 'bench' / str(sys.implementation.cache_tag)
PACKAGES = {
    'peers': ['lazy-object-proxy==1.13.0', 'wrapt==2.5.2'],
    'proxystore-1.1': ['proxystore==1.1.0'],
}
IMPLEMENTATIONS = ('native', OURS, OLD, *PEERS)

PASSES = 4
MOST_PASSES = 10
ROUNDS = 30
"""In one pass, of each implementation."""
AGREEING = 5
AGREEMENT = 1.03
"""An operation is settled when so many rounds are within this of the best."""


def installed(name: str) -> Path:
    """Return a folder with the packages, installed at the first call."""
    folder = BUILD / name
    if not (folder / '.complete').exists():
        command = [sys.executable, '-m', 'pip', 'install', '--quiet']
        command += ['--disable-pip-version-check', '--target', str(folder)]
        subprocess.run([*command, *PACKAGES[name]], check=True)
        (folder / '.complete').touch()
    return folder


class Worker:
    """A process that measures."""

    def __init__(self, packages: str) -> None:
        environment = dict(os.environ, PYTHONPATH=str(installed(packages)))
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / 'worker.py')],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def measure(self, operation: str, implementation: str) -> float | None:
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(json.dumps([operation, implementation]) + '\n')
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f'{implementation} failed at {operation!r}')
        return json.loads(line)

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


Rounds = dict[str, dict[str, list[float]]]
"""The rounds in ns: operation, implementation."""


def measure(only: str) -> tuple[Rounds, int]:
    """Return the rounds, and how many passes there were."""
    if hasattr(os, 'sched_setaffinity'):
        # One core for all, so that they share its frequency and its neighbours.
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    results: Rounds = {
        operation.name: {name: [] for name in IMPLEMENTATIONS}
        for operation in OPERATIONS
        if only in operation.name
    }
    passes = 0
    while passes < MOST_PASSES:
        noisy = [name for name, row in results.items() if not settled(row)]
        if passes >= PASSES and not noisy:
            break
        one_pass(results, list(results) if passes < PASSES else noisy)
        passes += 1
    return results, passes


def one_pass(results: Rounds, operations: list[str]) -> None:
    """Add rounds of these operations, in new processes."""
    new = Worker('peers')
    old = Worker('proxystore-1.1')
    for operation in operations:
        for _ in range(ROUNDS):
            for name in IMPLEMENTATIONS:
                worker = old if name == OLD else new
                took = worker.measure(operation, name)
                if took is not None:
                    results[operation][name].append(took)
    new.close()
    old.close()


def settled(row: dict[str, list[float]]) -> bool:
    """Say whether the best rounds of each implementation agree."""
    return all(
        len(rounds) >= AGREEING
        and sorted(rounds)[AGREEING - 1] <= min(rounds) * AGREEMENT
        for rounds in row.values()
        if rounds
    )


def nanoseconds(value: float | None) -> str:
    if value is None:
        return '-'
    return f'{value:.0f}' if value >= 100 else f'{value:.1f}'


def table(results: Rounds) -> str:
    header = [
        'operation',
        *IMPLEMENTATIONS,
        'median',
        '/ native',
        '1.1 /',
        '/ fastest peer',
    ]
    lines = ['| ' + ' | '.join(header) + ' |', '|---' * len(header) + '|']
    for name, row in results.items():
        best = {k: min(v) if v else None for k, v in row.items()}
        ours = best[OURS]
        peers = [best[peer] for peer in PEERS if best[peer]]
        cells = [name, *(nanoseconds(best[k]) for k in IMPLEMENTATIONS)]
        cells.append(nanoseconds(statistics.median(row[OURS])))
        cells.append(f'{ours / best["native"]:.2f}' if best['native'] else '-')
        cells.append(f'{best[OLD] / ours:.1f}' if best[OLD] else '-')
        cells.append(f'{ours / min(peers):.2f}' if peers else '-')
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split('\n', 1)[0])
    parser.add_argument(
        '--only', default='', help='operations whose name has this text'
    )
    parser.add_argument('--out', type=Path, help='write the report here as well')
    arguments = parser.parse_args()

    results, passes = measure(arguments.only)
    minima = {
        operation: {name: min(times) for name, times in row.items() if times}
        for operation, row in results.items()
    }
    version = sys.version_info[:2]
    scale, rows = factor(minima, PEERS, version)
    verdicts = judge(minima, version, scale)
    failed = [v for v in verdicts if not v.holds]
    unscaled = sum(v.holds for v in judge(minima, version, 1))
    noisy = [name for name, row in results.items() if not settled(row)]
    report = [
        f'`make bench-proxy` on {machine()}; ns per operation: the least of '
        f'{PASSES * ROUNDS} interleaved rounds or more ({passes} passes); '
        f'"median" is that of `{OURS}`.',
        f'Not settled: {"; ".join(noisy)}.' if noisy else 'All rows settled.',
        '',
        table(results),
        '',
        f'The bars that count ns or µs were set on another machine. This one takes '
        f'**{scale:.2f} times** as long for what the other packages do (the median '
        f'of {rows} rows of theirs, in this run), so those bars are judged at that '
        f'multiple, in the column "here"; ratios are judged as they are.',
        '',
        f'{len(verdicts) - len(failed)} of {len(verdicts)} bars hold '
        f'({sum(v.by_noise for v in verdicts)} of them within the 10 % that noise may '
        f'add); unscaled, {unscaled} would.',
        '',
        '| operation | bar | here | measured | |',
        '|---|---|---|---|---|',
    ]
    for v in verdicts:
        word = 'FAILS' if not v.holds else 'noise' if v.by_noise else 'holds'
        report.append(f'| {v.operation} | {v.bar} | {v.here} | {v.measured} | {word} |')
    text = '\n'.join(report) + '\n'
    print(text)
    if arguments.out:
        arguments.out.write_text(text)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
