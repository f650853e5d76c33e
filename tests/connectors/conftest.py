"""Certificates for servers that speak TLS."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(['openssl', *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope='session')
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates of a server and of a client."""
    folder = tmp_path_factory.mktemp('certificates')
    key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    openssl(
        folder, 'req', '-x509', *key, '-keyout', 'ca.key', '-out', 'ca.crt',
        '-days', '30', '-subj', '/CN=authority',
        '-addext', 'basicConstraints=critical,CA:TRUE',
    )  # fmt: skip
    for name, host in (('server', 'cache.test'), ('client', 'client.test')):
        openssl(
            folder, 'req', *key, '-keyout', f'{name}.key', '-out', f'{name}.csr',
            '-subj', f'/CN={host}',
        )  # fmt: skip
        (folder / 'extensions').write_text(f'subjectAltName=DNS:{host}\n')
        openssl(
            folder, 'x509', '-req', '-in', f'{name}.csr', '-CA', 'ca.crt',
            '-CAkey', 'ca.key', '-CAcreateserial', '-out', f'{name}.crt',
            '-days', '30', '-extfile', 'extensions',
        )  # fmt: skip
    return folder
