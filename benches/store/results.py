"""Puts a text under a heading of a Markdown file.

python benches/store/results.py FILE HEADING TEXT_FILE
"""

from __future__ import annotations

import sys
from pathlib import Path


def replace_section(path: Path, title: str, text: str) -> None:
    """Puts a text under a heading of the second level, in place of what was there."""
    heading = f'## {title}\n'
    old = path.read_text() if path.exists() else '# Results\n'
    before, found, after = old.partition(heading)
    rest = ''
    if found:
        _, next_heading, tail = after.partition('\n## ')
        rest = next_heading + tail
    path.write_text(f'{before.rstrip()}\n\n{heading}\n{text.strip()}\n{rest}')


if __name__ == '__main__':
    replace_section(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]).read_text())
