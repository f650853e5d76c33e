"""Prints what `cargo bench -p proxystore --bench store` measured, as Markdown.

python benches/rust/table.py [TARGET_DIRECTORY]
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / 'store'))

from machine import processor

GROUPS = ('1 kB', '100 MB')
# Group, what is measured, the bar, and what it is measured against (none: the clock, in ns).
BARS = (
    ('1 kB', 'memory put', 300, None),
    ('1 kB', 'memory get', 300, None),
    ('1 kB', 'file put', 1.1, 'bare open, write, close'),
    ('1 kB', 'file get', 1.1, 'bare open, read, close'),
    ('100 MB', 'file put', 1.1, 'bare open, write, close'),
    ('100 MB', 'file get', 120_000, None),
    ('100 MB', 'file view and sum', 1.2, 'bare sum'),
)


def medians(target: Path) -> dict[str, dict[str, float]]:
    """Medians in ns, by group and by what was measured."""
    found: dict[str, dict[str, float]] = {}
    for group in GROUPS:
        for path in sorted((target / 'criterion' / group).glob('*/new/estimates.json')):
            name = path.parents[1].name
            median = json.loads(path.read_text())['median']['point_estimate']
            found.setdefault(group, {})[name] = median
    return found


def shown(nanoseconds: float) -> str:
    """A time with its unit and three digits."""
    for limit, divisor, unit in ((1e3, 1, 'ns'), (1e6, 1e3, 'µs'), (1e9, 1e6, 'ms')):
        if nanoseconds < limit:
            return f'{nanoseconds / divisor:.3g} {unit}'
    return f'{nanoseconds / 1e9:.3g} s'


def main(target: Path) -> int:
    """Prints both tables."""
    times = medians(target)
    if not times:
        print(
            f'nothing was measured below {target}: run `make bench-rust`',
            file=sys.stderr,
        )
        return 1
    print(
        f'Medians on {processor()}, Linux {platform.release()}, without the interpreter.\n'
    )
    print('| | ' + ' | '.join(GROUPS) + ' |')
    print('|---|' + '---|' * len(GROUPS))
    for name in times[GROUPS[0]]:
        print(
            f'| {name} | '
            + ' | '.join(shown(times[group][name]) for group in GROUPS)
            + ' |'
        )
    print('\n| figure | to reach | measured | |\n|---|---|---|---|')
    for group, name, bar, against in BARS:
        measured = times[group][name]
        if against is None:
            wanted, got, holds = f'<= {shown(bar)}', shown(measured), measured <= bar
        else:
            ratio = measured / times[group][against]
            wanted, got, holds = f'<= {bar}x {against}', f'{ratio:.2f}x', ratio <= bar
        print(f'| {name}, {group} | {wanted} | {got} | {"" if holds else "missed"} |')
    return 0


if __name__ == '__main__':
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else 'target')))
