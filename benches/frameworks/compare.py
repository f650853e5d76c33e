"""Runs the example of each framework and makes a table of the times that it tells.

    python benches/frameworks/compare.py [--megabytes 20] [--tasks 8] [--write benches/RESULTS.md]

The examples measure themselves: the same job with its data as it is and by proxy, the shortest of
three runs each, after one to warm up. A framework that does not run here has no times and its
reason; then the program ends with 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'benches' / 'store'))

from machine import machine  # noqa: E402
from results import replace_section  # noqa: E402

FRAMEWORKS = {
    'concurrent.futures': ('`ProcessPoolExecutor`', ''),
    'multiprocessing': ('`multiprocessing.Pool`', ''),
    'joblib': ('joblib `Parallel`, without its memory mapping', 'joblib'),
    'dask': ('Dask `Client`', 'distributed'),
    'ray': ('Ray tasks', 'ray'),
    'ray-actors': ('Ray actors', 'ray'),
    'parsl': ('Parsl `HighThroughputExecutor`', 'parsl'),
    'parsl-hook': ('the same, arguments by its `ProxyStoreSerializer`', 'parsl'),
    'globus-compute': ("Globus Compute's serializers", 'globus-compute-sdk'),
    'mpi': ('`mpi4py.futures`, three processes', 'mpi4py'),
    'torch': ('PyTorch `DataLoader`, two workers', 'torch'),
}
MOST_SECONDS = 120


def activated() -> dict[str, str]:
    """The environment, with this interpreter's programs first: Parsl starts some by their names."""
    scripts = str(Path(sys.executable).parent)
    return {**os.environ, 'PATH': os.pathsep.join([scripts, os.environ['PATH']])}


def measure(name: str, options: list[str]) -> dict[str, float]:
    """Both times of an example, in seconds."""
    command = [sys.executable]
    if name == 'mpi':
        mpiexec = str(Path(sys.executable).with_name('mpiexec'))
        command = [mpiexec, '-n', '3', sys.executable, '-m', 'mpi4py.futures']
    ran = subprocess.run(
        [*command, str(ROOT / 'examples' / 'frameworks.py'), name, '--json', *options],
        cwd=ROOT,
        env=activated(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=MOST_SECONDS,
    )
    lines = [line for line in ran.stdout.splitlines() if line.startswith('{')]
    if ran.returncode != 0 or not lines:
        last = (ran.stderr or ran.stdout).strip().splitlines()[-1:]
        raise RuntimeError(' '.join(last) or f'it ended with {ran.returncode}')
    times: dict[str, float] = json.loads(lines[-1])
    return times


def version_of(package: str) -> str:
    """The installed one."""
    try:
        return version(package) if package else ''
    except PackageNotFoundError:
        return 'not installed'


def main() -> int:
    """Runs them all, one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--megabytes', type=int, default=20, help='of each array')
    parser.add_argument('--tasks', type=int, default=8)
    parser.add_argument('--only', choices=FRAMEWORKS, nargs='*', default=FRAMEWORKS)
    parser.add_argument('--write', type=Path, help='put the table into this file')
    arguments = parser.parse_args()
    options = [f'--megabytes={arguments.megabytes}', f'--tasks={arguments.tasks}']
    lines = [
        '| framework | version | as it is, s | by proxy, s | times as fast |',
        '|---|---|---|---|---|',
    ]
    failed = False
    for name in arguments.only:
        title, package = FRAMEWORKS[name]
        print(name, file=sys.stderr, flush=True)
        try:
            times = measure(name, options)
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            failed = True
            cells = f'does not run here: {error} | | '
        else:
            plain, proxied = times['as it is'], times['by proxy']
            cells = f'{plain:.3f} | {proxied:.3f} | {plain / proxied:.1f}'
        lines.append(f'| {title} | {version_of(package)} | {cells} |')
    table = '\n'.join(lines)
    print(table)
    if arguments.write:
        about = (
            f'`make bench-frameworks` on {machine()}. {arguments.tasks} tasks on two workers; each '
            f'gets an array of {arguments.megabytes} MB that all share, and returns one as large. '
            "By proxy they lie in this machine's shared memory. Measured by "
            '`examples/frameworks.py`: the shortest of three runs after one to warm up, each with '
            'putting, using and evicting all objects. As it is means as an argument: that one can '
            "scatter it (Dask), put it into the framework's own store (Ray) or map it (joblib) is "
            'in [the guide](../docs/frameworks.md).'
        )
        replace_section(arguments.write, 'Frameworks', f'{about}\n\n{table}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
