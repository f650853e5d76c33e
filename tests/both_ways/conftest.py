"""Programs of the other language."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope='session')
def rust_program() -> Callable[[str], str]:
    """Builds an example of the crate, if need be, and returns its path."""

    def build(name: str) -> str:
        # One set of features for all, so that the crate is built once.
        command = ['cargo', 'build', '--quiet', '-p', 'proxystore']
        command += ['--features', 'arrow,async', '--example', name]
        subprocess.run(command, cwd=ROOT, check=True)
        metadata = ['cargo', 'metadata', '--no-deps', '--format-version', '1']
        output = subprocess.run(metadata, cwd=ROOT, check=True, stdout=subprocess.PIPE)
        target = Path(json.loads(output.stdout)['target_directory'])
        return str(target / 'debug' / 'examples' / name)

    return build
