"""Checks every file of the repository: its length, and what it must not name.

One idea per file: beyond the limit a file should be two. Where it should
not, the file is named below with the reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

LIMIT = 500
"""Lines."""

MEASURED = {'.rs', '.py', '.pyi', '.sh'}
"""Which files the limit is for."""

LONGER = {
    'python/proxystore/_core.pyi': 'the stub of one module, whose proxy type has every operator',
    'tests/proxy/operations.py': 'one table: every operation of the language',
    'tests/proxy/targets.py': 'one table: every kind of target',
}
"""Files that may be longer, each with the reason."""

FORBIDDEN = {
    'a path of one machine': re.compile(
        r'(?<![\w.])/(?:root|work|Users/\w+|home/(?!user\b|me\b)\w+)/'
    ),
    'a package index of one site': re.compile(
        r'--(?:extra-)?index-url|^\s*(?:extra-)?index-url\s*=|\[source\.crates-io\]',
        re.MULTILINE,
    ),
    'an address of a private network': re.compile(
        r'\b(?:10\.\d+|192\.168|172\.(?:1[6-9]|2\d|3[01]))\.\d+\.\d+\b'
    ),
}


def tracked() -> list[Path]:
    """Files that are in the repository or about to be."""
    command = ['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard']
    output = subprocess.run(
        command, check=True, cwd=ROOT, stdout=subprocess.PIPE, text=True
    ).stdout
    paths = (ROOT / name for name in output.split('\0') if name)
    return sorted(path for path in paths if path.is_file())


def check(path: Path) -> list[str]:
    """Complaints about one file."""
    try:
        text = path.read_text()
    except UnicodeDecodeError:
        return []
    name = str(path.relative_to(ROOT))
    complaints = []
    lines = text.count('\n')
    if path.suffix in MEASURED:
        if lines > LIMIT and name not in LONGER:
            complaints.append(
                f'{name}: {lines} lines, more than {LIMIT}: make it two, or give '
                'the reason in scripts/check_tree.py'
            )
        if lines <= LIMIT and name in LONGER:
            complaints.append(f'{name}: no longer needs its exception for length')
    if path != Path(__file__).resolve():
        for what, pattern in FORBIDDEN.items():
            match = pattern.search(text)
            if match:
                line = text.count('\n', 0, match.start()) + 1
                complaints.append(f'{name}:{line}: {what}: {match.group()}')
    return complaints


def main() -> int:
    """Prints every complaint."""
    paths = tracked()
    complaints = [complaint for path in paths for complaint in check(path)]
    for name in LONGER:
        if not (ROOT / name).exists():
            complaints.append(f'{name}: has an exception for length and is not there')
    for complaint in complaints:
        print(complaint, file=sys.stderr)
    return int(bool(complaints))


if __name__ == '__main__':
    sys.exit(main())
