"""Times endpoints beside ProxyStore 1.1's and plain TCP, and says which figures are reached.

    python benches/endpoint/compare.py [--rounds 7] [--without-older] [--out .build/endpoints.md]
    python benches/endpoint/compare.py --without-older --parts transfers beside

Everything runs on loopback: two endpoints for each way, a relay with TLS, two endpoints and a relay of ProxyStore
1.1 (installed into .build/bench) and a bare pair of TCP sockets. Rounds are interleaved: one get of each, then the
next round. What comes is checked by its sum. Takes about four minutes.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import bars
import older
import plain
import plot
import report
from sites import Sites
from sites import slug

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BEGAN = time.monotonic()
BUILD = ROOT / '.build' / 'bench'
LARGE = 100_000_000
FAR = 200_000_000
SMALL = 1000
SMALL_REPEATS = 200
BESIDE = 5.0
"""Seconds of small gets beside large ones."""
LONGEST = 600
"""Seconds of a whole run: a peer of 1.1 that hangs would hold it up for ever."""
DIRECT = ('tls', 'quic')
WAYS = ('tls', 'quic', 'relay')
PARTS = ['memory', 'transfers', 'local', 'beside', 'cold', 'distant']
"""Memory comes first: nothing has been moved before."""


class Run:
    """One run: its processes, and what was measured."""

    def __init__(self, home: Path, rounds: int, with_older: bool) -> None:
        self.rounds = rounds
        self.samples: report.Samples = defaultdict(lambda: defaultdict(list))
        folder = older.environment(BUILD)
        (home / 'ours').mkdir()
        (home / 'older').mkdir()
        script = [str(folder / 'bin' / 'python'), str(HERE / 'certificate.py')]
        subprocess.run([*script, str(home)], check=True)
        self.plain = plain.Plain(LARGE)
        self.sites = Sites(home / 'ours', home)
        self.older: older.Older | None = None
        if with_older:
            self.older = older.Older(home / 'older', folder)

    def say(self, what: str) -> None:
        print(
            f'{time.monotonic() - BEGAN:4.0f} s  {what} ...',
            file=sys.stderr,
            flush=True,
        )

    def add(self, figure: str, system: str, *values: float) -> None:
        self.samples[figure][system].extend(values)

    def measure(self, parts: list[str]) -> None:
        self.say('starting')
        self.sites.open()
        for daemon in self.sites.daemons.values():
            daemon.note_idle()
        holder = self.sites.clients['holder']
        self.large = holder.ask(do='put', size=LARGE, as_array=True)
        self.small = holder.ask(do='put', size=SMALL)
        if self.older:
            self.older.open()
            for daemon in self.older.daemons.values():
                daemon.note_idle()
            there = self.older.clients['there']
            self.old_large = there.ask(do='put', size=LARGE)
            self.old_small = there.ask(do='put', size=SMALL)
        for part in parts:
            getattr(self, part)()

    def large_get(self, way: str) -> tuple[float, float]:
        """Get the large object; when it was there, and when it was read."""
        key = self.large['key']
        got = self.sites.clients[way].ask(do='get', key=key, as_array=True)
        if got['sum'] != self.large['sum']:
            raise RuntimeError(f'other bytes came over {way}')
        return got['times'][0], got['used'][0]

    def old_get(self) -> tuple[float, float]:
        assert self.older
        got = self.older.clients['here'].ask(do='get', key=self.old_large['key'])
        if got['sum'] != self.old_large['sum']:
            raise RuntimeError('other bytes came from 1.1')
        return got['times'][0], got['used'][0]

    def memory(self) -> None:
        self.say('memory of the first gets')
        for way in WAYS:
            self.sites.clients[way].ask(do='get', key=self.small['key'])
            self.large_get(way)
            if way not in self.path(way):
                raise RuntimeError(f'not over {way}: {self.path(way)}')
            peak = self.sites.daemons[way].peak_memory()
            self.add('memory, who gets', way, peak / LARGE)
        peak = self.sites.daemons['holder'].peak_memory()
        self.add('memory, who gives', 'tls', peak / LARGE)
        if self.older:
            self.older.clients['here'].ask(do='get', key=self.old_small['key'])
            self.old_get()
            for name, figure in (('here', 'gets'), ('there', 'gives')):
                peak = self.older.daemons[name].peak_memory()
                self.add(f'memory, who {figure}', 'older', peak / LARGE)

    def path(self, way: str) -> str:
        text = self.sites.path(way)
        return text.replace('direct-tls', 'tls')

    def transfers(self) -> None:
        self.say('gets of peers')
        for turn in range(self.rounds):
            self.add('peer get 100 MB', 'plain', self.plain.get(True))
            for way in WAYS:
                pair = (self.sites.daemons[way], self.sites.daemons['holder'])
                before = sum(daemon.processor_time() for daemon in pair)
                there, read = self.large_get(way)
                spent = sum(daemon.processor_time() for daemon in pair) - before
                self.add('peer get 100 MB', way, there)
                self.add('whole path 100 MB', way, read)
                self.add('processor s/GB', way, spent * 1e9 / LARGE)
                self.small_gets(way)
            for _ in range(SMALL_REPEATS // self.rounds):
                self.add('peer get 1 kB', 'plain', self.plain.get(False))
            if self.older and turn % 2 == 0:
                pair_1 = list(self.older.daemons.values())
                before = sum(daemon.processor_time() for daemon in pair_1)
                there, read = self.old_get()
                spent = sum(daemon.processor_time() for daemon in pair_1) - before
                self.add('peer get 100 MB', 'older', there)
                self.add('whole path 100 MB', 'older', read)
                self.add('processor s/GB', 'older', spent * 1e9 / LARGE)
                ask = {'key': self.old_small['key'], 'repeats': 30}
                got = self.older.clients['here'].ask(do='get', **ask)
                self.add('peer get 1 kB', 'older', *got['times'])

    def small_gets(self, way: str) -> None:
        ask: dict[str, Any] = {
            'key': self.small['key'],
            'repeats': SMALL_REPEATS // self.rounds,
        }
        got = self.sites.clients[way].ask(do='get', **ask)
        self.add('peer get 1 kB', way, *got['times'])

    def local(self) -> None:
        self.say('clients of an endpoint on their own machine')
        systems: list[tuple[str, Any]] = [('ours', self.sites.clients['holder'])]
        if self.older:
            systems.append(('older', self.older.clients['there']))
        for turn in range(self.rounds):
            for name, client in systems:
                for size, label, repeats in (
                    (SMALL, '1 kB', 50),
                    (LARGE, '100 MB', 1 if name == 'older' else 3),
                ):
                    put = client.ask(do='put', size=size, repeats=repeats)
                    got = client.ask(do='get', key=put['key'], repeats=repeats)
                    client.ask(do='evict', key=put['key'])
                    if got['sum'] != put['sum']:
                        raise RuntimeError(f'{name} returned other bytes')
                    if turn:  # the first round warms up
                        self.add(f'local put {label}', name, *put['times'])
                        self.add(f'local get {label}', name, *got['times'])
            key = self.large['key']
            got = systems[0][1].ask(do='get', key=key, repeats=3, as_array=True)
            self.add('local get 100 MB, mapped and read', 'ours', *got['used'])

    def beside(self) -> None:
        self.say('small gets beside large ones')
        for way in WAYS:
            other = self.sites.client(way)
            other.tell(do='loop', key=self.large['key'], seconds=BESIDE, as_array=True)
            time.sleep(0.2)
            ask = {'key': self.small['key'], 'seconds': BESIDE - 0.4, 'most': 2000}
            got = self.sites.clients[way].ask(do='sample', **ask)
            bulk = other.answer()['count'] * LARGE / BESIDE
            other.stop()
            self.add('1 kB beside 100 MB', way, *got['times'])
            self.add('MB/s beside', way, bulk / 1e6)
        if self.older:
            bulk_client = self.older.client('here')
            bulk_client.tell(do='loop', key=self.old_large['key'], seconds=BESIDE)
            time.sleep(0.2)
            ask = {'key': self.old_small['key'], 'seconds': BESIDE, 'most': 2000}
            got = self.older.clients['here'].ask(do='sample', **ask)
            bulk_client.answer()
            bulk_client.stop()
            self.add('1 kB beside 100 MB', 'older', *got['times'])

    def cold(self) -> None:
        self.say('first gets of endpoints that have just started')
        for _ in range(5):
            for way in WAYS:
                self.add('cold 1 kB', way, self.sites.cold(way, self.small['key']))
        for _ in range(2 if self.older else 0):
            assert self.older
            self.add('cold 1 kB', 'older', self.older.cold(self.old_small['key']))

    def distant(self) -> None:
        self.say('over a link of 50 ms')
        put = self.sites.clients['distant'].ask(do='put', size=FAR, as_array=True)
        small = self.sites.clients['distant'].ask(do='put', size=SMALL)
        for turn in range(4):
            for way in DIRECT:
                client = self.sites.clients[slug(f'far {way}')]
                got = client.ask(do='get', key=small['key'], repeats=2)
                self.add('link 1 kB', way, *got['times'][-1:])
                got = client.ask(do='get', key=put['key'], as_array=True)
                if got['sum'] != put['sum']:
                    raise RuntimeError('other bytes came over the link')
                figure = 'link 200 MB' if turn else 'link 200 MB, the first'
                self.add(figure, way, got['times'][0])

    def stop(self) -> None:
        self.sites.stop()
        self.plain.stop()
        if self.older:
            self.older.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--rounds', type=int, default=7, help='of large gets')
    parser.add_argument(
        '--without-older', action='store_true', help='without ProxyStore 1.1'
    )
    parser.add_argument(
        '--parts', nargs='+', choices=PARTS, help='these alone, and no verdict'
    )
    parser.add_argument('--out', type=Path, help='write the report here as well')
    arguments = parser.parse_args()
    # What is started here is stopped, too, whatever hangs.
    for ending in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(ending, lambda *_: sys.exit('stopped before the end'))
    signal.alarm(LONGEST)
    with tempfile.TemporaryDirectory(prefix='proxystore-bench-') as home:
        run = Run(Path(home), arguments.rounds, not arguments.without_older)
        try:
            run.measure(arguments.parts or PARTS)
        finally:
            run.stop()
    medians = {
        figure: {name: statistics.median(values) for name, values in systems.items()}
        for figure, systems in run.samples.items()
    }
    if arguments.parts:
        print(report.tables(run.samples, medians))
        return 0
    verdicts, missed = bars.judge(run.samples, medians)
    text = f'{report.tables(run.samples, medians)}\n\n{verdicts}'
    print(text)
    print(f'{(time.monotonic() - BEGAN) / 60:.1f} minutes', file=sys.stderr)
    if arguments.out:
        plot.draw(medians, ROOT / 'benches' / 'plots' / 'endpoints.svg')
        picture = '![endpoints](plots/endpoints.svg)'
        arguments.out.write_text(f'{report.INTRODUCTION}\n\n{text}\n\n{picture}\n')
    print(f'{missed} figures missed' if missed else 'every figure reached')
    return 0


if __name__ == '__main__':
    sys.exit(main())
