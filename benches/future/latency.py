"""Times a future, from `set_result` to resolved in another process, beside ProxyStore 1.1.

    python benches/future/latency.py [--write benches/RESULTS.md]

Both run with the default polling interval of a second, in virtual environments of their own
(`.build/bench`). Then what a reference costs beside a proxy.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / 'store'))

from compare import environment  # noqa: E402
from compare import redis_server  # noqa: E402
from machine import machine  # noqa: E402
from results import replace_section  # noqa: E402

NAMES = {
    'default': 'shared memory, the embedded default',
    'file': 'files',
    'redis': 'Redis',
    'local': 'one process, two threads',
}


def run(python: str, program: str, *arguments: str) -> Any:
    command = [python, str(HERE / program), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
    if ran.returncode:
        sys.exit(f'{" ".join(command)} failed:\n{ran.stderr}')
    return json.loads(ran.stdout)


def latencies(older: str, redis: str) -> str:
    lines = [
        '| connector | proxystore, median | longest of 60 | 1.1, median | longest of 8 | 1.1 / |',
        '|---|---|---|---|---|---|',
    ]
    for kind, name in NAMES.items():
        figures = []
        # Who polls gets all of the polling interval to be asked in; who is told does not poll.
        for python, rounds, spread in ((sys.executable, 60, 0.05), (older, 8, 1.0)):
            if kind == 'default' and python == older:
                continue  # it has none
            place = tempfile.mkdtemp(
                dir='/dev/shm' if Path('/dev/shm').is_dir() else None
            )
            where = redis if kind == 'redis' else place
            times = run(python, 'pair.py', kind, where, str(rounds), str(spread))
            shutil.rmtree(place, ignore_errors=True)
            figures.append((statistics.median(times), max(times)))
        ours, *others = figures
        cells = [name, f'{ours[0]:.2f} ms', f'{ours[1]:.2f} ms']
        if others:
            (median, longest) = others[0]
            cells += [
                f'{median:.0f} ms',
                f'{longest:.0f} ms',
                f'{median / ours[0]:.0f}',
            ]
        else:
            cells += ['-', '-', '-']
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def references(older: str) -> str:
    ours, theirs = (run(python, 'references.py') for python in (sys.executable, older))
    lines = [
        '| operation | Proxy | OwnedProxy | RefProxy | 1.1: Proxy | OwnedProxy | RefProxy |',
        '|---|---|---|---|---|---|---|',
    ]
    for case, row in ours.items():
        cells = [*row, *theirs[case]]
        shown = ['-' if one is None else f'{one:,.0f} ns' for one in cells]
        lines.append('| ' + ' | '.join([case, *shown]) + ' |')
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--write', type=Path, help='put the tables into this file')
    arguments = parser.parse_args()
    older = environment('v1')
    with tempfile.TemporaryDirectory() as folder:
        server, redis = redis_server(Path(folder))
        try:
            waiting = latencies(older, redis)
        finally:
            server.terminate()
            server.wait()
    text = (
        f'On {machine()}, objects in shared memory (tmpfs). From just before `set_result` until the consumer, which was waiting, has '
        'the result; both with the default polling interval of 1 s, and for 1.1 set at a random '
        'moment of that second.\n\n'
        f'{waiting}\n\nWhat a reference of `proxystore.store.ref` costs beside a proxy, resolved; '
        f'nanoseconds, the minimum of 30 interleaved rounds.\n\n{references(older)}'
    )
    print(text)
    if arguments.write:
        section = f'Made by `make bench-future`. {text}'
        replace_section(arguments.write, 'Futures and references', section)


if __name__ == '__main__':
    main()
