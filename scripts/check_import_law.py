"""Checks the import law of ARCHITECTURE.md.

- core <- endpoint <- cli; the Python room uses the core and no more of the
  endpoint crate than its `client` feature; the testkit is for tests only;
- pyo3 is known to the Python room alone;
- what the core needs without any feature is short and listed here; every
  other dependency of it is optional, brought by a feature.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

CORE = 'proxystore'
ENDPOINT = 'proxystore-endpoint'
CLI = 'proxystore-cli'
PYTHON = 'proxystore-python'
TESTKIT = 'proxystore-testkit'

ALLOWED = {
    CORE: set(),
    ENDPOINT: {CORE},
    CLI: {CORE, ENDPOINT},
    PYTHON: {CORE, ENDPOINT},
    TESTKIT: {CORE},
}
"""Which of our crates each of them may use outside its tests."""

ALWAYS = {'libc', 'smallvec', 'xxhash-rust'}
"""What the core needs without any feature."""

COUNTED = {
    'none': ['--no-default-features'],
    'the default ones': [],
    '`tls` alone': ['--no-default-features', '--features', 'tls'],
    '`ndarray` alone': ['--no-default-features', '--features', 'ndarray'],
    '`arrow` alone': ['--no-default-features', '--features', 'arrow'],
}
"""Rows of the table in docs/rust.md, and the features that each counts."""

NAMES_PYO3 = re.compile(r'\bpyo3\b')


def metadata() -> list[dict]:
    """Our packages as cargo sees them."""
    command = ['cargo', 'metadata', '--no-deps', '--format-version', '1']
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(output)['packages']


def check_edges(packages: list[dict]) -> list[str]:
    """Complaints about dependencies between our crates."""
    complaints = []
    ours = {package['name'] for package in packages}
    for package in packages:
        name = package['name']
        if name not in ALLOWED:
            complaints.append(f'{name}: a new crate; say in {__file__} what it may use')
            continue
        for dependency in package['dependencies']:
            used = dependency['name']
            if dependency['kind'] == 'dev':
                continue
            if used in ours and used not in ALLOWED[name]:
                complaints.append(f'{name} must not depend on {used}')
            if used.startswith('pyo3') and name != PYTHON:
                complaints.append(f'{name} must not depend on {used}')
            if (
                name == CORE
                and dependency['kind'] is None
                and not dependency['optional']
                and used not in ALWAYS
            ):
                complaints.append(f'{CORE}: {used} must be optional, behind a feature')
            if (name, used) == (PYTHON, ENDPOINT) and (
                dependency['uses_default_features']
                or set(dependency['features']) != {'client'}
            ):
                complaints.append(f'{PYTHON} may use only the client feature of {used}')
    return complaints


def check_tree(*arguments: str, unwanted: re.Pattern[str]) -> list[str]:
    """Complaints about packages anywhere below one of ours."""
    command = ['cargo', 'tree', '--prefix', 'none', '--edges', 'normal,build']
    output = subprocess.run(
        [*command, *arguments], check=True, stdout=subprocess.PIPE, text=True
    ).stdout
    found = sorted({line.split()[0] for line in output.splitlines() if line})
    return [
        f'cargo tree {" ".join(arguments)} reaches {name}'
        for name in found
        if unwanted.search(name)
    ]


def check_bare_core() -> list[str]:
    """Without features the core reaches what is listed and no more."""
    allowed = '|'.join(sorted({CORE, *ALWAYS}))
    return check_tree(
        '-p', CORE, '--no-default-features', unwanted=re.compile(f'^(?!({allowed})$)')
    )


def check_documented_counts() -> list[str]:
    """What docs/rust.md says of the crates that each feature brings is so."""
    page = (ROOT / 'docs' / 'rust.md').read_text()
    complaints = []
    for said, features in COUNTED.items():
        command = ['cargo', 'tree', '-p', CORE, '--prefix', 'none', '--edges', 'normal']
        output = subprocess.run(
            [*command, *features], check=True, stdout=subprocess.PIPE, text=True
        ).stdout
        names = sorted(
            {line.split()[0] for line in output.splitlines() if line} - {CORE}
        )
        row = f'| {said} | {len(names)}'
        if len(names) < 8:
            row += f': {", ".join(names)}'
        if f'{row} |' not in page:
            complaints.append(f'docs/rust.md should have the row: {row} |')
    return complaints


def check_mentions() -> list[str]:
    """Complaints about source files that name pyo3 outside its room."""
    complaints = []
    for path in sorted((ROOT / 'crates').rglob('*')):
        if path.suffix not in {'.rs', '.toml'} or PYTHON in path.parts:
            continue
        if NAMES_PYO3.search(path.read_text()):
            complaints.append(f'{path.relative_to(ROOT)} names pyo3')
    return complaints


def main() -> int:
    """Prints every complaint."""
    packages = metadata()
    complaints = [*check_edges(packages), *check_bare_core(), *check_mentions()]
    complaints += check_documented_counts()
    for package in packages:
        if package['name'] != PYTHON:
            complaints += check_tree(
                '-p', package['name'], '--all-features', unwanted=NAMES_PYO3
            )
    for complaint in complaints:
        print(f'import law: {complaint}', file=sys.stderr)
    return int(bool(complaints))


if __name__ == '__main__':
    sys.exit(main())
