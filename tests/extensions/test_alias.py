"""`proxystore.ex` stands for the package `proxystore_ex`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(program: str, *folders: Path) -> str:
    head = f'import sys; sys.path[:0] = {[str(folder) for folder in folders]!r}\n'
    ran = subprocess.run(
        [sys.executable, '-c', head + program],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture
def extensions(tmp_path: Path) -> Path:
    package = tmp_path / 'proxystore_ex' / 'connectors'
    package.mkdir(parents=True)
    (tmp_path / 'proxystore_ex' / '__init__.py').write_text('answer = 42\n')
    (package / '__init__.py').write_text('')
    (package / 'daos.py').write_text(
        'import importlib\n'
        'class Connector: ...\n'
        'def sibling(): return importlib.import_module(".other", __package__)\n'
    )
    (package / 'other.py').write_text('import nowhere_at_all\n')
    return tmp_path


def test_modules_are_the_same_objects(extensions: Path) -> None:
    program = (
        'import proxystore.ex as ex\n'
        'assert ex.answer == 42 and "answer" in dir(ex)\n'
        'import proxystore.ex.connectors.daos as here\n'
        'import proxystore_ex.connectors.daos as there\n'
        'assert here is there\n'
        'assert here.__name__ == here.__spec__.name == "proxystore_ex.connectors.daos"\n'
        'from proxystore.ex.connectors.daos import Connector\n'
        'import pickle, importlib\n'
        'assert pickle.loads(pickle.dumps(Connector)) is there.Connector\n'
        'importlib.reload(there)\n'
        'for name in ("proxystore.ex.nothing", "proxystore.ex.connectors.other"):\n'
        '    try: importlib.import_module(name)\n'
        '    except ModuleNotFoundError as error: print(error.name)\n'
        'try: ex.nothing\n'
        'except AttributeError: print("no attribute")\n'
    )
    assert run(program, extensions).split('\n') == [
        'proxystore.ex.nothing',
        'nowhere_at_all',
        'no attribute',
    ]


def test_without_the_package() -> None:
    program = 'try: import proxystore.ex\nexcept ImportError as error: print(error, error.name)'
    said = run(program)
    assert "pip install 'proxystore[extensions]'" in said
    assert said.endswith('proxystore_ex')
