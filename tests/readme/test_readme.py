"""The programs in the README run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RedisAddress

ROOT = Path(__file__).parents[2]

PROGRAM = re.compile(r'^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?', re.M | re.S)
"""A program, and what it prints if the page shows that right below it."""


def programs() -> list[tuple[int, str, str | None]]:
    page = (ROOT / 'README.md').read_text()
    return [
        (page.count('\n', 0, match.start()) + 1, match.group(1), match.group(2))
        for match in PROGRAM.finditer(page)
    ]


@pytest.mark.parametrize(
    ('line', 'program', 'prints'),
    [pytest.param(*p, id=f'line {p[0]}') for p in programs()],
)
def test_program(
    line: int,
    program: str,
    prints: str | None,
    tmp_path: Path,
    redis_server: RedisAddress,
) -> None:
    script = tmp_path / 'program.py'
    script.write_text(program.replace('6379', str(redis_server.port)))
    result = subprocess.run(
        [sys.executable, script.name],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONWARNINGS': 'error'},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, f'README.md:{line}\n{result.stdout}{result.stderr}'
    if prints is not None:
        assert result.stdout == prints


def test_there_are_programs() -> None:
    assert len(programs()) >= 5


PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in [*ROOT.glob('*.md'), *ROOT.glob('docs/**/*.md')]
)


@pytest.mark.parametrize('page', PAGES)
def test_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = re.findall(r'\]\((?!https?:|#)([^)#]+)', text)
    assert [
        link for link in links if not (ROOT / page).parent.joinpath(link).exists()
    ] == []
