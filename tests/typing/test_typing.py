"""Pairs of a program and what the type checkers say about it.

`PROXYSTORE_UPDATE_EXPECTED=1` writes what they say instead of comparing: read
the difference before it is kept.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CASES = sorted(path.stem for path in (HERE / 'cases').glob('*.py'))
MYPY = '[mypy]\nstrict = True\nwarn_unused_ignores = True\n'
CONFIGURATIONS = {
    'mypy': MYPY,
    'mypy-plugin': MYPY + 'plugins = proxystore.mypy_plugin\n',
}


@pytest.fixture(scope='session')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs, away from our own configuration."""
    folder = tmp_path_factory.mktemp('typing')
    for path in (HERE / 'cases').glob('*.py'):
        shutil.copy(path, folder)
    return folder


@cache
def mypy(folder: Path, checker: str) -> str:
    config = folder / f'{checker}.ini'
    config.write_text(CONFIGURATIONS[checker])
    ran = subprocess.run(
        [
            *(sys.executable, '-m', 'mypy', '--config-file', config.name),
            *('--no-error-summary', '--hide-error-context', '--no-pretty'),
            *('--cache-dir', f'cache-{checker}', '--show-column-numbers'),
            *(f'{case}.py' for case in CASES),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    # Releases differ in whether they name the module of a builtin.
    return ran.stdout.replace('builtins.', '')


@cache
def pyright(folder: Path) -> str:
    (folder / 'pyrightconfig.json').write_text('{"typeCheckingMode": "strict"}')
    ran = subprocess.run(
        [
            *(sys.executable, '-m', 'pyright', '--outputjson'),
            *('--pythonpath', sys.executable, *(f'{case}.py' for case in CASES)),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert ran.returncode in (0, 1), ran.stdout + ran.stderr
    lines = []
    for found in json.loads(ran.stdout)['generalDiagnostics']:
        # Strictness about what is not known tells of Any, which is shown.
        if found.get('rule', '').startswith('reportUnknown'):
            continue
        name = Path(found['file']).name
        line = found['range']['start']['line'] + 1
        message = found['message'].partition('\n')[0]
        lines.append(f'{name}:{line}: {found["severity"]}: {message}\n')
    return ''.join(lines)


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('checker', ['mypy', 'mypy-plugin', 'pyright'])
def test_what_a_checker_says(folder: Path, case: str, checker: str) -> None:
    said = pyright(folder) if checker == 'pyright' else mypy(folder, checker)
    about_it = [line for line in said.splitlines() if line.startswith(f'{case}.py:')]
    # Columns are there for people.
    got = [re.sub(r'^(\w+\.py:\d+):\d+:', r'\1:', line) for line in about_it]
    expected = HERE / 'cases' / f'{case}.{checker}'
    if os.environ.get('PROXYSTORE_UPDATE_EXPECTED'):
        expected.write_text(''.join(f'{line}\n' for line in got))
    assert got == expected.read_text().splitlines()


def test_every_name_of_the_plugin() -> None:
    from mypy.options import Options
    from proxystore import mypy_plugin

    made = mypy_plugin.plugin('1.15')(Options())
    assert isinstance(made, mypy_plugin.ProxyStoreMypyPlugin)
    assert made.get_attribute_hook('proxystore.store.Store.name') is None
    for name in mypy_plugin.PROXY_TYPES:
        hook = made.get_attribute_hook(f'{name}.attribute')
        assert hook is not None
        assert hook.func is mypy_plugin.proxy_attribute_access  # type: ignore[attr-defined]
    assert mypy_plugin.T is not None
    assert mypy_plugin.P is not None
