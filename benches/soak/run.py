"""Many processes put, pass, resolve and evict objects of all sizes for minutes: nothing may grow.

    python benches/soak/run.py [--minutes 10] [--processes 8] [--url file:///dev/shm/soak]

Looks at every process's private memory and descriptors, and at what is left in the store at the
end. Exits 1 if anything grew, was left, or arrived wrong. `--write FILE` puts a table and a plot
there.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / 'benches' / 'store'))

import job  # noqa: E402
from results import replace_section  # noqa: E402

TOLERATED_MB = 48
"""Most growth of one process's private memory: what it holds differs from moment to moment, by
two of the largest objects and what an allocator keeps of them."""
TOLERATED_DESCRIPTORS = 4
"""Most growth of one process's descriptors; what is being read just now has some."""


def measure(url: str, minutes: float, processes: int, every: float) -> list[job.Sample]:
    """Runs the processes and gives their samples."""
    context = multiprocessing.get_context('spawn')
    inboxes = [context.Queue(32) for _ in range(processes)]
    results = context.Queue()
    until = time.time() + minutes * 60
    workers = [
        context.Process(
            target=job.run, args=(number, url, until, inboxes, results, every)
        )
        for number in range(processes)
    ]
    for one in workers:
        one.start()
    samples: list[job.Sample] = []
    left = processes
    while left:
        # Whoever dies never says that it is done.
        sample = results.get(timeout=minutes * 60 + 120)
        if sample is None:
            left -= 1
        else:
            samples.append(sample)
            if len(samples) % (processes * 6) == 0:
                done = 1 - max(0.0, until - time.time()) / (minutes * 60)
                print(f'{done:4.0%}', file=sys.stderr)
    for one in workers:
        one.join(60)
        if one.exitcode != 0:
            raise RuntimeError(f'a process ended with {one.exitcode}')
    return samples


def by_process(samples: list[job.Sample]) -> dict[int, list[job.Sample]]:
    found = defaultdict(list)
    for sample in samples:
        found[sample.process].append(sample)
    return found


def thirds(values: list[int]) -> tuple[float, float]:
    """Medians of the second and of the last third: the first one is the start."""
    third = len(values) // 3
    return statistics.median(values[third : 2 * third]), statistics.median(
        values[-third:]
    )


def left_in(url: str) -> int:
    """Objects that are still there."""
    if url.startswith('file://'):
        folder = Path(url.removeprefix('file://'))
        if not folder.exists():
            return 0
        return sum(
            1
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith('.proxystore')
        )
    import redis

    return len(list(redis.Redis.from_url(url).scan_iter('*')))


def judge(samples: list[job.Sample], left: int, tolerated: float) -> tuple[str, bool]:
    """A table of each process, and whether all is well."""
    lines = [
        '| process | operations | GB moved | private MB, second third | last third | descriptors | wrong |',
        '|---|---|---|---|---|---|---|',
    ]
    well = left == 0
    for number, of_one in sorted(by_process(samples).items()):
        before, after = thirds([sample.private for sample in of_one])
        fds_before, fds_after = thirds([sample.descriptors for sample in of_one])
        last = of_one[-1]
        grew = (
            after - before > tolerated * 1e6
            or fds_after - fds_before > TOLERATED_DESCRIPTORS
        )
        well = well and not grew and last.wrong == 0
        lines.append(
            f'| {number} | {last.operations} | {last.bytes_moved / 1e9:.1f} | {before / 1e6:.0f} '
            f'| {after / 1e6:.0f}{" **grew**" if grew else ""} | {fds_before:.0f}, {fds_after:.0f} | {last.wrong} |'
        )
    lines += ['', f'Objects left in the store: {left}.']
    return '\n'.join(lines), well


def draw(samples: list[job.Sample], path: Path) -> None:
    """Throughput, private memory and descriptors over time."""
    import matplotlib

    matplotlib.use('svg')
    matplotlib.rcParams['svg.hashsalt'] = 'proxystore'
    import matplotlib.pyplot as plt

    began = min(sample.seconds for sample in samples)
    picture, (speed, memory, files) = plt.subplots(3, 1, figsize=(7, 7), sharex=True)
    moved: dict[int, int] = defaultdict(int)
    for _, of_one in sorted(by_process(samples).items()):
        times = [(sample.seconds - began) / 60 for sample in of_one]
        memory.plot(times, [sample.private / 1e6 for sample in of_one], linewidth=1)
        files.plot(times, [sample.descriptors for sample in of_one], linewidth=1)
        for earlier, later in itertools.pairwise(of_one):
            slot = int((later.seconds - began) / 10)
            moved[slot] += later.bytes_moved - earlier.bytes_moved
    slots = sorted(moved)[:-1]
    speed.plot([slot / 6 for slot in slots], [moved[slot] / 1e9 / 10 for slot in slots])
    speed.set(ylabel='GB/s, all processes', ylim=(0, None))
    memory.set(ylabel='private MB of each', ylim=(0, None))
    files.set(ylabel='descriptors of each', ylim=(0, None), xlabel='minutes')
    for axes in (speed, memory, files):
        axes.grid(True, alpha=0.3)
    picture.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, metadata={'Date': None})


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--minutes', type=float, default=10)
    parser.add_argument('--processes', type=int, default=8)
    parser.add_argument('--url', help='of the store; files in shared memory')
    parser.add_argument('--every', type=float, default=2, help='seconds between looks')
    parser.add_argument(
        '--tolerate',
        type=float,
        default=TOLERATED_MB,
        help='MB by which the private memory of a process may differ',
    )
    parser.add_argument('--write', type=Path, help='put the table into this file')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix='proxystore-soak-', dir='/dev/shm') as own:
        url = arguments.url or f'file://{own}/objects'
        samples = measure(url, arguments.minutes, arguments.processes, arguments.every)
        table, well = judge(samples, left_in(url), arguments.tolerate)
    total = sum(of_one[-1].bytes_moved for of_one in by_process(samples).values())
    text = (
        f'{arguments.processes} processes for {arguments.minutes:g} minutes on 2 cores, '
        f'objects of 100 B to 20 MB (arrays, bytes, tables, trees) over '
        f'{"files in shared memory" if url.startswith("file") else url.partition(":")[0]}: '
        f'{total / 1e9:.0f} GB moved. Medians of the second and the last third of the time.\n\n'
        f'{table}\n'
    )
    print(text)
    if arguments.write:
        draw(samples, ROOT / 'benches' / 'plots' / 'soak.svg')
        intro = 'Made by `make soak`.\n\n![over time](plots/soak.svg)\n\n'
        replace_section(arguments.write, 'Soak', intro + text)
    return 0 if well else 1


if __name__ == '__main__':
    sys.exit(main())
