"""Tries an installed proxystore: a proxy that another process resolves, and the commands.

Needs nothing but the package, so that it runs in a clean environment. An sdist
installs no program behind the commands (`--without-commands`): they have to
say so, and how to get it.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import proxystore
from proxystore.proxy import is_resolved
from proxystore.store import Store

LIBC = re.compile(
    r'linux-vdso|/ld-linux|lib(c|m|dl|rt|pthread|util|gcc_s)\.so|statically linked'
)
"""What the program may load: libc and what comes with it, and the unwinder."""


def total(numbers: object, expected: int) -> None:
    """Runs in the other process; its exit status tells."""
    assert not is_resolved(numbers)
    assert sum(numbers) == expected  # type: ignore[call-overload]


def try_a_proxy() -> None:
    """Puts a list, and lets a spawned process use it."""
    numbers = list(range(100_000))
    with Store('try-wheel', register=True) as store:
        proxy = store.proxy(numbers, populate_target=False)
        spawn = multiprocessing.get_context('spawn')
        other = spawn.Process(target=total, args=(proxy, sum(numbers)))
        other.start()
        other.join(60)
        if other.exitcode != 0:
            raise SystemExit(f'the other process ended with {other.exitcode}')


def run(*command: str, stdin: bytes = b'') -> bytes:
    """What one of the environment's commands prints."""
    program, *arguments = command
    path = Path(sys.executable).parent / program
    done = subprocess.run(
        [path, *arguments], input=stdin, stdout=subprocess.PIPE, check=True, timeout=60
    )
    return done.stdout


def try_the_commands() -> None:
    """Runs each command, and looks at what their program loads."""
    from proxystore import _command

    os.environ.pop('PROXYSTORE_BIN', None)
    program = _command.find()
    if not program.startswith(str(Path(proxystore.__file__).parent)):
        raise SystemExit(f'the commands run {program}, which is not of the package')
    loaded = subprocess.run(['ldd', program], stdout=subprocess.PIPE, text=True)
    for line in loaded.stdout.splitlines():
        if not LIBC.search(line):
            raise SystemExit(f'{program} needs more than libc: {line.strip()}')
    findings = json.loads(run('proxystore', 'doctor', '--json'))['findings']
    assert {'kernel', 'shared memory store'} <= {found['what'] for found in findings}
    with tempfile.TemporaryDirectory() as directory:
        url = f'file://{directory}/store'
        reference = run('proxystore', 'store', 'put', url, '--reference', stdin=b'data')
        got = run('proxystore', 'store', 'get', reference.decode().strip())
        assert got == b'data', got
    version = run('proxystore-endpoint', 'version').decode()
    assert proxystore.__version__ in version, version
    assert b'proxystore-relay' in run('proxystore-relay', '--help')


def try_without_commands() -> None:
    """The commands say what is missing, and what to do."""
    path = Path(sys.executable).parent / 'proxystore'
    environment = {**os.environ, 'CARGO_HOME': '/nonexistent'}
    environment.pop('PROXYSTORE_BIN', None)
    done = subprocess.run([path, 'doctor'], env=environment, stderr=subprocess.PIPE)
    if done.returncode != 1 or b'cargo install' not in done.stderr:
        raise SystemExit(f'a missing program is not explained: {done}')


def main() -> int:
    """Tries all of it."""
    try_a_proxy()
    if '--without-commands' in sys.argv[1:]:
        try_without_commands()
        commands = 'the commands say where to get their program'
    else:
        try_the_commands()
        commands = 'commands too'
    version = sys.version.split()[0]
    print(f'proxystore {proxystore.__version__} on Python {version}: works, {commands}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
