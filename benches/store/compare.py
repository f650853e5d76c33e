"""Times put and get of our store beside its peers, and prints the ratios.

    python benches/store/compare.py [--quick] [--write benches/RESULTS.md]
    python benches/store/compare.py --quick --only 'array 100 MB' --systems 'ours file' 'v1 file'

The second form looks at one figure in less than a minute. Every system runs in processes of its own, one that puts and one that gets, in a virtual
environment of its own where it needs one (`.build/bench`). Rounds are interleaved: one put and
one get of every system, then the next round; tables show medians. Every get is checked by its sum.

A whole run ends with status 1 if a figure is missed that `bars.REASONS` does not explain.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import bars
import fresh
import objects
import plot
from machine import machine
from machine import readable
from process import Process
from results import replace_section

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / '.build' / 'bench'
PEERS = {
    'v1': ['proxystore==1.1.0', 'numpy', 'pandas', 'redis'],
    'peers': ['ray', 'joblib', 'numpy', 'pandas'],
}
SHOWN = {
    'ours file': 'ours, FileConnector',
    'ours default': 'ours, embedded default',
    'ours fresh': 'ours, FileConnector, no page used again',
    'v1 file': 'ProxyStore 1.1, FileConnector',
    'ray': 'Ray',
    'joblib': 'joblib, mapped',
    'numpy': 'np.save, mapped',
    'limit': 'bare write and read',
    'mapped': 'bare write and map',
    'ours local': 'ours, LocalConnector',
    'v1 local': 'ProxyStore 1.1, LocalConnector',
    'ours redis': 'ours, RedisConnector',
    'v1 redis': 'ProxyStore 1.1, RedisConnector',
}


def environment(name: str) -> str:
    """The interpreter of a peer's virtual environment, made if need be."""
    python = BUILD / name / 'bin' / 'python'
    done = BUILD / name / '.done'
    if not done.exists():
        print(f'installing {", ".join(PEERS[name])} ...', file=sys.stderr)
        subprocess.run([sys.executable, '-m', 'venv', str(BUILD / name)], check=True)
        subprocess.run(
            [str(python), '-m', 'pip', 'install', '-q', *PEERS[name]], check=True
        )
        done.touch()
    return str(python)


# What puts of this many bytes cost in pages that were never used is shown beside the steady state.
FRESH_FROM = 10_000_000


class System:
    """A pair of processes, or one that does both."""

    def __init__(
        self, name: str, python: str, place: str, *, alone: bool = False
    ) -> None:
        self.name = name
        system = name.split()[-1]
        worker = str(Path(__file__).parent / 'worker.py')
        command = [python, worker, system, place]
        self.putter = Process(command, subprocess.DEVNULL)
        self.getter = self.putter if alone else Process(command, subprocess.DEVNULL)

    def round(self, kind: str, size: int) -> dict[str, float]:
        repeats = objects.repeats(size)
        put = self.putter.ask(do='put', kind=kind, size=size, repeats=repeats)
        got = self.getter.ask(do='get', kind=kind, tickets=put['tickets'])
        self.putter.ask(do='evict', tickets=put['tickets'])
        if got['sum'] != put['sum']:
            raise RuntimeError(f'{self.name} returned other data for {kind} of {size}')
        return {'put': put['put'], 'get': got['get'], 'get+sum': got['get+sum']}

    def private(self, size: int) -> int:
        put = self.putter.ask(do='put', kind='array', size=size, repeats=1)
        got = self.getter.ask(do='private', ticket=put['tickets'][0])
        self.putter.ask(do='evict', tickets=put['tickets'])
        return int(got['private'])

    def stop(self) -> None:
        self.putter.stop()
        if self.getter is not self.putter:
            self.getter.stop()


def rounds(size: int, quick: bool) -> int:
    """Few for what is large."""
    full = (
        31
        if size <= 1_000_000
        else 15
        if size <= 10_000_000
        else 9
        if size < 10**9
        else 5
    )
    return max(3, full // 4) if quick else full


def cases() -> list[tuple[str, str, int, set[str]]]:
    """Kind, label, size, and the systems that do not take part."""
    found = []
    small = {'redis', 'local'}
    for label, size in objects.SIZES.items():
        left_out = set() if label in ('1 kB', '100 MB') else small
        if size < FRESH_FROM:
            left_out = left_out | {'fresh', 'mapped'}
        found.append(('array', f'array {label}', size, left_out))
    for label, size in objects.SIZES.items():
        if label in ('1 kB', '10 MB', '100 MB', '1 GB'):
            left_out = small | {'numpy', 'mapped'}
            if size < FRESH_FROM:
                left_out = left_out | {'fresh'}
            found.append(('bytes', f'bytes {label}', size, left_out))
    for kind in ('dict', 'table', *objects.NESTED):
        labels = {
            'dict': 'dict of 100 x 100 kB',
            'table': 'table 1e6 x 6',
            'nested small': 'nested dict, 25,000 items',
            'nested': 'nested dict, 1e5 items',
        }
        left_out = small | {'numpy', 'limit', 'mapped'}
        if kind in objects.NESTED:
            left_out = left_out | {'fresh'}
        found.append((kind, labels[kind], 10_000_000, left_out))
    return found


def redis_server(folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        port = probe.getsockname()[1]
    options = [
        '--port',
        str(port),
        '--bind',
        '127.0.0.1',
        '--save',
        '',
        '--dir',
        str(folder),
    ]
    server = subprocess.Popen(['redis-server', *options], stdout=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(('127.0.0.1', port)) == 0:
                return server, f'127.0.0.1:{port}'
        time.sleep(0.05)
    raise RuntimeError('redis-server does not start')


def measure(
    quick: bool, only: list[str], chosen: list[str]
) -> tuple[bars.Medians, int | None]:
    """Medians in seconds by case, system and figure; and the private bytes of a 1 GB get."""
    unknown = set(chosen) - set(SHOWN)
    if unknown:
        raise SystemExit(f'no system {min(unknown)!r}: there are {", ".join(SHOWN)}')
    todo = [case for case in cases() if not only or case[1] in only]
    if not todo:
        labels = ', '.join(case[1] for case in cases())
        raise SystemExit(f'no case {only[0]!r}: there are {labels}')
    private = None
    shared = Path(tempfile.mkdtemp(prefix='proxystore-bench-', dir='/dev/shm'))
    taking_part = chosen or list(SHOWN)
    server, address = None, ''
    if any(name.endswith('redis') for name in taking_part):
        server, address = redis_server(shared)
    systems: list[System] = []
    times: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    try:
        for name in taking_part:
            python = sys.executable
            if not name.startswith('ours'):
                python = environment('v1' if name.startswith('v1') else 'peers')
            what = name.split()[-1]
            place = shared / name.replace(' ', '-')
            if what in ('joblib', 'numpy', 'limit', 'mapped'):
                place.mkdir()
            where = {'redis': address, 'local': '', 'default': '', 'ray': ''}
            alone = what in ('local', 'ray')
            at = where.get(what, str(place))
            systems.append(System(name, python, at, alone=alone))
        for kind, label, size, left_out in todo:
            part = [one for one in systems if one.name.split()[-1] not in left_out]
            count = rounds(size, quick)
            print(f'{label}: {count} rounds of {len(part)} systems', file=sys.stderr)
            for turn in range(count + 1):
                for one in part:
                    figures = one.round(kind, size)
                    if turn:  # the first round warms up
                        for figure, seconds in figures.items():
                            times[label][one.name][figure].append(seconds)
        ours = [one for one in systems if one.name == 'ours file' and not only]
        for one in ours:
            private = one.private(1_000_000_000)
    finally:
        for one in systems:
            one.stop()
        if server:
            server.terminate()
            server.wait()
        shutil.rmtree(shared, ignore_errors=True)
    medians = {
        case: {
            system: {
                figure: statistics.median(values) for figure, values in figures.items()
            }
            for system, figures in by_system.items()
        }
        for case, by_system in times.items()
    }
    return medians, private


def small_operations() -> dict[str, dict[str, dict[str, float]]]:
    """Least seconds by system, place and operation."""
    found = {}
    for system, python in {'ours': sys.executable, 'v1': environment('v1')}.items():
        with (
            tempfile.TemporaryDirectory(dir='/dev/shm') as memory,
            tempfile.TemporaryDirectory(dir=BUILD) as disk,
        ):
            program = str(Path(__file__).parent / 'small.py')
            said = subprocess.run(
                [python, program, memory, disk], check=True, stdout=subprocess.PIPE
            ).stdout
        found[system] = json.loads(said)
    return found


def small_table(found: dict[str, dict[str, dict[str, float]]]) -> str:
    operations = ['put', 'get', 'proxy', 'resolve', 'loads and resolve']
    lines = ['| 100 bytes | ' + ' | '.join(operations) + ' |']
    lines.append('|---' * (len(operations) + 1) + '|')
    for place in found['ours']:
        for system, by_place in found.items():
            by = by_place[place]
            if place.startswith('limit'):
                shown = f'bare calls{place[5:]}'
                if system != 'ours':
                    continue
            else:
                shown = f'{"ours" if system == "ours" else "ProxyStore 1.1"}, {place}'
            cells = [readable(by[one]) if one in by else '-' for one in operations]
            lines.append('| ' + ' | '.join([shown, *cells]) + ' |')
    return '\n'.join(lines)


def table(medians: dict[str, dict[str, dict[str, float]]], figure: str) -> str:
    names = [name for name in SHOWN if any(name in by for by in medians.values())]
    lines = ['| ' + ' | '.join([figure, *(SHOWN[name] for name in names)]) + ' |']
    lines.append('|---' * (len(names) + 1) + '|')
    for case, by_system in medians.items():
        cells = [
            readable(by_system[name][figure]) if name in by_system else '-'
            for name in names
        ]
        lines.append('| ' + ' | '.join([case, *cells]) + ' |')
    return '\n'.join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--quick', action='store_true', help='a quarter of the rounds')
    parser.add_argument('--only', nargs='+', default=[], help='these cases')
    parser.add_argument('--systems', nargs='+', default=[], help='these systems')
    parser.add_argument('--write', type=Path, help='put the tables into this file')
    arguments = parser.parse_args()
    began = time.monotonic()
    medians, private = measure(arguments.quick, arguments.only, arguments.systems)
    parts = [f'Medians on {machine()}, objects in shared memory (tmpfs).', '']
    for figure in ('put', 'get', 'get+sum'):
        parts += [table(medians, figure), '']
    small: dict[str, dict[str, dict[str, float]]] = {'ours': {}}
    starts: dict[str, float] = {}
    if not arguments.only and not arguments.systems:
        small = small_operations()
        with tempfile.TemporaryDirectory(dir='/dev/shm') as folder:
            pythons = {'ours': sys.executable, 'v1': environment('v1')}
            starts = fresh.measure(pythons, Path(folder))
        parts += [
            'Small objects, the least of many rounds in one process:',
            '',
            small_table(small),
            '',
            'A new process that unpickles and resolves its first proxy (of a list, in a file) takes '
            f'{readable(starts["ours"])} longer than one that does neither; with ProxyStore 1.1, '
            f'{readable(starts["v1"])}.',
            '',
        ]
    verdicts, missed = bars.judge(medians, private, small['ours'], starts)
    reasons, unknown = bars.explain(missed)
    parts += [verdicts, '', reasons, '']
    text = '\n'.join(parts)
    print(text)
    print(f'{(time.monotonic() - began) / 60:.1f} minutes', file=sys.stderr)
    if arguments.only or arguments.systems:
        return 0
    folder = ROOT / 'benches' / 'plots'
    plot.draw(medians, SHOWN, objects.SIZES, folder)
    if arguments.write:
        intro = 'Made by `make bench-store`; every get was checked by its sum.'
        plots = ''.join(
            f'![{figure}](plots/{figure.replace("+", "-")}.svg)\n'
            for figure in ('put', 'get', 'get+sum')
        )
        section = f'{intro}\n\n{text.strip()}\n\n{plots}'
        replace_section(arguments.write, 'Data path', section)
    print(f'{len(missed)} figures missed, {len(unknown)} of them for no known reason')
    return 1 if unknown else 0


if __name__ == '__main__':
    sys.exit(main())
