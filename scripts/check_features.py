"""Lints the core crate without features and with each feature alone.

Which features there are is asked of cargo, so that none is forgotten.
"""

from __future__ import annotations

import json
import subprocess
import sys


def packages() -> dict[str, list[str]]:
    """The workspace's libraries that have features, and their features."""
    metadata = json.loads(
        subprocess.run(
            ['cargo', 'metadata', '--no-deps', '--format-version', '1'],
            check=True,
            stdout=subprocess.PIPE,
        ).stdout
    )
    return {
        package['name']: sorted(set(package['features']) - {'default'})
        for package in metadata['packages']
        if package['features']
    }


def main() -> int:
    """Runs clippy for each set of features."""
    for package, features in packages().items():
        for feature in ['', *features]:
            command = ['cargo', 'clippy', '--quiet', '-p', package]
            command += ['--no-default-features', '--features', feature]
            command += ['--', '-D', 'warnings']
            if subprocess.run(command).returncode != 0:
                shown = f'feature {feature!r} alone' if feature else 'no feature'
                print(f'{package} fails with {shown}', file=sys.stderr)
                return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
