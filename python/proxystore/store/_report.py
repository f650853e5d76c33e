"""A page about a trace: one file of HTML that loads nothing from elsewhere."""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from proxystore.store._trace import Operation
from proxystore.store._trace import Process
from proxystore.store._trace import Trace
from proxystore.utils.data import bytes_to_readable

_KINDS = {
    'proxy': 'proxy',
    'put': 'put',
    'resolve': 'resolve',
    'get': 'get',
    'hit': 'get, in the cache',
    'evict': 'evict',
    'other': 'other',
}
_UNITS = 10_000
"""Width of a lane, in its own units."""
_NARROWEST = 9
"""Narrowest bar that is seen; narrower neighbours are drawn as one."""
_ROUNDING = 1000
"""Nanoseconds by which an operation may seem to outlast the one around it."""
_MOST_LANES = 60
_MOST_LEVELS = 4
_LEVEL = 13


def write_report(trace: Trace, path: str | os.PathLike[str], note: str) -> None:
    """Write the page.

    Args:
        trace: What it shows.
        path: Path of the page.
        note: Where the trace is from, a sentence.
    """
    page = files('proxystore.store').joinpath('_report.html').read_text('utf-8')
    for place, text in (
        ('summary', _summary(trace)),
        ('tiles', _tiles(trace)),
        ('legend', _legend(trace)),
        ('timeline', _timeline(trace)),
        ('histograms', _histograms(trace)),
        ('table', _table(trace)),
        ('note', escape(note) + _losses(trace)),
    ):
        page = page.replace(f'<!-- {place} -->', text)
    Path(path).write_text(page, 'utf-8')


def _kind(operation: Operation) -> str:
    verb = operation.name.rpartition('.')[2].removesuffix('_batch')
    if verb == 'get':
        return 'hit' if operation.hit else 'get'
    if verb == 'set':
        return 'put'
    return verb if verb in _KINDS else 'other'


def _duration(nanoseconds: float) -> str:
    for unit, factor in (('s', 1e9), ('ms', 1e6), ('µs', 1e3)):
        if nanoseconds >= factor:
            value = nanoseconds / factor
            return f'{value:,.0f} {unit}' if value >= 1000 else f'{value:.3g} {unit}'
    return f'{nanoseconds:.0f} ns'


def _bounds(trace: Trace) -> tuple[int, int]:
    """Return when it begins, and how long it is."""
    first = min((each.start for each in trace.operations), default=0)
    last = max((each.end for each in trace.operations), default=0)
    return first, max(last - first, 1000)


def _count(number: int, noun: str) -> str:
    return f'{number:,} {noun}' + (
        '' if number == 1 else 'es' * (noun[-1] == 's') or 's'
    )


def _summary(trace: Trace) -> str:
    processes = {each.process for each in trace.operations}
    hosts = {process.host for process in processes}
    first, span = _bounds(trace)
    when = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(first / 1e9))
    return (
        f'{_count(len(trace.operations), "operation")} of '
        f'{_count(len(processes), "process")} on {_count(len(hosts), "host")} '
        f'in {_duration(span)}, from {when}'
    )


def _losses(trace: Trace) -> str:
    text = ''
    if trace.damaged:
        text += f' {_count(trace.damaged, "line")} cut off by the end of a process.'
    if trace.cut:
        text += f' The file of {_count(trace.cut, "process")} is full.'
    return text


def _tiles(trace: Trace) -> str:
    by_kind = defaultdict(list)
    for operation in trace.operations:
        by_kind[_kind(operation)].append(operation)
    moved = {
        kind: sum(each.nbytes or 0 for each in by_kind[kind]) for kind in ('put', 'get')
    }
    hits, misses = len(by_kind['hit']), len(by_kind['get'])
    rate = f'{100 * hits / (hits + misses):.0f} %' if hits + misses else 'none'
    tiles = [
        ('put', f'{len(by_kind["put"]):,}', bytes_to_readable(moved['put'], 1)),
        ('got', f'{misses:,}', bytes_to_readable(moved['get'], 1)),
        ('cache hits', rate, f'{hits:,} of {hits + misses:,}'),
    ]
    for kind in ('put', 'resolve'):
        times = sorted(each.took for each in by_kind[kind])
        if times:
            tail = f'95 % below {_duration(_quantile(times, 0.95))}'
            tiles.append((f'median {kind}', _duration(_quantile(times, 0.5)), tail))
    tiles.append(('evicted', f'{len(by_kind["evict"]):,}', ''))
    return ''.join(
        f'<div class="tile"><span>{name}</span><b>{value}</b><small>{more}</small></div>'
        for name, value, more in tiles
    )


def _quantile(ordered: Sequence[int], part: float) -> int:
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]


def _legend(trace: Trace) -> str:
    present = {_kind(operation) for operation in trace.operations}
    return ''.join(
        f'<span class="key"><i class="k-{kind}"></i>{label}</span>'
        for kind, label in _KINDS.items()
        if kind in present
    )


def _timeline(trace: Trace) -> str:
    first, span = _bounds(trace)
    lanes: defaultdict[tuple[Process, int], list[Operation]] = defaultdict(list)
    for operation in trace.operations:
        lanes[operation.process, operation.thread].append(operation)
    kept = sorted(lanes, key=lambda lane: -len(lanes[lane]))[:_MOST_LANES]
    kept.sort(key=lambda lane: (lanes[lane][0].process, lanes[lane][0].start))
    names, tracks = [], []
    before: Process | None = None
    for lane in kept:
        process, thread = lane
        bars, levels = _bars(lanes[lane], first, span)
        height = levels * _LEVEL + 6
        style = f'style="height:{height}px"'
        title = escape(f'{process.program} {process.pid}')
        tip = escape(f'{process.program}, process {process.pid} on {process.host}')
        label = title if process != before else ''
        rule = ' first' if process != before else ''
        more = f'<small>thread {thread}</small>' if thread != process.pid else ''
        names.append(
            f'<div class="name{rule}" {style} data-tip="{tip}">{label}{more}</div>'
        )
        tracks.append(
            f'<svg class="lane{rule}" {style} viewBox="0 0 {_UNITS} {height}" '
            f'preserveAspectRatio="none">{bars}</svg>'
        )
        before = process
    left_out = len(lanes) - len(kept)
    if left_out:
        names.append(f'<div class="name first">and {left_out} quieter threads</div>')
    ticks = ''.join(
        f'<span style="left:{100 * at / span:.3f}%">{_duration(at) if at else "0"}</span>'
        for at in _ticks(span)
    )
    return (
        f'<div class="names"><div class="axis"></div>{"".join(names)}</div>'
        '<div class="scroll"><div class="track">'
        f'<div class="axis">{ticks}</div>{"".join(tracks)}</div></div>'
    )


def _ticks(span: int) -> list[float]:
    step = 10 ** math.floor(math.log10(span))
    for divisor in (1, 2, 5, 10):
        if span / (step / divisor) >= 6:
            step /= divisor
            break
    # None so far to the right that its text would be cut off.
    return [index * step for index in range(int(0.95 * span / step) + 1)]


def _bars(operations: Sequence[Operation], first: int, span: int) -> tuple[str, int]:
    """Return the bars of one thread, and how many lie above one another."""
    open_until: list[int] = []
    levels = 1
    # The last bar of each level and kind: start, end, count, time, text.
    pending: dict[tuple[int, str], list[float | str]] = {}
    drawn: list[str] = []
    for operation in operations:
        # Inside of what has not ended yet, or after it.
        while open_until and (
            open_until[-1] <= operation.start
            or open_until[-1] < operation.end - _ROUNDING
        ):
            open_until.pop()
        level = min(len(open_until), _MOST_LEVELS - 1)
        open_until.append(operation.end)
        levels = max(levels, level + 1)
        start = (operation.start - first) / span * _UNITS
        width = operation.took / span * _UNITS
        kind = _kind(operation)
        last = pending.get((level, kind))
        if last is not None and start <= float(last[1]) and width < _NARROWEST:
            last[1] = max(float(last[1]), start + width, float(last[0]) + _NARROWEST)
            last[2] = int(last[2]) + 1
            last[3] = float(last[3]) + operation.took
            continue
        if last is not None:
            drawn.append(_bar(level, kind, last))
        end = start + max(width, _NARROWEST)
        text = _describe(operation)
        pending[level, kind] = [start, end, 1, operation.took, text]
    drawn.extend(_bar(level, kind, bar) for (level, kind), bar in pending.items())
    return ''.join(drawn), levels


def _bar(level: int, kind: str, bar: Sequence[float | str]) -> str:
    start, end, count, took, text = bar
    if int(count) > 1:
        text = f'{int(count)} \N{MULTIPLICATION SIGN} {_KINDS[kind]}\n{_duration(float(took))} in all'
    x = min(float(start), _UNITS - _NARROWEST)
    return (
        f'<rect class="k-{kind}" x="{x:.1f}" y="{3 + level * _LEVEL}" '
        f'width="{float(end) - float(start):.1f}" height="{_LEVEL - 2}" '
        f'data-tip="{escape(str(text))}"/>'
    )


def _describe(operation: Operation) -> str:
    lines = [f'{operation.name}  {_duration(operation.took)}']
    lines += [f'  {part}  {_duration(took)}' for part, took in operation.parts.items()]
    if operation.nbytes is not None:
        lines.append(bytes_to_readable(operation.nbytes, 1))
    if operation.hit is not None:
        lines.append('in the cache' if operation.hit else 'not in the cache')
    if operation.store:
        lines.append(f'store {operation.store}')
    return '\n'.join(lines)


def _histograms(trace: Trace) -> str:
    by_kind = defaultdict(list)
    sizes = defaultdict(list)
    for operation in trace.operations:
        kind = _kind(operation)
        by_kind[kind].append(operation.took)
        if operation.nbytes:
            sizes[kind].append(operation.nbytes)
    return ''.join(
        (
            _histogram('Time of a put', {'put': by_kind['put']}, _duration),
            _histogram('Time of a resolve', {'resolve': by_kind['resolve']}, _duration),
            _histogram(
                'Bytes of an object',
                {'put': sizes['put'], 'get': sizes['get']},
                lambda value: bytes_to_readable(int(value), 0),
            ),
            _cache_hits(trace),
        )
    )


def _histogram(
    title: str, series: dict[str, list[int]], text: Callable[[float], str]
) -> str:
    values = [max(value, 1.0) for each in series.values() for value in each]
    if not values:
        return _card(title, '<p class="none">There were none.</p>')
    low, high = math.log10(min(values)), math.log10(max(values))
    if high - low < 0.2:
        low, high = low - 0.1, high + 0.1
    bins, width, height, foot = 24, 460, 190, 24
    counts = {}
    for kind, those in series.items():
        places = (
            min(
                bins - 1,
                int((math.log10(max(value, 1.0)) - low) / (high - low) * bins),
            )
            for value in those
        )
        counts[kind] = Counter(places)
    most = max(max(each.values(), default=0) for each in counts.values())
    slot = (width - 40) / bins
    shown = [kind for kind in series if series[kind]]
    parts = []
    for index, kind in enumerate(shown):
        for place, count in sorted(counts[kind].items()):
            tall = max(2.0, count / most * (height - foot - 18))
            x = 36 + place * slot + index * (slot - 2) / len(shown)
            edges = [10 ** (low + (high - low) * (place + at) / bins) for at in (0, 1)]
            tip = f'{count:,} \N{MULTIPLICATION SIGN} {_KINDS[kind]}\n{text(edges[0])} to {text(edges[1])}'
            parts.append(
                f'<rect class="k-{kind}" rx="1.5" x="{x:.1f}" '
                f'y="{height - foot - tall:.1f}" width="{(slot - 2) / len(shown):.1f}" '
                f'height="{tall:.1f}" data-tip="{escape(tip)}"/>'
            )
    for step in range(5):
        x = 36 + (width - 40) * step / 4
        anchor = ('start', 'middle', 'middle', 'middle', 'end')[step]
        label = text(10 ** (low + (high - low) * step / 4))
        parts.append(
            f'<text x="{x:.0f}" y="{height - 6}" text-anchor="{anchor}">{label}</text>'
        )
    base = height - foot + 0.5
    parts.append(f'<path class="rule" d="M36 {base}H{width - 4}"/>')
    parts.append(f'<text x="30" y="22" text-anchor="end">{most:,}</text>')
    parts.append(f'<text x="30" y="{base:.0f}" text-anchor="end">0</text>')
    return _card(title, _svg(width, height, parts))


def _cache_hits(trace: Trace) -> str:
    counts: defaultdict[Process, list[int]] = defaultdict(lambda: [0, 0])
    for operation in trace.operations:
        if operation.hit is not None:
            counts[operation.process][operation.hit] += 1
    title = 'Gets that the cache answered'
    if not counts:
        return _card(title, '<p class="none">There were no gets.</p>')
    rows = sorted(counts.items(), key=lambda row: -sum(row[1]))
    most, width, height = sum(rows[0][1]), 460, 190
    parts = []
    for index, (process, (misses, hits)) in enumerate(rows[:7]):
        y = 8 + index * 25
        name = f'{process.program} {process.pid}'
        name = name if len(name) <= 20 else f'…{name[-19:]}'
        parts.append(
            f'<text x="132" y="{y + 12}" text-anchor="end">{escape(name)}</text>'
        )
        x = 140.0
        for kind, count in (('hit', hits), ('get', misses)):
            wide = 240 * count / most
            if count:
                tip = f'{count:,} \N{MULTIPLICATION SIGN} {_KINDS[kind]}'
                parts.append(
                    f'<rect class="k-{kind}" x="{x:.1f}" y="{y}" rx="1.5" '
                    f'width="{max(wide, 2):.1f}" height="16" data-tip="{tip}"/>'
                )
            x += wide
        share = f'{100 * hits / (hits + misses):.0f} %'
        parts.append(f'<text x="{x + 8:.0f}" y="{y + 12}">{share}</text>')
    if len(rows) > 7:
        more = f'and {len(rows) - 7} more processes'
        parts.append(f'<text x="140" y="{height - 4}">{more}</text>')
    return _card(title, _svg(width, height, parts))


def _svg(width: int, height: int, parts: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img">{"".join(parts)}</svg>'


def _card(title: str, content: str) -> str:
    return f'<section class="card"><h2>{title}</h2>{content}</section>'


def _table(trace: Trace) -> str:
    by_name: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in trace.operations:
        by_name[operation.name].append(operation)
    rows = []
    for name in sorted(by_name, key=lambda name: -len(by_name[name])):
        times = sorted(each.took for each in by_name[name])
        nbytes = sum(each.nbytes or 0 for each in by_name[name])
        cells = (
            f'{len(times):,}',
            _duration(sum(times)),
            *(_duration(_quantile(times, part)) for part in (0.5, 0.95)),
            _duration(times[-1]),
            bytes_to_readable(nbytes, 1) if nbytes else '',
        )
        tail = ''.join(f'<td>{cell}</td>' for cell in cells)
        rows.append(f'<tr><th>{escape(name)}</th>{tail}</tr>')
    return ''.join(rows)
